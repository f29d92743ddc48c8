"""What health asks of PostgreSQL."""

from dataclasses import dataclass

from shared.connections import AsyncDatabase
from shared.sql import load_queries

QUERIES = load_queries("health")
MONITORING = load_queries("monitoring")


@dataclass(frozen=True)
class _Schema:
    migrated: bool


@dataclass(frozen=True)
class _Completions:
    rides: int


async def count_completions(database: AsyncDatabase) -> int:
    """How many rides are over and wait for their figures."""
    async with database.connection() as connection:
        found = await connection.row(_Completions, MONITORING["count_completions"])
    return found.rides if found else 0


async def is_migrated(database: AsyncDatabase) -> bool:
    """Whether what this version of the API reads is there."""
    async with database.connection() as connection:
        schema = await connection.row(_Schema, QUERIES["find_schema"])
    return schema is not None and schema.migrated
