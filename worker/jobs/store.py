"""What PostgreSQL says is due, for the sweeper; all in the transaction of the caller."""

from typing import Final
from uuid import UUID

from shared.connections import DatabaseConnection
from shared.settings import Settings
from shared.sql import load_queries

QUERIES = load_queries("folds")
OVERDUE: Final = 30.0  # seconds after which a fold's event counts as lost


def elect(connection: DatabaseConnection) -> bool:
    """Whether we are the one that sweeps, until the transaction ends."""
    row = connection.execute(QUERIES["elect_sweeper"]).fetchone()
    return bool(row and row["elected"])


def due_folds(
    connection: DatabaseConnection, settings: Settings, most_recomputed: int
) -> list[UUID]:
    """Workouts whose fold is overdue, stale or due as a checkpoint; asked for from now on."""
    return [
        *_ids(connection, "ask_for_overdue_folds", overdue=OVERDUE),
        *_ids(connection, "ask_for_stale_folds", overdue=OVERDUE, portion=most_recomputed),
        *_ids(connection, "ask_for_checkpoints", interval=settings.checkpoint_interval),
    ]


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
