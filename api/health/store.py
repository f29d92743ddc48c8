"""What health asks of PostgreSQL."""

from dataclasses import dataclass

from shared.connections import AsyncDatabase
from shared.sql import load_queries

QUERIES = load_queries("health")


@dataclass(frozen=True)
class _Schema:
    migrated: bool


async def is_migrated(database: AsyncDatabase) -> bool:
    """Whether what this version of the API reads is there."""
    async with database.connection() as connection:
        schema = await connection.row(_Schema, QUERIES["find_schema"])
    return schema is not None and schema.migrated
