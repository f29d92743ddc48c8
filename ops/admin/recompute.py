"""Computing workouts anew, by the workers, while everything else goes on."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

import psycopg
from psycopg.rows import dict_row

from ops.processes import ProcessFailed
from shared.sql import load_queries

QUERIES = load_queries("riders")
_PORTION: Final = 1000  # rows locked at a time


@dataclass(frozen=True)
class Scope:
    """Which workouts: of all users or one, from the beginning or since a moment."""

    email: str | None = None
    since: datetime | None = None


def mark_stale(database_url: str, scope: Scope) -> int:
    """Mark workouts to be computed anew; how many. Raises ProcessFailed for an unknown user.

    The rows remember, so that the workers go on whatever happens to us.
    """
    count, after = 0, None
    with psycopg.connect(database_url, autocommit=True) as connection:
        found = connection.execute(QUERIES["find_user"], asdict(scope)).fetchone()
        if scope.email is not None and not found:
            raise ProcessFailed(f"there is no user {scope.email!r}")
        while True:
            chosen = {**asdict(scope), "after": after, "portion": _PORTION}
            ids = [row[0] for row in connection.execute(QUERIES["mark_stale"], chosen)]
            count += len(ids)
            if len(ids) < _PORTION:
                return count
            after = ids[-1]


def pending(database_url: str, scope: Scope) -> int:
    """How many workouts are still to be computed anew."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        row = connection.execute(QUERIES["count_marked"], asdict(scope)).fetchone()
    return int(row["pending"]) if row else 0


def await_recompute(
    database_url: str, scope: Scope, progress: Callable[[int], None], *, patience: float = 120.0
) -> None:
    """Return once nothing is left to do; ``progress`` is told how much is.

    Raises ProcessFailed if the number stays the same for ``patience`` seconds: no worker runs.
    """
    least, changed_at = None, time.monotonic()
    while left := pending(database_url, scope):
        if least is None or left < least:
            least, changed_at = left, time.monotonic()
            progress(left)
        if time.monotonic() - changed_at > patience:
            raise ProcessFailed(f"{left} workouts are still to do, but no worker is at it")
        time.sleep(0.5)
