"""A user's history and season among a million workouts: what each page takes, and its plan."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, LiteralString
from uuid import UUID

import click
import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

from bench.figures import Figure, most
from bench.meters import spent
from bench.system import Options, System
from ops.embedded.postgres import superuser_url
from shared.connections import DatabaseConnection, Row
from shared.listing import COLUMNS, COUNT_WORKOUTS, Order, Sort, list_statement
from shared.sports import CYCLING, names_of
from shared.sql import load_queries
from worker.metrics.bests import OTHER_DURATIONS, POWER_DURATIONS, curve_durations

PAGE: Final = 20
_WORKOUTS: Final = 1_000_000
_ROUNDS: Final = 5  # a run
_RIDE: Final = 3600  # seconds
_USER: Final = UUID(int=0)
_SCRIPT: Final = Path(__file__).with_suffix(".sql")
_TABLES: Final = {"workouts", "workout_curves", "workout_bests", "sport_records"}
_FEW: Final = 5 * PAGE  # rows that may be sorted for a page
_SEASON: Final = load_queries("season")


def measure(system: System, options: Options) -> Iterator[Figure]:
    """Every question in turns; those of a subject count as one."""
    with connect(superuser_url(system.environ["DATABASE_URL"])) as connection:
        write_history(connection, _WORKOUTS)
        asked = questions(connection)
        faults = [fault for each in asked for fault in faults_of(connection, each)]
        times: dict[str, list[float]] = {each.subject: [] for each in asked}
        for each in asked * options.runs * _ROUNDS:
            _, (seconds,) = spent(partial(answer, connection, each), time.perf_counter)
            times[each.subject].append(seconds * 1000)
    click.echo("\n".join(faults), err=True, nl=bool(faults))
    yield Figure("plans that do not go by index", "plans", [len(faults)], target=most(0))
    first, last = times.pop("first page"), times.pop("last page")
    yield Figure("first page", "ms", first)
    yield Figure("last page", "ms", last, "first page", first, target=most(2, "limit"))
    yield from (Figure(subject, "ms", runs) for subject, runs in times.items())


def connect(database_url: str) -> DatabaseConnection:
    """In autocommit mode; each statement is planned with its parameters, as for the API."""
    return psycopg.Connection[Row].connect(
        database_url, autocommit=True, prepare_threshold=None, row_factory=dict_row
    )


def write_history(connection: DatabaseConnection, workouts: int) -> None:
    """So many workouts, one in 200 of them of the user who is asked for.

    The connection must be of a database user who may skip the checks of foreign keys.
    """
    durations = {
        "curve": curve_durations(_RIDE).tolist(),
        "power": [each for each in POWER_DURATIONS if each <= _RIDE],
        "other": [each for each in OTHER_DURATIONS if each <= _RIDE],
    }
    connection.execute("SELECT set_config('bench.workouts', %s::text, false)", [workouts])
    for name, each in durations.items():
        setting = "SELECT set_config(%s, %s::int[]::text, false)"
        connection.execute(setting, [f"bench.{name}", each])
    connection.execute(_SCRIPT.read_bytes())
    connection.execute("VACUUM ANALYZE")


@dataclass(frozen=True)
class Question:
    """A statement with its parameters; all those of a ``subject`` should take as long.

    ``in_order``: its plan may sort a few rows at most; ``index``: what it must go by.
    """

    subject: str
    statement: LiteralString
    parameters: dict[str, Any]
    detail: str = ""
    in_order: bool = False
    index: str | None = None


def answer(connection: DatabaseConnection, question: Question) -> list[Row]:
    """The rows."""
    return connection.execute(question.statement, question.parameters).fetchall()


def faults_of(connection: DatabaseConnection, question: Question) -> list[str]:
    """What of its plan grows with the table, or with the whole history for a page of it."""
    explain = b"EXPLAIN (FORMAT JSON) " + question.statement.encode()
    row = connection.execute(explain, question.parameters).fetchone()
    assert row is not None  # EXPLAIN gives a row
    nodes, faults = list(_nodes(row["QUERY PLAN"][0]["Plan"])), []
    for node in nodes:
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] in _TABLES:
            faults.append(f"reads all of {node['Relation Name']}")
        if question.in_order and "Sort" in node["Node Type"] and node["Plan Rows"] > _FEW:
            faults.append(f"sorts {node['Plan Rows']} rows")
    if question.index not in (None, *(node.get("Index Name") for node in nodes)):
        faults.append(f"does not go by {question.index}")
    return [f"{question.subject} {question.detail}: {fault}" for fault in faults]


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)


def questions(connection: DatabaseConnection) -> list[Question]:
    """What the history and the season page of the user ask."""
    orders = [(sort, order) for sort in Sort for order in Order]
    pages = [page for each in orders for page in _ends(connection, *each)]
    return [*pages, *_in_order(connection), *_found(connection), *_season()]


def _ends(connection: DatabaseConnection, sort: Sort, order: Order) -> Iterator[Question]:
    """The first and the last page of an order."""
    column = COLUMNS[sort]
    index = "workouts_history" if sort is Sort.START_TIME else f"workouts_by_{column}"
    last = _before_last_page(connection, column, order)
    for subject, place in (("first page", dict[str, Any]()), ("last page", last)):
        page = _page(subject, place, sort, order)
        yield replace(page, detail=f"by {sort} {order}", in_order=True, index=index)


def _in_order(connection: DatabaseConnection) -> Iterator[Question]:
    """Pages that are found in the order of an index, with a filter."""
    last = _before_last_page(connection, "start_time", Order.DESC)
    some_days = {"from": _middle() - timedelta(days=90), "to": _middle()}
    for subject, asked in {
        "status, first page": {"status": "ARCHIVED"},
        "status, last page": {"status": "ARCHIVED", **last},
        "sport, first page": {"sport": "running"},
        "sport, last page": {"sport": "running", **last},
        "dates": some_days,
    }.items():
        yield replace(_page(subject, asked), in_order=True)


def _found(connection: DatabaseConnection) -> Iterator[Question]:
    """Numbers, and pages that may sort what an index has found."""
    number = _ask("number of workouts", COUNT_WORKOUTS)
    total = answer(connection, number)[0]["total"]
    rare = {"q": "times hill 176"}
    by_power = _page("words, rare, by power", rare, Sort("avgPower"))
    yield number
    yield _ask("number of a range", COUNT_WORKOUTS, min_avg_power=200, max_total_energy=700)
    yield _page("last page, by offset", {"offset": total - PAGE})
    yield _page("words, common", {"q": "morning ride"})
    yield replace(_page("words, rare", rare), index="workouts_words")
    yield replace(by_power, index="workouts_words")
    yield _page("power, few", {"min_avg_power": 249, "max_avg_power": 249})
    yield _page("energy and duration, few", {"max_total_energy": 541, "min_duration": 3600})


def _season() -> Iterator[Question]:
    year = {"start": _middle() - timedelta(days=365), "end": _middle()}
    riding, efforts = {"sport": CYCLING}, {"shortest": 120, "longest": 1200}
    weeks = {"time_zone": "Europe/Zurich", "period": "week", "names": names_of(CYCLING)}
    yield _ask("records", _SEASON["list_records"], **riding)
    yield _ask("curve of a year", _SEASON["season_curve"], **riding, **year)
    yield _ask("curve of all", _SEASON["season_curve"], **riding)
    yield _ask("critical power of a year", _SEASON["efforts"], **riding, **efforts, **year)
    yield _ask("totals by week", _SEASON["totals"], **weeks)
    yield _ask("totals by week of a year", _SEASON["totals"], **weeks, **year)
    yield _ask("fitness", _SEASON["daily_stress"], **weeks)


def _middle() -> datetime:
    """Of the five years of the history."""
    return datetime.now(UTC) - timedelta(days=913)


def _page(
    subject: str,
    asked: dict[str, Any],
    sort: Sort = Sort.START_TIME,
    order: Order = Order.DESC,
) -> Question:
    page = {"limit": PAGE, "offset": 0, **asked}
    return _ask(subject, list_statement(sort, order), **page)


def _ask(subject: str, statement: LiteralString, **asked: Any) -> Question:
    """Parameters that are not given are null."""
    names = re.findall(r"%\((\w+)\)[sb]", statement)
    return Question(subject, statement, {**dict.fromkeys(names), "user_id": _USER, **asked})


def _before_last_page(connection: DatabaseConnection, column: str, order: Order) -> dict[str, Any]:
    """The place that the last page comes after, as a cursor has it."""
    back = SQL("ASC" if order is Order.DESC else "DESC")
    statement = SQL(
        """
        SELECT {column} AS after_value, start_time AS after_time, id AS after_id,
            {column} IS NULL AS after_no_value
        FROM workouts WHERE user_id = %s AND status <> 'DELETED'
        ORDER BY {column} {back} NULLS FIRST, start_time {back}, id {back} OFFSET %s LIMIT 1
        """
    )
    filled = statement.format(column=Identifier(column), back=back)
    (row,) = connection.execute(filled, [_USER, PAGE])
    return row
