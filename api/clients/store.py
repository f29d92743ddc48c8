"""What clients of the original service ask of PostgreSQL beyond what everybody does."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from msgspec import Struct

from shared.connections import AsyncDatabase
from shared.sql import load_queries

QUERIES = load_queries("clients")


class RideTotals(Struct, rename="camel"):
    """Of the completed rides: how many they are, and how long they took in all, in seconds."""

    total_workouts: int
    total_duration: int


class FtpChange(Struct, rename="camel"):
    """An FTP that was given. ``created_at``: when, or from which day on it holds."""

    id: UUID
    user_id: UUID
    ftp: float
    source: str | None
    created_at: datetime


@dataclass(frozen=True)
class _Id:
    id: UUID


async def find_fed(database: AsyncDatabase, user_id: UUID, name: str) -> UUID | None:
    """The ride that a user's stream feeds, if there is one."""
    async with database.connection() as connection:
        found = await connection.row(_Id, QUERIES["find_fed"], user_id=user_id, name=name)
    return found.id if found else None


async def count_rides(database: AsyncDatabase, user_id: UUID) -> RideTotals:
    """Of the user's completed rides."""
    async with database.connection() as connection:
        found = await connection.row(RideTotals, QUERIES["count_rides"], user_id=user_id)
    return found or RideTotals(0, 0)


async def note_ftp(
    database: AsyncDatabase, user_id: UUID, day: date, ftp: float, source: str
) -> None:
    """Keep an FTP that was set, in the order in which they were."""
    given = {"user_id": user_id, "effective_from": day, "ftp": ftp, "source": source}
    async with database.connection() as connection:
        await connection.execute(QUERIES["note_ftp"], given)


async def list_ftp(database: AsyncDatabase, user_id: UUID, time_zone: str) -> list[FtpChange]:
    """Every FTP of cycling that the user was given, newest first."""
    named = {"user_id": user_id, "time_zone": time_zone}
    async with database.connection() as connection:
        return await connection.rows(FtpChange, QUERIES["list_ftp"], **named)
