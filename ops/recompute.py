"""Computing workouts anew, by the workers, while everything else goes on."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

import psycopg
from psycopg.rows import dict_row

from ops.processes import ProcessFailed
from shared.sql import load_queries

QUERIES = load_queries("riders")
# Seconds without any progress after which nobody seems to be at work.
_PATIENCE: Final = 120.0


def mark_stale(database_url: str, email: str | None, since: datetime | None) -> int:
    """Mark workouts to be computed anew; how many. The rows remember, so this can be resumed."""
    with psycopg.connect(database_url) as connection:
        chosen = {"email": email, "since": since}
        return connection.execute(QUERIES["mark_stale"], chosen).rowcount


def await_recompute(database_url: str, progress: Callable[[int], None]) -> None:
    """Return once no workout is stale; ``progress`` is told how many still are.

    Raises ProcessFailed if the number stands still: then no worker runs.
    """
    least, changed_at = None, time.monotonic()
    with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as connection:
        while pending := _pending(connection):
            if least is None or pending < least:
                least, changed_at = pending, time.monotonic()
                progress(pending)
            if time.monotonic() - changed_at > _PATIENCE:
                raise ProcessFailed(f"{pending} workouts are still to do, but no worker is at it")
            time.sleep(0.5)


def _pending(connection: psycopg.Connection[dict[str, int]]) -> int:
    row = connection.execute(QUERIES["count_stale"], {"user_id": None}).fetchone()
    return row["pending"] if row else 0
