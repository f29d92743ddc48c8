"""How far the replica is behind, as one look at both servers tells it."""

from dataclasses import dataclass
from typing import Any, Final

from shared.connections import connect_database
from shared.settings import Settings
from shared.sql import load_queries

QUERIES: Final = load_queries("replicas")


@dataclass(frozen=True)
class ReplicaState:
    """What the server at DATABASE_READ_URL is to the one at DATABASE_URL.

    ``behind``: bytes of WAL that it has yet to replay; ``lag``: seconds since the last commit that
    it shows, or 0 if it shows all. ``is_ahead``: it follows another primary.
    """

    follows: bool
    is_ahead: bool
    behind: int
    lag: float


def read_replica(settings: Settings) -> ReplicaState:
    """Ask both. Raises psycopg.Error."""
    with connect_database(settings) as primary:
        written = _ask(primary, "read_written")["position"]
        with connect_database(settings, replica=True) as replica:
            replayed = _ask(replica, "read_replayed")
        is_ahead = replayed["position"] > _ask(primary, "read_written")["position"]
    behind = max(written - replayed["position"], 0)
    lag = replayed["since_commit"] if behind else 0.0
    return ReplicaState(replayed["follows"], is_ahead, behind, lag)


def _ask(connection: Any, query: str) -> Any:
    return connection.execute(QUERIES[query]).fetchone()
