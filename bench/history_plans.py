"""The queries of a rider's history and season, and whether their plans use indexes only."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

import psycopg
from psycopg.sql import SQL, Identifier

from shared.connections import Row
from shared.listing import COLUMNS, COUNT_WORKOUTS, Order, Sort, list_statement
from shared.sql import load_queries

_TABLES: Final = {"workouts", "workout_curves", "workout_bests", "personal_records"}
_PAGE: Final = 20
_FEW: Final = 10 * _PAGE  # rows that may be sorted for a page
_WORDS: Final = "workouts_search"
_SEASON: Final = load_queries("season")


@dataclass(frozen=True)
class Question:
    """A named query with its parameters.

    ``sorted_by_index``: its plan may sort a few rows at most; ``index``: what it must go by.
    """

    name: str
    statement: LiteralString
    parameters: dict[str, Any]
    sorted_by_index: bool = False
    index: str | None = None


def questions(connection: psycopg.Connection[Row], rider: str) -> list[Question]:
    """What the history and the season page of a rider ask."""
    last = _before_last_page(connection, rider, "start_time", Order.DESC)
    orders = [_order(connection, rider, sort, order) for sort in Sort for order in Order]
    return [
        *_history(rider, last),
        *(page for pages in orders for page in pages),
        *_season(rider, last["middle"]),
    ]


def _history(rider: str, last: Row) -> list[Question]:
    dates = {"from": last["middle"] - timedelta(days=90), "to": last["middle"]}
    rare = "times hill 776"
    return [
        replace(_page("first page", rider), index="workouts_history"),
        _page("last page, by cursor", rider, **_after(last)),
        _page("status, first page", rider, status="ARCHIVED"),
        _page("status, last page", rider, status="ARCHIVED", **_after(last)),
        _page("sport, first page", rider, sport="running"),
        _page("sport, last page", rider, sport="running", **_after(last)),
        _page("dates", rider, **dates),
        _search("last page, by offset", rider, offset=last["offset"]),
        _search("words, common", rider, q="morning ride"),
        replace(_search("words, rare", rider, q=rare), index=_WORDS),
        replace(_search("words, rare, by power", rider, Sort("avgPower"), q=rare), index=_WORDS),
        _search("power, few", rider, min_power=249, max_power=249),
        _search("energy and duration, few", rider, max_energy=541, min_duration=3600),
        _count("number of workouts", rider),
        _count("number of a range", rider, min_power=200, max_energy=700),
    ]


def _order(
    connection: psycopg.Connection[Row], rider: str, sort: Sort, order: Order
) -> list[Question]:
    """The first and the last page of an order."""
    column = COLUMNS[sort]
    index = "workouts_history" if sort is Sort.START_TIME else f"workouts_by_{column}"
    place = _after(_before_last_page(connection, rider, column, order))
    first = _page(f"by {sort} {order}, first page", rider, sort=sort, order=order)
    last = _page(f"by {sort} {order}, last page", rider, sort=sort, order=order, **place)
    return [replace(page, index=index) for page in (first, last)]


def _season(rider: str, middle: datetime) -> list[Question]:
    season = {"user_id": rider, "start": middle - timedelta(days=365), "end": middle}
    always = {"user_id": rider, "time_zone": "Europe/Zurich", "period": "week"}
    return [
        _ask("records", "list_records", user_id=rider),
        _ask("curve of a year", "season_curve", **season),
        _ask("curve of all", "season_curve", user_id=rider),
        _ask("critical power of a year", "critical_power", **season),
        _ask("totals by week", "totals", **always),
        _ask("totals by week of a year", "totals", **{**always, **season}),
        _ask("fitness", "daily_stress", **always),
    ]


def plan_of(connection: psycopg.Connection[Row], question: Question) -> dict[str, Any]:
    """The plan that PostgreSQL chooses for these very parameters."""
    explain = b"EXPLAIN (FORMAT JSON) " + question.statement.encode()
    row = connection.execute(explain, question.parameters).fetchone()
    assert row is not None
    plan: dict[str, Any] = row["QUERY PLAN"][0]["Plan"]
    return plan


def faults_of(question: Question, plan: dict[str, Any]) -> list[str]:
    """What of a plan grows with the table, or with the whole history for a page of it."""
    faults, nodes = [], list(_nodes(plan))
    for node in nodes:
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] in _TABLES:
            faults.append(f"{question.name}: reads all of {node['Relation Name']}")
        sorts = "Sort" in node["Node Type"] and node["Plan Rows"] > _FEW
        if sorts and question.sorted_by_index:
            faults.append(f"{question.name}: sorts {node['Plan Rows']} rows")
    if question.index not in (None, *(node.get("Index Name") for node in nodes)):
        faults.append(f"{question.name}: does not go by {question.index}")
    return faults


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)


def _page(name: str, rider: str, **parameters: Any) -> Question:
    return replace(_search(name, rider, **parameters), sorted_by_index=True)


def _search(
    name: str,
    rider: str,
    sort: Sort = Sort.START_TIME,
    order: Order = Order.DESC,
    **parameters: Any,
) -> Question:
    """A page that may be sorted: the few that the index of words has found, or by offset."""
    asked = {"user_id": rider, "limit": _PAGE, "offset": 0, **parameters}
    statement = list_statement(sort, order)
    return Question(name, statement, _complete(statement, asked))


def _count(name: str, rider: str, **parameters: Any) -> Question:
    asked = {"user_id": rider, **parameters}
    return Question(name, COUNT_WORKOUTS, _complete(COUNT_WORKOUTS, asked))


def _after(place: Row) -> dict[str, Any]:
    return {
        "after_value": place["value"],
        "after_time": place["start_time"],
        "after_id": place["id"],
        "after_no_value": place["value"] is None,
    }


def _ask(name: str, query: str, **parameters: Any) -> Question:
    statement = _SEASON[query]
    return Question(name, statement, _complete(statement, parameters))


def _complete(statement: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {**dict.fromkeys(re.findall(r"%\((\w+)\)[sb]", statement)), **parameters}


def _before_last_page(
    connection: psycopg.Connection[Row], rider: str, column: str, order: Order
) -> Row:
    """The workout that the last page comes after, and the middle of the rider's history."""
    statement = SQL(
        """
        SELECT id, start_time, {column} AS value, count - %(page)s AS offset, middle
        FROM workouts, (
            SELECT count(*), min(start_time) + (max(start_time) - min(start_time)) / 2 AS middle
            FROM workouts WHERE user_id = %(rider)s AND status <> 'DELETED'
        ) AS history
        WHERE user_id = %(rider)s AND status <> 'DELETED'
        ORDER BY {column} {order} NULLS LAST, start_time {order}, id {order}
        OFFSET (
            SELECT count(*) FROM workouts WHERE user_id = %(rider)s AND status <> 'DELETED'
        ) - %(page)s - 1 LIMIT 1
        """
    ).format(column=Identifier(column), order=SQL(order))
    row = connection.execute(statement, {"rider": rider, "page": _PAGE}).fetchone()
    assert row is not None
    return row
