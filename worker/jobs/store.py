"""The workouts that are due or to be deleted; all in the transaction of the caller."""

from typing import Final
from uuid import UUID

from shared.connections import DatabaseConnection
from shared.sql import load_queries

QUERIES = load_queries("folds")
IMPORTS = load_queries("imports")
OVERDUE: Final = 30.0  # seconds after which a fold's event counts as lost
_GRACE: Final = 600.0  # seconds in which an object is put, and its row written
# Tasks that one worker does at a time: the numbers of their advisory locks.
SWEEP: Final = 7496052
DISPATCH: Final = 7496053
EXPIRE: Final = 7496061


def elect(connection: DatabaseConnection, task: int) -> bool:
    """Whether this worker may do the task; no other may until the transaction ends."""
    row = connection.execute(QUERIES["elect"], {"task": task}).fetchone()
    return bool(row and row["elected"])


def next_completions(connection: DatabaseConnection, asked: list[UUID], most: int) -> list[UUID]:
    """Workouts to complete, each user's in turn, without those in ``asked``."""
    return _ids(connection, "next_completions", asked=asked, most=most)


def next_checkpoints(
    connection: DatabaseConnection, asked: list[UUID], most: int, interval: float
) -> list[UUID]:
    """Rides under way without a request for a fold in so many seconds; the row notes this one."""
    return _ids(connection, "next_checkpoints", asked=asked, most=most, interval=interval)


def next_recomputes(connection: DatabaseConnection, asked: list[UUID], most: int) -> list[UUID]:
    """Workouts whose figures are stale, each user's in turn; the row notes the request."""
    return _ids(connection, "next_recomputes", asked=asked, most=most, overdue=OVERDUE)


def next_imports(connection: DatabaseConnection, asked: list[UUID], most: int) -> list[UUID]:
    """Files to import, each user's in turn; the row notes the request."""
    wanted = {"asked": asked, "most": most, "overdue": OVERDUE}
    return [row["id"] for row in connection.execute(IMPORTS["next_imports"], wanted)]


def in_turn(connection: DatabaseConnection, workout_ids: list[UUID]) -> list[UUID]:
    """These workouts, each user's in turn, but for the deleted and failed: no fold changes them."""
    return _ids(connection, "in_turn", ids=workout_ids)


def find_silent(connection: DatabaseConnection, silence: float) -> list[UUID]:
    """Rides under way whose folds have seen no new batch for so many seconds."""
    return _ids(connection, "find_silent", silence=silence)


def complete(connection: DatabaseConnection, workout_ids: list[UUID]) -> list[UUID]:
    """Complete those that are still under way, and return them."""
    return _ids(connection, "complete_silent", ids=workout_ids)


def find_unknown(connection: DatabaseConnection, workout_ids: list[UUID]) -> list[UUID]:
    """Of these workouts, those without a row."""
    return _ids(connection, "find_unknown", ids=workout_ids)


def find_finished(connection: DatabaseConnection, workout_ids: list[UUID]) -> list[UUID]:
    """Of these workouts, those that are COMPLETED or ARCHIVED."""
    return _ids(connection, "find_finished", ids=workout_ids)


def find_purgeable(connection: DatabaseConnection, retention: float) -> list[UUID]:
    """Workouts to purge: deleted so many seconds ago, or those of deleted users."""
    deleted = _ids(connection, "find_purgeable", retention=retention)
    return [*deleted, *_ids(connection, "find_orphaned")]


def purge(connection: DatabaseConnection, workout_ids: list[UUID]) -> None:
    """Delete them with their files, and the deleted users that have no workouts left."""
    if workout_ids:
        for query in ("purge_archives", "purge_uploads", "purge_empty_archives"):
            connection.execute(IMPORTS[query], {"ids": workout_ids})
        connection.execute(QUERIES["purge"], {"ids": workout_ids})
    connection.execute(QUERIES["purge_users"])


def purge_answers(connection: DatabaseConnection) -> None:
    """Delete what was answered to requests with an ``Idempotency-Key`` a day ago."""
    connection.execute(QUERIES["purge_answers"])


def purge_deliveries(connection: DatabaseConnection) -> None:
    """Delete what was told to webhooks a month ago, a portion at a time."""
    connection.execute(QUERIES["purge_deliveries"])


def purge_apps(connection: DatabaseConnection) -> None:
    """Delete tokens and grants of apps that have ended."""
    for query in ("purge_app_tokens", "purge_refresh_tokens", "purge_grants"):
        connection.execute(QUERIES[query])


def expire_samples(connection: DatabaseConnection, days: int, most: int) -> list[UUID]:
    """Delete the samples of rides that ended so many days ago; the rides, so many at most."""
    return _ids(connection, "expire_samples", days=days, most=most)


def expire_originals(connection: DatabaseConnection, days: int, most: int) -> list[UUID]:
    """Delete the bytes of files that came so many days ago; the uploads, so many at most."""
    found = connection.execute(IMPORTS["expire_originals"], {"days": days, "most": most})
    return [row["id"] for row in found]


def lock_unneeded_objects(connection: DatabaseConnection) -> list[str]:
    """Names of objects that no file refers to, and that nobody is about to refer to."""
    found = connection.execute(IMPORTS["lock_unneeded_objects"], {"grace": _GRACE})
    return [row["name"] for row in found]


def forget_objects(connection: DatabaseConnection, names: list[str]) -> None:
    """They are deleted."""
    connection.execute(IMPORTS["forget_objects"], {"names": names})


def _ids(connection: DatabaseConnection, query: str, **parameters: object) -> list[UUID]:
    return [row["id"] for row in connection.execute(QUERIES[query], parameters)]
