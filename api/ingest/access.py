"""Keys and rides kept true by one question for all of them, however many there are."""

import time
from collections.abc import Callable
from typing import Final

from api.identity.auth import Authenticator
from api.ingest.ownership import Ownerships
from api.ingest.store import AccessChanges, find_access_changes, purge_access_changes
from shared.connections import AsyncDatabase

# Seconds for which PostgreSQL keeps changes, and after which a process that has not asked forgets
# all that it knows; and how often they are purged.
_KEPT_FOR: Final = 86_400.0
_TRUSTED_FOR: Final = 3600.0  # a deleted user's changes are gone after two hours: see find_orphaned
_PURGE_EVERY: Final = 3600.0


class AccessWatch:
    """Has the caches forget what has ended, and confirms what they keep.

    Each question begins where the snapshot of the one before it ended: by the transactions that it
    did not see, so that neither clocks nor a late commit hide a change. As long as one is answered
    every few seconds, no key is looked up again; when none is, each is, as soon as it is
    ``REVOCATION_BOUND`` old. ``clock`` gives seconds; the caches' is the same.
    """

    def __init__(
        self,
        database: AsyncDatabase,
        authenticator: Authenticator,
        ownerships: Ownerships,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._authenticator = authenticator
        self._ownerships = ownerships
        self._clock = clock
        self._horizon: int | None = None
        self._table_id: int | None = None
        self._asked_at = self._purged_at = clock()

    async def look(self) -> None:
        """Ask once. Raises psycopg.OperationalError, psycopg_pool.PoolTimeout."""
        begun_at = self._clock()
        changes = await find_access_changes(self._database, self._horizon)
        if self._horizon is None or self._lost_track(changes, begun_at):
            self._authenticator.forget_all()
            self._ownerships.forget_all()
        else:
            self._forget(changes)
        self._horizon, self._table_id = changes.horizon, changes.table_id
        self._asked_at = begun_at
        self._authenticator.confirm(begun_at)
        if begun_at - self._purged_at > _PURGE_EVERY:
            self._purged_at = begun_at
            await purge_access_changes(self._database, _KEPT_FOR)

    def _lost_track(self, changes: AccessChanges, now: float) -> bool:
        """Whether changes may be purged, or a backup was restored, or PostgreSQL is another one.

        Another one counts from less; what a restore does is noted nowhere, but its table is new.
        """
        is_another = self._horizon is not None and changes.horizon < self._horizon
        is_restored = changes.table_id != self._table_id
        return is_another or is_restored or now - self._asked_at > _TRUSTED_FOR

    def _forget(self, changes: AccessChanges) -> None:
        if changes.key_ids or changes.user_ids:
            self._authenticator.forget({*changes.key_ids}, {*changes.user_ids})
        for ride in zip(changes.workout_ids, changes.owner_ids, strict=True):
            self._ownerships.forget(*ride)
