"""The queries of a rider's history and season, and whether their plans use indexes only."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

import psycopg

from shared.connections import Row
from shared.sql import load_queries

_TABLES: Final = {"workouts", "workout_curves", "workout_bests", "personal_records"}
_PAGE: Final = 20
_FEW: Final = 10 * _PAGE  # rows that may be sorted for a page
_QUERIES: Final = {topic: load_queries(topic) for topic in ("workouts", "season")}


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
    last = _cursor_before_last_page(connection, rider)
    middle: datetime = last["middle"]
    before_last = {"before_time": last["start_time"], "before_id": last["id"]}
    dates = {"from": middle - timedelta(days=90), "to": middle}
    season = {"user_id": rider, "start": middle - timedelta(days=365), "end": middle}
    always = {"user_id": rider, "time_zone": "Europe/Zurich", "period": "week"}
    return [
        replace(_page("first page", rider), index="workouts_history"),
        _page("last page, by cursor", rider, **before_last),
        _page("status, first page", rider, status="ARCHIVED"),
        _page("status, last page", rider, status="ARCHIVED", **before_last),
        _page("sport, first page", rider, sport="running"),
        _page("sport, last page", rider, sport="running", **before_last),
        _page("dates", rider, **dates),
        _search("last page, by offset", rider, offset=last["offset"]),
        _search("words, common", rider, q="morning ride"),
        replace(_search("words, rare", rider, q="times hill 776"), index="workouts_search"),
        _ask("number of workouts", "workouts", "count_workouts", user_id=rider),
        _ask("records", "season", "list_records", user_id=rider),
        _ask("curve of a year", "season", "season_curve", **season),
        _ask("curve of all", "season", "season_curve", user_id=rider),
        _ask("critical power of a year", "season", "critical_power", **season),
        _ask("totals by week", "season", "totals", **always),
        _ask("totals by week of a year", "season", "totals", **{**always, **season}),
        _ask("fitness", "season", "daily_stress", **always),
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
    asked = {"user_id": rider, "limit": _PAGE, "offset": 0, **parameters}
    statement = _QUERIES["workouts"]["list_workouts"]
    return Question(name, statement, _complete(statement, asked), sorted_by_index=True)


def _search(name: str, rider: str, **parameters: Any) -> Question:
    """A page that may be sorted: the few that the index of words has found, or by offset."""
    asked = {"user_id": rider, "limit": _PAGE, "offset": 0, **parameters}
    return _ask(name, "workouts", "list_workouts", **asked)


def _ask(name: str, topic: str, query: str, **parameters: Any) -> Question:
    statement = _QUERIES[topic][query]
    return Question(name, statement, _complete(statement, parameters))


def _complete(statement: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {**dict.fromkeys(re.findall(r"%\((\w+)\)[sb]", statement)), **parameters}


def _cursor_before_last_page(connection: psycopg.Connection[Row], rider: str) -> Row:
    """The workout that the last page comes after, and the middle of the rider's history."""
    row = connection.execute(
        """
        SELECT id, start_time, count - %(page)s AS offset, middle
        FROM workouts, (
            SELECT count(*), min(start_time) + (max(start_time) - min(start_time)) / 2 AS middle
            FROM workouts WHERE user_id = %(rider)s AND status <> 'DELETED'
        ) AS history
        WHERE user_id = %(rider)s AND status <> 'DELETED'
        ORDER BY start_time, id
        OFFSET %(page)s LIMIT 1
        """,
        {"rider": rider, "page": _PAGE},
    ).fetchone()
    assert row is not None
    return row
