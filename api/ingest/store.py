"""What uploads ask of PostgreSQL. Samples themselves get there by the workers only."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.connections import AsyncDatabase
from shared.sql import load_queries

QUERIES = load_queries("ingest")


@dataclass(frozen=True)
class Ownership:
    """A workout that is there and the user's: is it over, and how many samples are archived?

    ``removed_ranges``: those (ms) of which no sample is to be kept.
    """

    finished: bool
    archived: int
    removed_ranges: Any

    @property
    def removed(self) -> list[int]:
        """Where the removed ranges begin and end, in turn."""
        return [edge for each in self.removed_ranges for edge in (each.lower, each.upper)]


@dataclass(frozen=True)
class AccessChanges:
    """Keys, users and workouts that have changed; ``owner_ids``: whose the workouts are.

    ``horizon``: the first transaction whose changes may not be among them. ``table_id``: of the
    table that has them.
    """

    horizon: int
    table_id: int
    key_ids: list[str]
    user_ids: list[UUID]
    workout_ids: list[UUID]
    owner_ids: list[UUID]


@dataclass(frozen=True)
class _Id:
    id: UUID


async def find_ownership(
    database: AsyncDatabase, workout_id: UUID, user_id: UUID
) -> Ownership | None:
    """None if the workout is not there, or another user's."""
    async with database.connection() as connection:
        return await connection.row(
            Ownership, QUERIES["get_ownership"], id=workout_id, user_id=user_id
        )


async def ask_for_checkpoints(database: AsyncDatabase, user_id: UUID) -> list[UUID]:
    """Say that a user's rides under way are to be archived now; those that were not yet."""
    async with database.connection() as connection:
        asked = await connection.rows(_Id, QUERIES["ask_for_checkpoints_of"], user_id=user_id)
    return [each.id for each in asked]


async def find_access_changes(database: AsyncDatabase, since: int | None) -> AccessChanges:
    """What changed since the horizon of an earlier question; nothing, if this is the first one."""
    query, text = QUERIES["find_access_changes"], None if since is None else str(since)
    async with database.connection() as connection:
        (found,) = await connection.rows(AccessChanges, query, since=text)
    return found


async def purge_access_changes(database: AsyncDatabase, kept_for: float) -> None:
    """Forget changes older than so many seconds."""
    async with database.connection() as connection:
        await connection.execute(QUERIES["purge_access_changes"], {"kept_for": kept_for})
