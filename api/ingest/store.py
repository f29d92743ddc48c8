"""What uploads ask of PostgreSQL. Samples themselves get there by the workers only."""

from dataclasses import dataclass
from uuid import UUID

from shared.connections import AsyncDatabase
from shared.sql import load_queries

QUERIES = load_queries("ingest")


@dataclass(frozen=True)
class Ownership:
    """A workout that is there and the user's: is it over?"""

    finished: bool


async def find_ownership(
    database: AsyncDatabase, workout_id: UUID, user_id: UUID
) -> Ownership | None:
    """None if the workout is not there, or another user's."""
    async with database.connection() as connection:
        return await connection.row(
            Ownership, QUERIES["get_ownership"], id=workout_id, user_id=user_id
        )
