"""The sweeper: makes sure that what is due gets done, even if the event for it was lost.

Any worker may sweep; a lock in PostgreSQL elects one at a time.
"""

import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

import redis
from redis.exceptions import OutOfMemoryError

from shared.connections import Database, DatabaseConnection, Redis
from shared.events import FoldRequest
from shared.redis_keys import (
    EVENTS,
    GROUP,
    SEALED_DELETED,
    SEALED_FOR,
    samples_key,
    sealed_key,
    workout_of,
)
from shared.settings import Settings
from shared.sql import load_queries
from worker.jobs.fold import fold

QUERIES = load_queries("folds")
OVERDUE: Final = 30.0  # seconds after which a fold's event counts as lost
_DEAD_CONSUMER: Final = 3600.0  # seconds of silence
_SCAN_STEP: Final = 1000
_MOST_QUEUED: Final = 1000  # events, recomputations among them
logger = logging.getLogger(__name__)


class Sweeper:
    """Sweeps at most once an interval. ``sweep_if_due`` is cheap when nothing is due."""

    def __init__(self, database: Database, client: Redis, settings: Settings) -> None:
        self._database = database
        self._redis = client
        self._settings = settings
        self._due_at = 0.0
        self._scan_cursor = 0

    def sweep_if_due(self) -> None:
        """Sweep, unless it is too early or another worker is at it."""
        if time.monotonic() >= self._due_at:
            self._due_at = time.monotonic() + self._settings.sweep_interval
            self.sweep()

    def sweep(self) -> None:
        """Ask for the folds that are due, complete silent rides, purge, tidy the group."""
        settings = self._settings
        with self._database.connection() as connection:
            elected = connection.execute(QUERIES["elect_sweeper"]).fetchone()
            if elected is None or not elected["elected"]:
                return
            due = [
                *_ids(connection, "ask_for_overdue_folds", overdue=OVERDUE),
                *_ids(connection, "ask_for_stale_folds", overdue=OVERDUE, portion=self._portion()),
                *_ids(connection, "ask_for_checkpoints", interval=settings.checkpoint_interval),
                *self._complete_silent(connection),
                *self._find_stranded(connection),
            ]
            self._purge(connection)
        self._ask_for_folds(due)
        self._remove_dead_consumers()

    def _portion(self) -> int:
        """How many recomputations to ask for: as many as keep the queue short."""
        return max(_MOST_QUEUED - int(self._redis.xlen(EVENTS)), 0)

    def _complete_silent(self, connection: DatabaseConnection) -> list[UUID]:
        silence = self._settings.idle_timeout
        candidates = _ids(connection, "find_silent", silence=silence)
        silent = [each for each in candidates if self._newest_arrival(each) < time.time() - silence]
        return _ids(connection, "complete_silent", ids=silent) if silent else []

    def _newest_arrival(self, workout_id: UUID) -> float:
        """When the newest waiting batch arrived, in Unix seconds; 0 if none waits."""
        newest: Any = self._redis.xrevrange(samples_key(workout_id), count=1)
        return int(newest[0][0].partition(b"-")[0]) / 1000 if newest else 0.0

    def _find_stranded(self, connection: DatabaseConnection) -> list[UUID]:
        """Look through a part of the streams for samples of rides that are over, or unknown.

        Redis may have lost a seal with its last second; then an API process that remembers the
        ride as active appends samples without asking for their fold.
        """
        step: Any = self._redis.scan(self._scan_cursor, match="{w:*}:samples", count=_SCAN_STEP)
        self._scan_cursor, keys = step
        ids = [workout_of(key.decode()) for key in keys]
        if not ids:
            return []
        for workout_id in _ids(connection, "find_absent", ids=ids):
            # A backup was restored that is older than the ride, or its workout was purged. API
            # processes that remember it must not acknowledge what nobody will fold.
            with suppress(OutOfMemoryError):  # then uploads are refused as it is
                self._redis.set(sealed_key(workout_id), SEALED_DELETED, ex=SEALED_FOR)
        return _ids(connection, "find_stranded", ids=ids)

    def _ask_for_folds(self, due: Iterable[UUID]) -> None:
        for workout_id in due:
            try:
                self._redis.xadd(EVENTS, FoldRequest(workout_id).fields())
                logger.info("asked for a fold of %s", workout_id)
            except OutOfMemoryError:
                self._make_room(workout_id)

    def _make_room(self, workout_id: UUID) -> None:
        """Redis is full of samples and takes no event: fold at once, or it stays full for ever."""
        try:
            fold(self._database, self._redis, workout_id)
        except Exception:  # an event will ask again, and bury it if need be, once there is room
            logger.exception("could not make room by folding %s", workout_id)

    def _purge(self, connection: DatabaseConnection) -> None:
        """Redis first: whoever dies in between leaves the row, and the row says what is to do."""
        doomed = [
            *_ids(connection, "find_purgeable", retention=self._settings.deleted_retention),
            *_ids(connection, "find_orphaned"),
        ]
        for workout_id in doomed:
            with suppress(OutOfMemoryError):  # then uploads are refused as it is
                self._redis.set(sealed_key(workout_id), SEALED_DELETED, ex=SEALED_FOR)
            self._redis.delete(samples_key(workout_id))
            logger.info("purged %s", workout_id)
        if doomed:
            connection.execute(QUERIES["purge"], {"ids": doomed})
        connection.execute(QUERIES["purge_users"])

    def _remove_dead_consumers(self) -> None:
        try:
            consumers: Any = self._redis.xinfo_consumers(EVENTS, GROUP)
        except redis.ResponseError:  # no group yet
            return
        for consumer in consumers:
            if consumer["idle"] > _DEAD_CONSUMER * 1000 and not consumer["pending"]:
                self._redis.xgroup_delconsumer(EVENTS, GROUP, consumer["name"])


def _ids(connection: DatabaseConnection, query: str, **parameters: object) -> list[UUID]:
    return [row["id"] for row in connection.execute(QUERIES[query], parameters)]
