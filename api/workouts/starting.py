"""Rides are started: under an id that the service makes up, or under the device's own."""

import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta, Struct
from starlette.responses import Response

from api.identity.auth import Caller
from api.ingest.state import IngestRequest
from api.repeats.once import once
from api.web.body import JSON, MOST_BODY, read_json, refuse_form
from api.web.problems import (
    Conflict,
    Fault,
    LimitReached,
    NotFound,
    TooManyRequests,
    Unprocessable,
)
from api.web.query import new_workout_id_of
from api.web.responses import json_response
from api.web.routing import Operation, Operations
from api.web.state import Request
from api.workouts import store
from api.workouts.answers import WorkoutChange, seen_by
from api.workouts.held_samples import was_deleted
from api.workouts.listing import Sport
from api.workouts.state import WorkoutsRequest
from api.workouts.store import RideCounts, Start, Workout
from api.workouts.streams import stream_name_of
from shared.connections import BoundedConnection
from shared.failpoints import failpoint
from shared.moments import Instant
from shared.samples.channels import EARLIEST_TIMESTAMP, MAX_CLOCK_LEAD
from shared.settings import Settings
from shared.sports import CYCLING

Title = Annotated[str, Meta(max_length=200)]
Description = Annotated[str, Meta(max_length=10_000)]


class CreateWorkout(Struct, rename="camel"):
    """A new ride; every member may be left out. The first sample will correct `startTime`.

    That is in RFC 3339 alone, unlike the timestamps of samples.
    """

    title: Title | None = None
    description: Description | None = None
    sport: Sport = "cycling"
    start_time: Instant | None = None


class StartWorkout(Struct, rename="camel"):
    """The same by a client of the original service, which names the stream that feeds the ride.

    A sport that is null or empty is the usual one to these clients.
    """

    title: Title | None = None
    description: Description | None = None
    sport: Annotated[str, Meta(max_length=50, pattern=r"^[A-Za-z0-9_-]*$(?!\n)")] | None = CYCLING
    start_time: Instant | None = None
    stream_name: Any = None


Wanted = TypeVar("Wanted", CreateWorkout, StartWorkout)


async def create_workout(request: WorkoutsRequest, caller: Caller) -> Response:
    """Start a ride.

    A device had better name it itself: `PUT /api/workouts/{id}` may be repeated for ever. Clients
    of the original service name a stream that feeds the ride, as `streamName` (1 to 64 letters,
    digits, `-` and `_`): whatever else they send beside it is ignored, and a form is 400.
    """
    state = request.state
    refuse_form(request)
    open_with = "streamName"  # these clients may send more
    wanted = await _read_wanted(request, StartWorkout, most=MOST_BODY, open_with=open_with)
    wanted.stream_name = stream_name_of(wanted.stream_name)
    wanted.sport = wanted.sport or _usual_sport(wanted.stream_name)
    async with once(request, str(caller.user_id), wanted) as made:
        if made.answer:
            return made.answer
        workout = await _fed_or_new(made.connection, state["settings"], caller, wanted)
        location = {"Location": f"/api/workouts/{workout.id}"}
        answer = json_response(WorkoutChange(workout), HTTPStatus.CREATED, location)
        await made.keep(caller.user_id, answer)
    state["ownerships"].remember(workout.id, caller.user_id, finished=False)
    if wanted.stream_name:
        await state["ride_streams"].attach(caller.user_id, wanted.stream_name, workout.id)
    return answer


async def _fed_or_new(
    connection: BoundedConnection, settings: Settings, caller: Caller, wanted: StartWorkout
) -> Workout:
    """The ride under way that the stream feeds, if it is asked for again, else a new one.

    Clients of the original service start a ride again when they are opened again.
    Raises Conflict, TooManyRequests.
    """
    rides = await store.count_rides(connection, caller.user_id)
    if wanted.stream_name:
        fed = await store.find_fed(connection, caller.user_id, wanted.stream_name)
        if fed and _is_same(fed, wanted):
            return fed
    _require_room(rides, settings)
    return await store.create_workout(connection, caller.user_id, **_columns_of(wanted))


def _usual_sport(stream: str | None) -> str:
    """That of a ride whose sport is null or empty. Raises Unprocessable without a stream."""
    if stream is None:
        fault = Fault("is null or empty: leave it out, or name one", "sport")
        raise Unprocessable(f"sport {fault.detail}", [fault])
    return CYCLING


def _is_same(workout: Workout, wanted: StartWorkout) -> bool:
    """Whether a start that is sent again asks for the ride under way, not for another one."""
    told = (workout.title, workout.description, workout.sport)
    return told == (wanted.title, wanted.description, wanted.sport)


async def start_workout(request: IngestRequest, caller: Caller) -> Response:
    """Start a ride under an id that the device has made up: a random UUID.

    Sent again with the same body, it answers with the ride as it is by then: 200, and nothing
    changes, even after the ride is over. Another body is 409 and names the member that differs.
    What is no UUID in five groups of digits, or is nobody's (the nil UUID), is 422.
    """
    state, workout_id = request.state, new_workout_id_of(request)
    wanted = await _read_wanted(request, CreateWorkout)
    async with state["database"].connection() as connection, connection.transaction():
        rides = await store.count_rides(connection, caller.user_id)
        if start := await store.find_start(connection, workout_id, caller.user_id):
            return await _repeat(connection, caller, workout_id, start, wanted)
        _require_room(rides, state["settings"])
        if await was_deleted(state["redis"], workout_id):
            raise NotFound("no such workout")
        workout = await _start(connection, caller, workout_id, wanted)
        failpoint("before-starting")
    failpoint("after-starting")
    state["ownerships"].remember(workout_id, caller.user_id, finished=False)
    return json_response(WorkoutChange(workout), HTTPStatus.CREATED)


async def _read_wanted(
    request: Request[Any],
    kind: type[Wanted],
    most: int | None = None,
    open_with: str | None = None,
) -> Wanted:
    settings = request.state["settings"]
    wanted = await read_json(request, kind, settings, most=most, open_with=open_with)
    checked_start(wanted.start_time)
    return wanted


async def _repeat(
    connection: BoundedConnection,
    caller: Caller,
    workout_id: UUID,
    start: Start,
    wanted: CreateWorkout,
) -> Response:
    """The ride that there is. Raises Conflict."""
    _require_same(start, wanted)
    workout = await store.get_workout(connection, workout_id, caller.user_id)
    if workout is None:  # deleted just now
        raise NotFound("no such workout")
    return json_response(WorkoutChange(seen_by(caller, workout)))


def _require_same(start: Start, wanted: CreateWorkout) -> None:
    """Raises Conflict unless the ride was started with the same."""
    if start.started_with is None:
        raise Conflict("there is a workout of this id, which was not started by PUT")
    for name, value in _as_kept(wanted).items():
        if value != start.started_with.get(name):
            fault = Fault("is not what the workout was started with", name)
            raise Conflict(f"{name} {fault.detail}: to change it, PATCH the workout", [fault])


async def _start(
    connection: BoundedConnection, caller: Caller, workout_id: UUID, wanted: CreateWorkout
) -> Workout:
    """Raises NotFound for the id of another rider's ride, or of a deleted one."""
    workout = await store.start_workout(
        connection, workout_id, caller.user_id, _as_kept(wanted), **_columns_of(wanted)
    )
    if workout is None:
        raise NotFound("no such workout")
    return workout


def _columns_of(wanted: CreateWorkout | StartWorkout) -> dict[str, Any]:
    return msgspec.structs.asdict(wanted)


def _as_kept(wanted: CreateWorkout) -> dict[str, Any]:
    """The members by their names in JSON, the same for each spelling of a moment."""
    start = wanted.start_time and wanted.start_time.astimezone(UTC)
    kept: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(wanted, start_time=start))
    return kept


def checked_start(start: datetime | None) -> datetime | None:
    """The start that is given. Raises Unprocessable beyond the bounds of a sample's timestamp."""
    latest = time.time() * 1000 + MAX_CLOCK_LEAD
    if start and not EARLIEST_TIMESTAMP <= start.timestamp() * 1000 <= latest:
        fault = Fault("is before the year 2000 or more than a day ahead", "startTime")
        raise Unprocessable(f"startTime {fault.detail}", [fault])
    return start


def _require_room(rides: RideCounts, settings: Settings) -> None:
    """Raises Conflict, TooManyRequests."""
    if rides.under_way >= settings.max_active_rides:
        most = f"a user may have {settings.max_active_rides} workouts that are ACTIVE or PAUSED"
        raise LimitReached(f"{most}: complete or delete one")
    if rides.total >= settings.max_rides:
        most = f"a user may have {settings.max_rides} workouts"
        raise LimitReached(f"{most}, deleted ones until purged")
    if rides.lately >= settings.max_rides_per_hour:
        most = f"a user may start {settings.max_rides_per_hour} workouts an hour"
        raise TooManyRequests(most, headers={"Retry-After": str(max(rides.wait, 1))})


_TOO_MANY = {HTTPStatus.TOO_MANY_REQUESTS: "Started too many; wait for Retry-After"}

OPERATIONS = Operations(
    "workouts",
    "Rides: start, list, change, end",
    (
        Operation(
            "POST",
            "/api/workouts",
            create_workout,
            {HTTPStatus.CREATED: WorkoutChange},
            "upload",
            body={JSON: CreateWorkout},
            example={"title": "Evening ride", "startTime": "2023-11-14T22:13:20Z"},
            headers=("Location",),
            makes=("id", "$response.body#/workout/id"),
            takes_key=True,
            refusals={HTTPStatus.CONFLICT: "Too many workouts under way, or in all", **_TOO_MANY},
        ),
        Operation(
            "PUT",
            "/api/workouts/{id}",
            start_workout,
            {HTTPStatus.CREATED: WorkoutChange, HTTPStatus.OK: WorkoutChange},
            "upload",
            body={JSON: CreateWorkout},
            example={"title": "Evening ride", "startTime": "2023-11-14T22:13:20Z"},
            refusals={
                HTTPStatus.CONFLICT: "Started with something else, or too many workouts under way,"
                " or in all",
                **_TOO_MANY,
            },
        ),
    ),
)
