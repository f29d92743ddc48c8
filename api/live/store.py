"""What PostgreSQL knows of rides that are watched, and of the keys by which they are."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.connections import AsyncDatabase
from shared.sql import load_queries

QUERIES = load_queries("live")


@dataclass(frozen=True)
class Watched:
    """A ride that is there. ``last_received_at``: of the newest batch that was folded into it."""

    id: UUID
    status: str
    last_received_at: datetime | None

    @property
    def folded_ms(self) -> int:
        """When the newest folded batch arrived, in ms; 0 where none was."""
        return round(self.last_received_at.timestamp() * 1000) if self.last_received_at else 0


@dataclass(frozen=True)
class _Id:
    id: str


async def find_watched(database: AsyncDatabase, ids: Collection[UUID]) -> dict[UUID, Watched]:
    """Of these rides, those that are there."""
    async with database.connection() as connection:
        found = await connection.rows(Watched, QUERIES["find_watched"], ids=list(ids))
    return {each.id: each for each in found}


async def find_shut_readers(database: AsyncDatabase, ids: Collection[str]) -> set[str]:
    """Of these pairs of a key and a share with its user, those that open nothing any more."""
    async with database.connection() as connection:
        found = await connection.rows(_Id, QUERIES["find_shut_readers"], ids=list(ids))
    return {each.id for each in found}


async def find_shut_keys(database: AsyncDatabase, ids: Collection[str]) -> set[str]:
    """Of these keys, those that open nothing any more."""
    async with database.connection() as connection:
        found = await connection.rows(_Id, QUERIES["find_shut_keys"], ids=list(ids))
    return {each.id for each in found}
