"""Workouts as PostgreSQL has them, for their owner alone."""

from datetime import datetime
from enum import StrEnum
from typing import Any, LiteralString
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct, UnsetType
from psycopg.rows import class_row

from api.identity.auth import Caller
from api.ingest.state import IngestState
from api.web.problems import NotFound
from shared.figures import Summary, complete
from shared.sql import load_queries

QUERIES = load_queries("workouts")


class TimeRange(Struct):
    """From one moment to another: ms since the Unix epoch, the end excluded."""

    from_: int = msgspec.field(name="from")
    to: int


class Status(StrEnum):
    """Where a workout is in its life."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    ARCHIVED = "ARCHIVED"
    FAILED = "FAILED"


class Workout(Struct, rename="camel"):
    """A ride. `summary` holds its figures; null until samples were first folded."""

    id: UUID
    user_id: UUID
    stream_name: str | None
    title: str | None
    description: str | None
    sport: str
    status: Status
    start_time: datetime
    end_time: datetime | None
    duration: int | None
    summary: Summary | None
    excluded: bool
    excluded_ranges: list[TimeRange]
    created_at: datetime
    updated_at: datetime
    telemetry: list[dict[str, Any]] | UnsetType = UNSET

    def __post_init__(self) -> None:
        # A row has the status as text, and ranges and summary as PostgreSQL has them. The summary
        # stays a dict: as a Struct it would lose what a newer worker has put into it.
        self.status = Status(self.status)
        ranges: Any = self.excluded_ranges
        summary: Any = self.summary
        self.summary = summary and complete(summary)
        self.excluded_ranges = [TimeRange(each.lower, each.upper) for each in ranges]


async def fetch_workout(state: IngestState, query: str, **parameters: object) -> Workout | None:
    """The workout that a query gives, if it gives one."""
    statement: LiteralString = QUERIES[query]
    async with (
        state["database"].connection() as connection,
        connection.cursor(row_factory=class_row(Workout)) as cursor,
    ):
        await cursor.execute(statement, parameters)
        return await cursor.fetchone()


async def require_workout(state: IngestState, workout_id: UUID, caller: Caller) -> Workout:
    """The caller's workout. Raises NotFound."""
    workout = await fetch_workout(state, "get_workout", id=workout_id, user_id=caller.user_id)
    if workout is None:
        raise NotFound("no such workout")
    return workout
