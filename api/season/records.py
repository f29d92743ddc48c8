"""Personal records, power curves, and what is left out of them."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta, Struct
from psycopg.types.multirange import Int8Multirange
from psycopg.types.range import Int8Range
from starlette.responses import Response

from api.identity.auth import Caller
from api.identity.local_days import moments_of
from api.ingest.batch import Timestamp, milliseconds
from api.ingest.state import IngestRequest, IngestState
from api.season import store
from api.season.period import PeriodQuery, period_of
from api.season.sport import SportName, one_or_all
from api.season.store import Choice, CurvePoint, Metric, Record
from api.web.body import JSON, read_json
from api.web.problems import LimitReached, Unprocessable, about
from api.web.query import MomentMember, read_query, workout_id_of
from api.web.responses import json_response
from api.web.routing import CONFLICT, Operation, Operations
from api.workouts.answers import WorkoutChange, require_samples, require_workout
from shared.connections import AsyncDatabase
from shared.moments import unix_ms
from shared.sports import CYCLING

_LAST: Final = 2**63 - 1  # of what a range of PostgreSQL's can hold
Change = Callable[[AsyncDatabase, UUID, UUID, Choice], Awaitable[bool]]


class RecordList(Struct):
    """Every record in the sport, by metric and duration."""

    sport: str
    records: list[Record]


class RecordsQuery(Struct):
    """Which records."""

    sport: SportName = CYCLING
    metric: Annotated[Metric | None, Meta(description="Only records of it")] = None


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
    """A range of a ride, or a spike; without members, the whole of the ride."""

    from_: Annotated[MomentMember | None, Meta(description="From this moment on")] = msgspec.field(
        default=None, name="from"
    )
    to: Annotated[MomentMember | None, Meta(description="Before this moment")] = None
    spike: Annotated[
        Timestamp | None, Meta(description="Of one reading of power, in place of a range")
    ] = None


async def get_records(request: IngestRequest, caller: Caller) -> Response:
    """The caller's personal records in a sport."""
    query = read_query(request, RecordsQuery)
    name, sport = one_or_all(query.sport)
    records = await store.list_records(
        request.state["database"], caller.user_id, sport, query.metric
    )
    return json_response(RecordList(name, records))


async def get_power_curve(request: IngestRequest, caller: Caller) -> Response:
    """The caller's power curve over all rides in a sport, or those of some dates."""
    state, query = request.state, read_query(request, PeriodQuery)
    (name, sport), period = one_or_all(query.sport), await period_of(state, caller, query)
    curve = await store.read_season_curve(state["database"], caller.user_id, sport, period)
    return json_response(PowerCurve(name, curve))


async def get_workout_power_curve(request: IngestRequest, caller: Caller) -> Response:
    """The power curve of one ride, and its bests with the moments they began."""
    database = request.state["database"]
    workout = await require_workout(request.state, workout_id_of(request), caller)
    curve = await store.read_workout_curve(database, workout.id, caller.user_id)
    bests = await store.list_bests(database, workout.id, caller.user_id)
    return json_response(RideEfforts(curve, bests))


async def exclude_workout(request: IngestRequest, caller: Caller) -> Response:
    """Take a ride, or a range of it, out of the records; or flag a spike again.

    What `include` has said of spikes in the range is withdrawn.
    """
    return await _change_exclusion(request, caller, store.exclude_workout)


async def include_workout(request: IngestRequest, caller: Caller) -> Response:
    """Put a ride, or a range of it, back into the records; or say that a spike is real.

    No power of the range, or of the spike's reading, is a spike from then on: it is not listed as
    one, and counts for bests. Including the whole ride includes every range of it that was
    excluded, and leaves spikes what they are.
    """
    return await _change_exclusion(request, caller, store.include_workout)


async def _change_exclusion(request: IngestRequest, caller: Caller, change: Change) -> Response:
    state, workout_id = request.state, workout_id_of(request)
    wanted = await read_json(request, Exclusion, state["settings"])
    require_samples(await require_workout(state, workout_id, caller))
    choice = await _choice_of(state, caller, wanted)
    if not await change(state["database"], workout_id, caller.user_id, choice):
        await require_workout(state, workout_id, caller)
        most = f"at most {store.MOST_RANGES} excluded ranges, and as many without spikes"
        raise LimitReached(f"a ride has {most}: join some of them")
    workout = await require_workout(state, workout_id, caller)
    return json_response(WorkoutChange(workout), HTTPStatus.ACCEPTED)


async def _choice_of(state: IngestState, caller: Caller, wanted: Exclusion) -> Choice:
    """Raises Unprocessable."""
    has_bounds = [each is not None for each in (wanted.from_, wanted.to)]
    if wanted.spike is not None and not any(has_bounds):
        return Choice(spikes=_reading_at(wanted.spike))
    if not any(has_bounds):
        return Choice(whole=True)
    if wanted.spike is not None or not all(has_bounds):
        detail = "send `from` and `to`, or `spike`, or nothing for the whole ride"
        raise Unprocessable(detail, about(detail, "from", "to", "spike"))
    begin, end = map(unix_ms, await moments_of(state, caller, wanted))
    if begin == end:
        raise Unprocessable("`from` must be before `to`", about("must be before `to`", "from"))
    range_ = Int8Multirange([Int8Range(begin, end)])
    return Choice(ranges=range_, spikes=range_)


def _reading_at(spike: Timestamp) -> Int8Multirange:
    """The millisecond of a reading. Raises Unprocessable."""
    try:
        [at] = milliseconds([spike]).tolist()
        if at >= _LAST:
            raise ValueError("is out of range")
    except ValueError as error:
        raise Unprocessable(f"spike: {error}", about(str(error), "spike")) from None
    return Int8Multirange([Int8Range(at, at + 1)])


OPERATIONS = Operations(
    "records",
    "Bests and power curves",
    (
        Operation(
            "GET",
            "/api/workouts/{id}/power-curve",
            get_workout_power_curve,
            {HTTPStatus.OK: RideEfforts},
            "read",
            takes_athlete=True,
        ),
        Operation(
            "POST",
            "/api/workouts/{id}/exclude",
            exclude_workout,
            {HTTPStatus.ACCEPTED: WorkoutChange},
            "admin",
            body={JSON: Exclusion},
            example={"from": 1700000060000, "to": 1700000120000},
            refusals=CONFLICT,
        ),
        Operation(
            "POST",
            "/api/workouts/{id}/include",
            include_workout,
            {HTTPStatus.ACCEPTED: WorkoutChange},
            "admin",
            body={JSON: Exclusion},
            example={"spike": 1700000090000},
            refusals=CONFLICT,
        ),
        Operation(
            "GET",
            "/api/records",
            get_records,
            {HTTPStatus.OK: RecordList},
            "read",
            query=RecordsQuery,
            takes_athlete=True,
        ),
        Operation(
            "GET",
            "/api/power-curve",
            get_power_curve,
            {HTTPStatus.OK: PowerCurve},
            "read",
            query=PeriodQuery,
            takes_athlete=True,
        ),
    ),
)
