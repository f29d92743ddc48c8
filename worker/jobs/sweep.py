"""The sweeper: finds overdue work that no event announced, and deletes what has expired.

Any worker may sweep; a lock in PostgreSQL lets one at a time.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

import redis
from redis.exceptions import OutOfMemoryError

from shared.connections import (
    Database,
    DatabaseConnection,
    Redis,
    answering_of,
    is_away,
    passing_over,
)
from shared.errors import ServiceUnavailable
from shared.originals import open_originals
from shared.redis_keys import (
    DUE,
    FORMER_DUE,
    FORMER_KEYS,
    FORMER_QUEUES,
    GROUP,
    Queue,
    rewritten_key,
    sealed_key,
    workout_of,
)
from shared.settings import Settings
from worker.jobs import store
from worker.jobs.dispatch import fall_due
from worker.rides import stream
from worker.rides.asking import reached

_MOST_TAKEN_OVER: Final = 1000  # rides
_FORMER_KEPT_FOR: Final = 3600  # seconds
logger = logging.getLogger(__name__)


class Sweeper:
    """Sweeps at most once an interval. ``sweep_if_due`` is cheap when nothing is due.

    ``scan_step``: how many keys of Redis a sweep looks at; ``dead_after``: the seconds of silence
    after which a consumer counts as dead; ``note``: is called after each sweep.
    """

    def __init__(
        self,
        database: Database,
        client: Redis,
        settings: Settings,
        *,
        scan_step: int = 1000,
        dead_after: float = 3600.0,
        note: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._redis = client
        self._settings = settings
        self._originals = open_originals(settings)
        self._scan_step = scan_step
        self._dead_after = dead_after
        self._note = note
        self._due_at = 0.0
        self._scan_at, self._scan_cursor = "", 0  # in which server, and where
        self._rewritten: dict[str, str] = {}  # by server, its run that was asked last

    def sweep_if_due(self) -> None:
        """Sweep, unless it is too early or another worker is at it."""
        if time.monotonic() >= self._due_at:
            self._due_at = time.monotonic() + self._settings.sweep_interval
            self.sweep()

    def sweep(self) -> None:
        """Complete silent rides, find samples without an event, purge, tidy the groups."""
        with self._database.connection() as connection:
            if not store.elect(connection, store.SWEEP):
                return
            self._complete_silent(connection)
            late = self._find_stranded(connection)
            self._purge(connection)
        if late:
            fall_due(self._redis, late)
        self._remove_dead_consumers()
        self._tidy_former()
        self._rewrite_logs()
        self._delete_objects()
        self._note()

    def _complete_silent(self, connection: DatabaseConnection) -> None:
        silence = self._settings.idle_timeout
        before = time.time() - silence
        newest = stream.newest_arrivals(self._redis, store.find_silent(connection, silence))
        silent = [each for each, arrived in newest.items() if arrived < before]
        if silent:
            store.complete(connection, silent)

    def _find_stranded(self, connection: DatabaseConnection) -> list[UUID]:
        """Look through a part of the streams for samples of rides that are over, or unknown.

        Redis may have lost a seal with its last second; then an API process that remembers the
        ride as active appends samples without asking for their fold.
        """
        ids = [workout_of(key) for key in self._scan()]
        if not ids:
            return []
        for workout_id in reached(self._redis, store.find_unknown(connection, ids), sealed_key):
            # A backup was restored that is older than the ride, or its workout was purged. API
            # processes that remember it must not acknowledge what nobody will fold.
            with passing_over(self._redis, key=sealed_key(workout_id)):
                stream.seal_deleted(self._redis, workout_id)
        return store.find_finished(connection, ids)

    def _scan(self) -> list[str]:
        """The next keys of streams; of the nodes of a cluster, each in its turn."""
        servers = answering_of(self._redis)
        if not servers:
            return []
        if self._scan_at not in servers:
            self._scan_at, self._scan_cursor = min(servers), 0
        step: Any = (0, [])
        with passing_over(self._redis, node=self._scan_at):
            step = servers[self._scan_at].scan(
                self._scan_cursor, match="{w:*}:samples", count=self._scan_step
            )
        self._scan_cursor, keys = step
        if not self._scan_cursor:
            later = [name for name in servers if name > self._scan_at]
            self._scan_at = min(later or servers)
        return [key.decode() for key in keys]

    def _purge(self, connection: DatabaseConnection) -> None:
        """Delete from Redis first: after a crash in between, the row is still there to be found."""
        gone = []
        purgeable = store.find_purgeable(connection, self._settings.deleted_retention)
        for workout_id in reached(self._redis, purgeable, sealed_key):
            with passing_over(self._redis, key=sealed_key(workout_id)):
                stream.seal_deleted(self._redis, workout_id)
                stream.drop(self._redis, workout_id)
                gone.append(workout_id)
                logger.info("purged %s", workout_id)
        store.purge(connection, gone)
        store.purge_answers(connection)
        store.purge_deliveries(connection)
        store.purge_apps(connection)

    def _delete_objects(self) -> None:
        """Delete originals from the store that no file refers to; while it is away, later."""
        if self._originals is None:
            return
        try:
            with self._database.connection() as connection:
                names = store.lock_unneeded_objects(connection)
                self._originals.delete_now(names)
                store.forget_objects(connection, names)
        except ServiceUnavailable as error:
            logger.warning("left objects for the next sweep: %s", error)

    def _remove_dead_consumers(self) -> None:
        for queue in Queue:
            for consumer in _consumers(self._redis, queue):
                if consumer["idle"] > self._dead_after * 1000 and not consumer["pending"]:
                    self._redis.xgroup_delconsumer(queue, GROUP, consumer["name"])

    def _tidy_former(self) -> None:
        """Take over what older versions have under other names, and let go what is left of it.

        They may still be at work, so what has no successor here has an hour to be used.
        """
        for former in reached(self._redis, FORMER_QUEUES, str):
            with passing_over(self._redis, key=former):
                consumers = _consumers(self._redis, former)
                if all(consumer["idle"] > self._dead_after * 1000 for consumer in consumers):
                    self._redis.delete(former)
        if not is_away(self._redis, FORMER_DUE):
            self._take_over_due()
        for former in reached(self._redis, FORMER_KEYS, str):
            with passing_over(self._redis, key=former):
                self._redis.expire(former, _FORMER_KEPT_FOR, nx=True)

    def _take_over_due(self) -> None:
        """First added, then taken away: asked for twice, a ride is folded once more at worst."""
        with passing_over(self._redis, key=FORMER_DUE), suppress(OutOfMemoryError):
            due: Any = self._redis.zrange(FORMER_DUE, 0, _MOST_TAKEN_OVER, withscores=True)
            if due:
                self._redis.zadd(DUE, dict(due), nx=True)
                self._redis.zrem(FORMER_DUE, *dict(due))

    def _rewrite_logs(self) -> None:
        """Have each server write its append-only file anew, once in each run of it.

        Some versions keep the beginning of a block that a loss of power has cut off: to what they
        log after it the next restart would give no heed. Until then they know it all.
        """
        for name, server in answering_of(self._redis).items():
            with passing_over(self._redis, node=name):
                self._rewrite_log(name, server)

    def _rewrite_log(self, name: str, server: Redis) -> None:
        run: Any = server.info("server")["run_id"]
        key = rewritten_key(name)
        if run == self._rewritten.get(name) or self._redis.get(key) == run.encode():
            return
        with suppress(OutOfMemoryError):
            self._redis.set(key, run)
        self._rewritten[name] = run
        try:
            server.bgrewriteaof()
        except redis.ResponseError as error:  # one is under way, or the operator has ruled it out
            logger.info("did not have the append-only file written anew: %s", error)


def _consumers(client: Redis, queue: str) -> list[Any]:
    try:
        consumers: list[Any] = client.xinfo_consumers(queue, GROUP)
    except redis.ResponseError:  # no group yet
        return []
    return consumers
