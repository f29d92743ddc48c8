"""Data whose time is over, where an operator limits it: originals, and samples of old rides.

A ride keeps its figures, laps and records; its row says since when it has no samples, and no fold
computes it anew.
"""

import logging
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

from shared.connections import Database, DatabaseConnection
from shared.settings import Settings, days_of
from worker.jobs import store

_PORTION: Final = 50  # rides, or files, of a transaction
_INTERVAL: Final = 3600.0  # seconds between looks that find no more than a portion
logger = logging.getLogger(__name__)


class Expiry:
    """Deletes in portions; ``expire_if_due`` is cheap when nothing is due."""

    def __init__(self, database: Database, settings: Settings, portion: int = _PORTION) -> None:
        self._database = database
        self._originals = days_of(settings.retention_originals)
        self._samples = days_of(settings.retention_samples)
        self._portion = portion
        self._due_at = 0.0

    def expire_if_due(self) -> None:
        """Delete a portion of each kind, unless it is too early or another worker is at it."""
        if (self._originals or self._samples) and time.monotonic() >= self._due_at:
            is_more = self.expire()
            self._due_at = time.monotonic() + (0 if is_more else _INTERVAL)

    def expire(self) -> bool:
        """Delete a portion of each kind; whether there may be more."""
        with self._database.connection() as connection:
            if not store.elect(connection, store.EXPIRE):
                return False
            samples = self._delete(connection, store.expire_samples, self._samples)
            originals = self._delete(connection, store.expire_originals, self._originals)
        for workout_id in samples:
            logger.info("deleted the samples of %s: older than %s days", workout_id, self._samples)
        for upload_id in originals:
            logger.info(
                "deleted the original of %s: older than %s days", upload_id, self._originals
            )
        return self._portion in (len(samples), len(originals))

    def _delete(
        self,
        connection: DatabaseConnection,
        delete: Callable[[DatabaseConnection, int, int], list[UUID]],
        days: int | None,
    ) -> list[UUID]:
        return delete(connection, days, self._portion) if days else []
