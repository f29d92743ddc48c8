"""Personal records, power curves, and what is left out of them."""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta, Struct
from psycopg.rows import class_row
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range
from starlette.responses import Response

from api.identity.auth import Caller
from api.identity.profile import time_zone_or_own
from api.ingest.batch import Timestamp, milliseconds
from api.ingest.state import IngestRequest, IngestState
from api.web.body import JSON, read_json
from api.web.problems import NotFound, Unprocessable
from api.web.query import Moment, moment_of, read_query, workout_id_of
from api.web.responses import json_response
from api.web.routing import Operation, Operations
from api.workouts.routes import WorkoutChange
from api.workouts.store import require_workout
from shared.sql import load_queries

SEASON = load_queries("season")
RECORDS = load_queries("records")
WORKOUTS = load_queries("workouts")
T = TypeVar("T")
UNITS = {"power": "W", "heartrate": "bpm", "speed": "m/s"}


class Record(Struct, rename="camel"):
    """The best of a rider over a duration: `value` in the metric's unit, held from `startedAt`."""

    metric: Literal["power", "heartrate", "speed"]
    duration: Annotated[int, Meta(description="Seconds")]
    value: float
    workout_id: UUID
    started_at: datetime
    unit: str = ""

    def __post_init__(self) -> None:
        self.unit = UNITS[self.metric]


class RecordList(Struct):
    """Every record, by metric and duration."""

    records: list[Record]


class RecordsQuery(Struct):
    """Which records."""

    metric: Literal["power", "heartrate", "speed"] | None = None


class CurvePoint(Struct, rename="camel"):
    """The highest mean power held for a duration, and the ride it was held on."""

    duration: Annotated[int, Meta(description="Seconds")]
    power: Annotated[float, Meta(description="Watts")]
    workout_id: UUID


class PowerCurve(Struct, rename="camel"):
    """Every second to two minutes, and about 100 durations beyond; it never rises."""

    power_curve: list[CurvePoint]


class RideEfforts(Struct, rename="camel"):
    """The power curve of a ride; and what is ranked of it, unless it is excluded."""

    power_curve: list[CurvePoint]
    bests: list[Record]


class PeriodQuery(Struct):
    """Which rides: by their start."""

    from_: Annotated[Moment | None, Meta(description="Started at or after")] = msgspec.field(
        default=None, name="from"
    )
    to: Annotated[Moment | None, Meta(description="Started before")] = None


class Exclusion(Struct):
    """A range of a ride; without members, the whole of it."""

    from_: Timestamp | None = msgspec.field(default=None, name="from")
    to: Timestamp | None = None


async def get_records(request: IngestRequest, caller: Caller) -> Response:
    """The caller's personal records."""
    query = read_query(request, RecordsQuery)
    chosen = {"user_id": caller.user_id, "metric": query.metric}
    return json_response(RecordList(await _select(request.state, "list_records", Record, chosen)))


async def get_season_curve(request: IngestRequest, caller: Caller) -> Response:
    """The caller's power curve over all rides, or those of some dates."""
    period = await period_of(request.state, caller, read_query(request, PeriodQuery))
    return json_response(
        PowerCurve(await _select(request.state, "season_curve", CurvePoint, period))
    )


async def get_workout_curve(request: IngestRequest, caller: Caller) -> Response:
    """The power curve of one ride, and its bests with the moments they began."""
    workout = await require_workout(request.state, workout_id_of(request), caller)
    chosen = {"id": workout.id, "user_id": caller.user_id}
    curve = await _select(request.state, "workout_curve", CurvePoint, chosen)
    bests = await _select(request.state, "workout_bests", Record, chosen)
    return json_response(RideEfforts(curve, bests))


async def exclude_workout(request: IngestRequest, caller: Caller) -> Response:
    """Take a ride, or a range of it, out of the records."""
    return await _change_exclusion(request, caller, "exclude_workout")


async def include_workout(request: IngestRequest, caller: Caller) -> Response:
    """Put a ride, or a range of it, back into the records."""
    return await _change_exclusion(request, caller, "include_workout")


async def period_of(state: IngestState, caller: Caller, query: PeriodQuery) -> dict[str, object]:
    """The parameters of a query over a rider's dates: days begin in the rider's time zone."""
    zone = await time_zone_or_own(state, caller, None)
    start, end = moment_of(query.from_, "from", zone), moment_of(query.to, "to", zone)
    return {"user_id": caller.user_id, "start": start, "end": end}


async def _select(
    state: IngestState, query: str, kind: type[T], parameters: Mapping[str, Any]
) -> list[T]:
    async with (
        state["database"].connection() as connection,
        connection.cursor(row_factory=class_row(kind)) as cursor,
    ):
        await cursor.execute(SEASON[query], parameters)
        return await cursor.fetchall()


async def _change_exclusion(request: IngestRequest, caller: Caller, query: str) -> Response:
    state, workout_id = request.state, workout_id_of(request)
    ranges = _ranges(await read_json(request, Exclusion, state["settings"]))
    change = {
        "id": workout_id,
        "workout_id": workout_id,
        "user_id": caller.user_id,
        "whole": ranges is None,
        "range": Multirange(ranges or []),
    }
    async with state["database"].connection() as connection, connection.transaction():
        cursor = await connection.execute(WORKOUTS[query], change)
        if await cursor.fetchone() is None:
            raise NotFound("no such workout")
        if query == "exclude_workout" and ranges is None:  # at once, even if no fold can be
            for retraction in ("delete_bests", "lock_rider", "refresh_records"):
                await connection.execute(RECORDS[retraction], change)
    await state["writer"].announce_change(workout_id)
    workout = await require_workout(state, workout_id, caller)
    return json_response(WorkoutChange(workout), HTTPStatus.ACCEPTED)


def _ranges(exclusion: Exclusion) -> list[Range[Any]] | None:
    """The range given; None for the whole ride."""
    if exclusion.from_ is None and exclusion.to is None:
        return None
    if exclusion.from_ is None or exclusion.to is None:
        raise Unprocessable("send `from` and `to`, or neither for the whole ride")
    try:
        start, end = milliseconds([exclusion.from_, exclusion.to]).tolist()
    except ValueError as error:
        raise Unprocessable(f"`from` or `to`: {error}") from None
    if start >= end:
        raise Unprocessable("`from` must be before `to`")
    return [Range(start, end)]


OPERATIONS = Operations(
    "records",
    "Bests and power curves",
    (
        Operation(
            "GET",
            "/api/workouts/{id}/power-curve",
            get_workout_curve,
            {HTTPStatus.OK: RideEfforts},
            "read",
        ),
        Operation(
            "POST",
            "/api/workouts/{id}/exclude",
            exclude_workout,
            {HTTPStatus.ACCEPTED: WorkoutChange},
            "admin",
            body={JSON: Exclusion},
        ),
        Operation(
            "POST",
            "/api/workouts/{id}/include",
            include_workout,
            {HTTPStatus.ACCEPTED: WorkoutChange},
            "admin",
            body={JSON: Exclusion},
        ),
        Operation(
            "GET",
            "/api/records",
            get_records,
            {HTTPStatus.OK: RecordList},
            "read",
            query=RecordsQuery,
        ),
        Operation(
            "GET",
            "/api/power-curve",
            get_season_curve,
            {HTTPStatus.OK: PowerCurve},
            "read",
            query=PeriodQuery,
        ),
    ),
)
