"""Whose a workout is, remembered so that an upload costs PostgreSQL nothing."""

from uuid import UUID

from cachetools import TTLCache

from api.problems import NotFound
from shared.connections import AsyncDatabase
from shared.sql import load_queries

QUERIES = load_queries("workouts")
_REMEMBERED = 3600.0  # seconds; must be well within streams.SEALED_FOR


class Ownerships:
    """Answers "may this user upload to that workout, and is it over?"."""

    def __init__(self, database: AsyncDatabase) -> None:
        self._database = database
        self._finished: TTLCache[tuple[UUID, UUID], bool] = TTLCache(200_000, _REMEMBERED)

    async def is_finished(self, workout_id: UUID, user_id: UUID) -> bool:
        """Whether the workout was over when last seen. Raises NotFound unless it is the user's.

        An owner never changes. A ride that ends after it was seen here is noticed by its sealed
        key, which the upload itself reads.
        """
        known = self._finished.get((workout_id, user_id))
        if known is not None:
            return known
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                QUERIES["get_ownership"], {"id": workout_id, "user_id": user_id}
            )
            row = await cursor.fetchone()
        if row is None:
            raise NotFound("no such workout")
        self.remember(workout_id, user_id, finished=bool(row["finished"]))
        return bool(row["finished"])

    def remember(self, workout_id: UUID, user_id: UUID, *, finished: bool) -> None:
        """Note what a handler has just learned or done."""
        self._finished[workout_id, user_id] = finished

    def forget(self, workout_id: UUID, user_id: UUID) -> None:
        """Ask PostgreSQL again next time."""
        self._finished.pop((workout_id, user_id), None)
