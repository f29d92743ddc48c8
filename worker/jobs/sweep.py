"""The sweeper: makes sure that what is due gets done, even if the event for it was lost.

Any worker may sweep; a lock in PostgreSQL elects one at a time.
"""

import logging
import time
from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

import redis
from redis.exceptions import OutOfMemoryError

from shared.connections import Database, DatabaseConnection, Redis
from shared.errors import LeaveToNewer
from shared.events import FoldRequest
from shared.redis_keys import EVENTS, GROUP, workout_of
from shared.settings import Settings
from worker.jobs import store
from worker.jobs.fold import fold
from worker.queue.inbox import events_handed_out
from worker.rides import stream

_FOLD: Final = FoldRequest.KIND.encode()
_MOST_QUEUED: Final = 1000  # events, recomputations among them
logger = logging.getLogger(__name__)


class Sweeper:
    """Sweeps at most once an interval. ``sweep_if_due`` is cheap when nothing is due.

    ``scan_step``: how many keys of Redis a sweep looks at; ``dead_after``: the seconds of silence
    after which a consumer counts as dead.
    """

    def __init__(
        self,
        database: Database,
        client: Redis,
        settings: Settings,
        *,
        scan_step: int = 1000,
        dead_after: float = 3600.0,
    ) -> None:
        self._database = database
        self._redis = client
        self._settings = settings
        self._scan_step = scan_step
        self._dead_after = dead_after
        self._due_at = 0.0
        self._scan_cursor = 0

    def sweep_if_due(self) -> None:
        """Sweep, unless it is too early or another worker is at it."""
        if time.monotonic() >= self._due_at:
            self._due_at = time.monotonic() + self._settings.sweep_interval
            self.sweep()

    def sweep(self) -> None:
        """Ask for the folds that are due, complete silent rides, purge, tidy the group."""
        with self._database.connection() as connection:
            if not store.elect(connection):
                return
            due = [
                *store.due_folds(connection, self._settings, self._most_recomputed()),
                *self._complete_silent(connection),
                *self._find_stranded(connection),
            ]
            self._purge(connection)
        if due:
            self._ask_for_folds(due)
        self._remove_dead_consumers()

    def _most_recomputed(self) -> int:
        """How many recomputations to ask for: as many as keep the queue short."""
        return max(_MOST_QUEUED - int(self._redis.xlen(EVENTS)), 0)

    def _complete_silent(self, connection: DatabaseConnection) -> list[UUID]:
        silence = self._settings.idle_timeout
        before = time.time() - silence
        candidates = store.silent(connection, silence)
        silent = [each for each in candidates if stream.newest_arrival(self._redis, each) < before]
        return store.complete(connection, silent) if silent else []

    def _find_stranded(self, connection: DatabaseConnection) -> list[UUID]:
        """Look through a part of the streams for samples of rides that are over, or unknown.

        Redis may have lost a seal with its last second; then an API process that remembers the
        ride as active appends samples without asking for their fold.
        """
        step: Any = self._redis.scan(
            self._scan_cursor, match="{w:*}:samples", count=self._scan_step
        )
        self._scan_cursor, keys = step
        ids = [workout_of(key.decode()) for key in keys]
        if not ids:
            return []
        for workout_id in store.absent(connection, ids):
            # A backup was restored that is older than the ride, or its workout was purged. API
            # processes that remember it must not acknowledge what nobody will fold.
            stream.seal_deleted(self._redis, workout_id)
        return store.over(connection, ids)

    def _ask_for_folds(self, due: Iterable[UUID]) -> None:
        """Ask for each, unless an event that some worker has or has left asks for it already.

        Else a ride that is left to a newer worker would get another event with every sweep.
        """
        events = events_handed_out(self._redis)
        asked = {event.get(b"workout") for event in events if event.get(b"kind") == _FOLD}
        for workout_id in due:
            if str(workout_id).encode() not in asked:
                self._ask_for_fold(workout_id)

    def _ask_for_fold(self, workout_id: UUID) -> None:
        try:
            self._redis.xadd(EVENTS, FoldRequest(workout_id).fields())
            logger.info("asked for a fold of %s", workout_id)
        except OutOfMemoryError:
            self._make_room(workout_id)

    def _make_room(self, workout_id: UUID) -> None:
        """Redis is full of samples and takes no event: fold at once, or it stays full for ever."""
        try:
            fold(self._database, self._redis, workout_id)
        except LeaveToNewer as error:
            logger.warning("left %s to a newer worker: %s", workout_id, error)
        except Exception:  # an event will ask again, and give it up if need be, once there is room
            logger.exception("could not make room by folding %s", workout_id)

    def _purge(self, connection: DatabaseConnection) -> None:
        """Redis first: whoever dies in between leaves the row, and the row says what is to do."""
        doomed = store.doomed(connection, self._settings.deleted_retention)
        for workout_id in doomed:
            stream.seal_deleted(self._redis, workout_id)
            stream.drop(self._redis, workout_id)
            logger.info("purged %s", workout_id)
        store.purge(connection, doomed)

    def _remove_dead_consumers(self) -> None:
        try:
            consumers: Any = self._redis.xinfo_consumers(EVENTS, GROUP)
        except redis.ResponseError:  # no group yet
            return
        for consumer in consumers:
            if consumer["idle"] > self._dead_after * 1000 and not consumer["pending"]:
                self._redis.xgroup_delconsumer(EVENTS, GROUP, consumer["name"])
