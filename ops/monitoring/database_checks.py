"""What is checked of PostgreSQL, and of the work that its rows ask for."""

from collections.abc import Iterator
from typing import Any, Final

import psycopg

from ops.admin import migrations
from ops.monitoring.findings import Finding, Patient, Rows, in_bytes, in_words
from ops.monitoring.redis_checks import check_clock
from shared.connections import DatabaseConnection, connect_database
from shared.monitoring.replica import read_replica
from shared.monitoring.system import Backlog, limit_look
from shared.settings import Settings
from shared.sql import load_queries

QUERIES = load_queries("monitoring")
_OLDEST: Final = 150_000
_MOST_TAKEN: Final = 0.8  # of the connections
_OLD_XIDS: Final = 1_000_000_000  # of the two thousand million that there are
_IMPORTS_WAIT: Final = 6  # times as long as rides may


def ask(settings: Settings, query: str, **parameters: object) -> Rows:
    """The rows of a query of this room."""
    with connect_database(settings) as connection:
        limit_look(connection, settings)
        return connection.execute(QUERIES[query], parameters).fetchall()


def check_database(patient: Patient) -> Iterator[Finding]:
    """The server and what keeps it in order. Raises psycopg.OperationalError."""
    settings = patient.settings
    with connect_database(settings) as connection:
        limit_look(connection, settings)
        before = patient.clock()
        server: Any = connection.execute(QUERIES["read_server"]).fetchone()
        yield from check_clock("PostgreSQL", server["clock"], before, patient.clock())
        yield from _check_server(server)
        yield from _check_upkeep(patient, connection)
        yield from _check_archiving(connection)
        yield from _check_copy(connection)


def check_schema(patient: Patient) -> Iterator[Finding]:
    """Whether this version's migrations are applied, and no newer ones."""
    url = patient.settings.database_url
    missing = [name for name, applied in migrations.status(url) if not applied]
    if missing:
        yield Finding(f"migrations are missing: {', '.join(missing)}", "make migrate")
    if newer := sorted(migrations.applied(url) - migrations.known()):
        yield Finding(
            f"the database is of a newer version: it has {newer[-1]}",
            "run that version, or roll back with it",
        )


def check_replica(patient: Patient) -> Iterator[Finding]:
    """Whether API processes can read from it. Nothing of all this stops them."""
    settings = patient.settings
    if not settings.database_read_url:
        return
    try:
        state = read_replica(settings)
    except psycopg.Error as error:
        said = str(error).strip().partition("\n")[0]
        yield Finding(f"the replica is not reached: {said}", "start it, or mend DATABASE_READ_URL")
        return
    if not state.follows:
        yield Finding(
            "the server at DATABASE_READ_URL follows no other: all is read from the primary",
            "was it promoted? Make a replica of the primary anew, with pg_basebackup",
        )
    elif state.is_ahead:
        yield Finding(
            "the replica is ahead of the primary: it follows another one",
            "make it anew from the primary, with pg_basebackup",
        )
    elif state.lag > settings.read_lag_limit:
        yield Finding(
            f"the replica is {in_words(state.lag)} and {in_bytes(state.behind)} of WAL behind",
            "does it get WAL (pg_stat_replication), and has it a disk as fast as the primary's?",
        )


def check_backlog(patient: Patient, backlog: Backlog) -> Iterator[Finding]:
    """Rides, files, deliveries and dead letters that wait."""
    if backlog.oldest_completion > patient.patience:
        yield Finding(
            f"{backlog.completions} rides wait for their figures, the oldest for"
            f" {in_words(backlog.oldest_completion)}",
            "do workers live, and keep up? make status; more: make worker N=4",
        )
    if backlog.oldest_import > _IMPORTS_WAIT * patient.patience:
        yield Finding(
            f"{backlog.imports} files wait to be read, the oldest for"
            f" {in_words(backlog.oldest_import)}",
            "do workers live, and keep up? make status; more: make worker N=4",
        )
    if backlog.oldest_delivery > patient.patience:
        yield Finding(
            f"{backlog.deliveries} deliveries to webhooks wait, the oldest is due for"
            f" {in_words(backlog.oldest_delivery)}",
            "do workers live, and reach the internet? make status, and their log",
        )
    if backlog.dead_letters:
        yield Finding(
            f"dead letters wait for somebody to look at them: {backlog.dead_letters}",
            "make dead-letters, mend the cause, then make replay ALL=1",
        )


def _check_server(server: Any) -> Iterator[Finding]:
    if server["version"] < _OLDEST:
        yield Finding(f"PostgreSQL {server['version'] // 10_000} is too old", "upgrade to 15")
    if server["read_only"]:
        yield Finding("PostgreSQL takes no writes", "point DATABASE_URL at the primary")
    taken, most = server["connections"], server["most_connections"]
    if taken > _MOST_TAKEN * most:
        yield Finding(
            f"{taken} of the {most} connections of PostgreSQL are taken",
            "put PgBouncer in front, lower DATABASE_POOL_SIZE, or raise max_connections",
        )
    if server["xid_age"] > _OLD_XIDS:
        yield Finding(
            "PostgreSQL is half way to where it stops taking writes (transaction ids)",
            "make vacuum, and see what keeps autovacuum from it",
        )
    if not server["autovacuum"]:
        yield Finding("autovacuum is off: tables grow without end", "set `autovacuum = on`")


def _check_archiving(connection: DatabaseConnection) -> Iterator[Finding]:
    """Whether WAL gets to its archive, where it is archived."""
    for row in connection.execute(QUERIES["read_archiver"]):
        yield Finding(
            f"PostgreSQL cannot archive its WAL: none for {in_words(row['seconds'])}, now at"
            f" {row['segment']}",
            "its log says why: is the archive full, or gone? Meanwhile pg_wal grows",
        )


def _check_copy(connection: DatabaseConnection) -> Iterator[Finding]:
    for _ in connection.execute(QUERIES["find_copy"]):
        yield Finding(
            "samples are written twice, to their table and to the copy of `make partition`",
            "unless that runs, run it again: what is copied stays; ABANDON=1 drops the copy",
        )


def _check_upkeep(patient: Patient, connection: DatabaseConnection) -> Iterator[Finding]:
    for index in connection.execute(QUERIES["list_invalid_indexes"]):
        yield Finding(
            f"the index {index['name']} was not built to its end",
            f"make psql, then REINDEX INDEX CONCURRENTLY {index['name']}",
        )
    for table in connection.execute(QUERIES["list_unvacuumed"]):
        yield Finding(
            f"autovacuum is off for {table['name']}",
            f"make psql, then ALTER TABLE {table['name']} RESET (autovacuum_enabled)",
        )
    idle = {"patience": patient.patience}
    for session in connection.execute(QUERIES["list_idle_transactions"], idle):
        yield Finding(
            f"{session['name'] or 'somebody'} has left a transaction open for"
            f" {in_words(session['seconds'])}, and its locks",
            f"make psql, then SELECT pg_terminate_backend({session['pid']})",
        )
