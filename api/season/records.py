"""Personal records, power curves, and what is left out of them."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from uuid import UUID

import msgspec
from msgspec import Struct
from psycopg.types.range import Range
from starlette.responses import Response

from api.identity.auth import Caller
from api.ingest.batch import Timestamp, milliseconds
from api.ingest.state import IngestRequest
from api.season import store
from api.season.period import PeriodQuery, period_of
from api.season.sport import SportName, one_or_all
from api.season.store import CurvePoint, Metric, Record
from api.web.body import JSON, read_json
from api.web.problems import Conflict, Unprocessable
from api.web.query import read_query, workout_id_of
from api.web.responses import json_response
from api.web.routing import CONFLICT, Operation, Operations
from api.workouts.answers import WorkoutChange, require_workout
from shared.connections import AsyncDatabase
from shared.sports import CYCLING

Change = Callable[[AsyncDatabase, UUID, UUID, Range[int] | None], Awaitable[bool]]


class RecordList(Struct):
    """Every record in the sport, by metric and duration."""

    sport: str
    records: list[Record]


class RecordsQuery(Struct):
    """Which records."""

    sport: SportName = CYCLING
    metric: Metric | None = None


class PowerCurve(Struct, rename="camel"):
    """Every second to two minutes, and about 100 durations beyond.

    Each is the mean over exactly so long: a longer one may be higher.
    """

    sport: str
    power_curve: list[CurvePoint]


class RideEfforts(Struct, rename="camel"):
    """The power curve of a ride; and what is ranked of it, unless it is excluded."""

    power_curve: list[CurvePoint]
    bests: list[Record]


class Exclusion(Struct):
    """A range of a ride; without members, the whole of it."""

    from_: Timestamp | None = msgspec.field(default=None, name="from")
    to: Timestamp | None = None


async def get_records(request: IngestRequest, caller: Caller) -> Response:
    """The caller's personal records in a sport."""
    query = read_query(request, RecordsQuery)
    name, sport = one_or_all(query.sport)
    records = await store.list_records(
        request.state["database"], caller.user_id, sport, query.metric
    )
    return json_response(RecordList(name, records))


async def get_season_curve(request: IngestRequest, caller: Caller) -> Response:
    """The caller's power curve over all rides in a sport, or those of some dates."""
    state, query = request.state, read_query(request, PeriodQuery)
    (name, sport), period = one_or_all(query.sport), await period_of(state, caller, query)
    curve = await store.read_season_curve(state["database"], caller.user_id, sport, period)
    return json_response(PowerCurve(name, curve))


async def get_workout_curve(request: IngestRequest, caller: Caller) -> Response:
    """The power curve of one ride, and its bests with the moments they began."""
    database = request.state["database"]
    workout = await require_workout(request.state, workout_id_of(request), caller)
    curve = await store.read_workout_curve(database, workout.id, caller.user_id)
    bests = await store.list_bests(database, workout.id, caller.user_id)
    return json_response(RideEfforts(curve, bests))


async def exclude_workout(request: IngestRequest, caller: Caller) -> Response:
    """Take a ride, or a range of it, out of the records."""
    return await _change_exclusion(request, caller, store.exclude_workout)


async def include_workout(request: IngestRequest, caller: Caller) -> Response:
    """Put a ride, or a range of it, back into the records."""
    return await _change_exclusion(request, caller, store.include_workout)


async def _change_exclusion(request: IngestRequest, caller: Caller, change: Change) -> Response:
    state, workout_id = request.state, workout_id_of(request)
    range_ = _range_of(await read_json(request, Exclusion, state["settings"]))
    if not await change(state["database"], workout_id, caller.user_id, range_):
        await require_workout(state, workout_id, caller)
        raise Conflict(f"a ride has at most {store.MOST_RANGES} excluded ranges: join some of them")
    workout = await require_workout(state, workout_id, caller)
    return json_response(WorkoutChange(workout), HTTPStatus.ACCEPTED)


def _range_of(exclusion: Exclusion) -> Range[int] | None:
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
    return Range(start, end)


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
            refusals=CONFLICT,
        ),
        Operation(
            "POST",
            "/api/workouts/{id}/include",
            include_workout,
            {HTTPStatus.ACCEPTED: WorkoutChange},
            "admin",
            body={JSON: Exclusion},
            refusals=CONFLICT,
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
