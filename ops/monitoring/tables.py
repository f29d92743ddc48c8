"""What PostgreSQL tells of itself: slow statements, sizes, connections; and cleaning it up."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from ops.monitoring.database_checks import ask
from ops.monitoring.findings import in_bytes, in_words
from shared.connections import connect_database
from shared.settings import Settings

_SLOW: Final = Path(__file__).with_name("slow_queries.sql")
_NO_STATISTICS: Final = """\
pg_stat_statements is not there, which counts the time of every statement. To have it:
  set shared_preload_libraries = 'pg_stat_statements' and restart PostgreSQL,
  then, as its superuser: CREATE EXTENSION pg_stat_statements"""


def slow_queries(settings: Settings) -> Iterator[str]:
    """The statements that took the most time, or how to have them counted."""
    if not ask(settings, "has_statistics")[0]["installed"]:
        yield _NO_STATISTICS
        return
    query = _SLOW.read_bytes()
    with connect_database(settings) as connection:
        rows = connection.execute(query).fetchall()
    yield f"{'seconds':>10} {'calls':>10} {'ms each':>10}  statement"
    for row in rows:
        counts = f"{row['seconds']:>10.1f} {row['calls']:>10} {row['mean_ms']:>10.2f}"
        yield f"{counts}  {row['query']}"


def table_sizes(settings: Settings) -> Iterator[str]:
    """Each table, the largest first."""
    yield f"{'size':>8} {'indexes':>8} {'rows':>12} {'dead':>10}  table"
    for row in ask(settings, "list_table_sizes"):
        sizes = f"{in_bytes(row['bytes']):>8} {in_bytes(row['index_bytes']):>8}"
        yield f"{sizes} {row['rows']:>12} {row['dead_rows']:>10}  {row['name']}"


def connections(settings: Settings) -> Iterator[str]:
    """Who is connected to the database, and how many connections there may be."""
    server = ask(settings, "read_server")[0]
    yield f"{server['connections']} of {server['most_connections']} connections are taken"
    for row in ask(settings, "list_connections"):
        longest = f", for {in_words(row['longest'])} at most" if row["longest"] else ""
        yield f"{row['connections']:>5}  {row['name'] or 'unnamed'}: {row['state']}{longest}"


def vacuum(settings: Settings) -> Iterator[str]:
    """Clean every table up, and count its rows for the planner, while all goes on."""
    names = [row["name"] for row in ask(settings, "list_table_sizes")]
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        for name in names:
            table = sql.SQL(".").join(map(sql.Identifier, name.replace('"', "").split(".")))
            connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(table))
            yield f"cleaned {name}"
