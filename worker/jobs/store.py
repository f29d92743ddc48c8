"""What PostgreSQL says is due, and to be tidied; all in the transaction of the caller."""

from typing import Final
from uuid import UUID

from shared.connections import DatabaseConnection
from shared.sql import load_queries

QUERIES = load_queries("folds")
OVERDUE: Final = 30.0  # seconds after which a fold's event counts as lost


def elect(connection: DatabaseConnection) -> bool:
    """Whether we are the one that sweeps, until the transaction ends."""
    row = connection.execute(QUERIES["elect_sweeper"]).fetchone()
    return bool(row and row["elected"])


def elect_dispatcher(connection: DatabaseConnection) -> bool:
    """Whether we are the one that dispatches, until the transaction ends."""
    row = connection.execute(QUERIES["elect_dispatcher"]).fetchone()
    return bool(row and row["elected"])


def next_completions(connection: DatabaseConnection, asked: list[UUID], most: int) -> list[UUID]:
    """Workouts that are to be completed, each user's in turn, but for those in ``asked``."""
    return _ids(connection, "next_completions", asked=asked, most=most)


def next_checkpoints(
    connection: DatabaseConnection, asked: list[UUID], most: int, interval: float
) -> list[UUID]:
    """Rides under way of which no fold was asked for in so many seconds; asked for from now on."""
    return _ids(connection, "next_checkpoints", asked=asked, most=most, interval=interval)


def next_recomputes(connection: DatabaseConnection, asked: list[UUID], most: int) -> list[UUID]:
    """Workouts whose figures are stale, each user's in turn; asked for from now on."""
    return _ids(connection, "next_recomputes", asked=asked, most=most, overdue=OVERDUE)


def in_turn(connection: DatabaseConnection, workout_ids: list[UUID]) -> list[UUID]:
    """These workouts, each user's in turn; without those that no fold would do anything about."""
    return _ids(connection, "in_turn", ids=workout_ids)


def silent(connection: DatabaseConnection, silence: float) -> list[UUID]:
    """Rides under way of which no fold has seen anything for so many seconds."""
    return _ids(connection, "find_silent", silence=silence)


def complete(connection: DatabaseConnection, workout_ids: list[UUID]) -> list[UUID]:
    """Complete those that are still under way, and return them."""
    return _ids(connection, "complete_silent", ids=workout_ids)


def absent(connection: DatabaseConnection, workout_ids: list[UUID]) -> list[UUID]:
    """Those that PostgreSQL does not know."""
    return _ids(connection, "find_absent", ids=workout_ids)


def over(connection: DatabaseConnection, workout_ids: list[UUID]) -> list[UUID]:
    """Those that are COMPLETED or ARCHIVED."""
    return _ids(connection, "find_stranded", ids=workout_ids)


def doomed(connection: DatabaseConnection, retention: float) -> list[UUID]:
    """Workouts to purge: deleted so many seconds ago, or of deleted users."""
    deleted = _ids(connection, "find_purgeable", retention=retention)
    return [*deleted, *_ids(connection, "find_orphaned")]


def purge(connection: DatabaseConnection, workout_ids: list[UUID]) -> None:
    """Delete them, and the deleted users that have no workouts left."""
    if workout_ids:
        connection.execute(QUERIES["purge"], {"ids": workout_ids})
    connection.execute(QUERIES["purge_users"])


def _ids(connection: DatabaseConnection, query: str, **parameters: object) -> list[UUID]:
    return [row["id"] for row in connection.execute(QUERIES[query], parameters)]
