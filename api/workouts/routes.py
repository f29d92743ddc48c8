"""Workouts: create, list, read, change, pause, resume, complete, delete."""

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime
from http import HTTPStatus
from itertools import chain
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.responses import Response

from api.identity.auth import Caller
from api.identity.local_days import moments_of
from api.ingest.state import IngestRequest, IngestState
from api.web.body import JSON, MOST_BODY, read_body, read_json, refuse_form
from api.web.problems import BadRequest, Conflict, Fault, NotFound, TooManyRequests, Unprocessable
from api.web.query import LONGEST_WAIT, PREFER_WAIT, WaitQuery, read_query, wait_of, workout_id_of
from api.web.responses import json_response, with_members_beside
from api.web.routing import CONFLICT, Operation, Operations
from api.workouts import store
from api.workouts.answers import WorkoutChange, require_workout, seen_by
from api.workouts.client_figures import add_client_figures
from api.workouts.held_samples import has_waiting
from api.workouts.listing import (
    CompatibleListQuery,
    Listing,
    ListQuery,
    Sport,
    filters_of,
    next_cursor,
    place_of,
    with_dates,
)
from api.workouts.reading import READ_REFUSALS, open_view, stream
from api.workouts.rendering import json_rows
from api.workouts.selection import Selection, View
from api.workouts.state import WorkoutsRequest, WorkoutsState
from api.workouts.store import Ending, RideCounts, Status, Workout
from api.workouts.streams import EndedWithStream, archives_telemetry, stream_name_of
from shared.failpoints import failpoint
from shared.redis_keys import samples_key
from shared.samples.channels import EARLIEST_TIMESTAMP, MAX_CLOCK_LEAD
from shared.settings import Settings
from shared.sports import CYCLING

_MOST_AT_ONCE: Final = 100  # workouts that are encoded between other requests
Title = Annotated[str, Meta(max_length=200)]
Description = Annotated[str, Meta(max_length=10_000)]


class CreateWorkout(Struct, rename="camel"):
    """A new ride; every member may be left out. The first sample will correct `startTime`."""

    title: Title | None = None
    description: Description | None = None
    sport: Sport = "cycling"
    start_time: Annotated[datetime, Meta(tz=True)] | None = None


class StartWorkout(Struct, rename="camel"):
    """The same by a client of the original service, which names the stream that feeds the ride.

    A sport that is null or empty is the usual one to these clients.
    """

    title: Title | None = None
    description: Description | None = None
    sport: Annotated[str, Meta(max_length=50, pattern=r"^[A-Za-z0-9_-]*$(?!\n)")] | None = CYCLING
    start_time: Annotated[datetime, Meta(tz=True)] | None = None
    stream_name: Any = None


class UpdateWorkout(Struct, rename="camel"):
    """Members to change; absent ones stay.

    `startTime` is that of a ride without samples; else the first sample decides. `duplicateOf` can
    be null alone: it is a ride of its own.
    """

    title: Title | UnsetType | None = UNSET
    description: Description | UnsetType | None = UNSET
    sport: Sport | UnsetType = UNSET
    start_time: Annotated[datetime, Meta(tz=True)] | UnsetType = UNSET
    duplicate_of: UnsetType | None = UNSET


class WorkoutAnswer(Struct):
    """One workout."""

    workout: Workout


class Deletion(Struct):
    """The workout is hidden now and purged later."""

    success: bool = True
    message: str = "the workout is deleted"


class Pagination(Struct, rename="camel"):
    """`total` and `totalPages` are left out when paging by cursor."""

    page: int
    limit: int
    next_cursor: str | None
    total: int | UnsetType = UNSET
    total_pages: int | UnsetType = UNSET


class WorkoutList(Struct):
    """A page of workouts."""

    workouts: list[Workout]
    pagination: Pagination


class GetQuery(Struct, rename="camel"):
    """What to add to the workout."""

    include_telemetry: bool = False


async def create_workout(request: WorkoutsRequest, caller: Caller) -> Response:
    """Start a ride."""
    state = request.state
    refuse_form(request)
    wanted = await read_json(request, StartWorkout, state["settings"], most=MOST_BODY)
    start, stream = _checked_start(wanted.start_time), stream_name_of(wanted.stream_name)
    sport = wanted.sport or _usual_sport(stream)
    async with state["database"].connection() as connection, connection.transaction():
        rides = await store.count_rides(connection, caller.user_id)
        workout = stream and await store.find_fed(connection, caller.user_id, stream)
        if not workout or not _is_same(workout, wanted, sport):
            _require_room(rides, state["settings"])
            workout = await store.create_workout(
                connection,
                caller.user_id,
                title=wanted.title,
                description=wanted.description,
                sport=sport,
                start_time=start,
                stream_name=stream,
            )
    state["ownerships"].remember(workout.id, caller.user_id, finished=False)
    if stream:
        await state["ride_streams"].attach(caller.user_id, stream, workout.id)
    location = {"Location": f"/api/workouts/{workout.id}"}
    return json_response(WorkoutChange(workout), HTTPStatus.CREATED, location)


async def list_workouts(request: IngestRequest, caller: Caller) -> Response:
    """The caller's rides, newest first unless sorted otherwise.

    Ranges include their ends; a ride that lacks the figure is in none of them. A cursor is good for
    the `sort` and `order` that it was given with, and lists each ride once, whatever is added.
    """
    query: Any = read_query(request, CompatibleListQuery)
    if query.user_id not in (None, "me", str(caller.user_id)):
        return json_response(WorkoutList([], Pagination(query.page, query.limit, None, 0, 0)))
    found = await read_list(request.state, caller, with_dates(query))
    await add_client_figures(request.state["database"], caller.user_id, found.workouts)
    # A long page would hold up every other request.
    is_long = len(found.workouts) > _MOST_AT_ONCE
    return await asyncio.to_thread(json_response, found) if is_long else json_response(found)


async def read_list(state: IngestState, caller: Caller, query: Listing) -> WorkoutList:
    """The page of the caller's rides that the query asks for. Raises Unprocessable."""
    moments = await moments_of(state, caller, query)
    matching = {**filters_of(query, moments), "user_id": caller.user_id}
    # One more than the page tells whether there is a next one.
    place = {**place_of(query), "limit": query.limit + 1}
    page = await store.list_workouts(
        state["database"],
        query.sort,
        query.order,
        matching,
        place,
        count=not query.cursor,
    )
    pagination = Pagination(query.page, query.limit, next_cursor(query, page.workouts))
    if page.total is not None:
        pagination.total, pagination.total_pages = page.total, -(-page.total // query.limit)
    return WorkoutList(page.workouts[: query.limit], pagination)


async def get_workout(request: IngestRequest, caller: Caller) -> Response:
    """One ride; with `includeTelemetry=true` also its samples."""
    query = read_query(request, GetQuery)
    workout = await require_workout(request.state, workout_id_of(request), caller)
    wrapped = msgspec.json.encode(workout)
    await add_client_figures(request.state["database"], caller.user_id, [workout])
    if not query.include_telemetry:
        return with_members_beside(workout, workout=msgspec.Raw(wrapped))
    view = await open_view(request, caller, workout, Selection())
    bare = _with_rows(msgspec.json.encode(workout), view)
    pieces = chain(bare, [b',"workout":'], _with_rows(wrapped, view), [b"}}"])
    return stream(request, pieces, JSON)


async def update_workout(request: IngestRequest, caller: Caller) -> Response:
    """Change title, description or sport; of a ride without samples, its start as well.

    Records, bests and curves of the ride are those of the other sport at once; the workers compute
    its figures anew, by the thresholds of that sport. When a ride with samples starts, they decide:
    another `startTime` is refused, and nothing is changed. The one that it has, as in a workout
    that is sent back whole, is no change. With null as `duplicateOf` a duplicate counts by itself.
    """
    state, workout_id = request.state, workout_id_of(request)
    refuse_form(request)
    wanted = await read_json(request, UpdateWorkout, state["settings"], most=MOST_BODY)
    start = _checked_start(wanted.start_time or None)
    workout = await store.update_workout(
        state["database"],
        workout_id,
        caller.user_id,
        title=wanted.title,
        description=wanted.description,
        sport=wanted.sport,
        start_time=start,
        has_waiting=start is not None and await has_waiting(state["redis"], workout_id),
        counts=wanted.duplicate_of is None,
    )
    if workout is None:
        workout = await require_workout(state, workout_id, caller)
        raise Conflict(
            f"its samples decide that the workout starts at {workout.start_time.isoformat()}:"
            f" to leave out what is before, crop it (POST /api/workouts/{workout_id}/crop)"
        )
    await add_client_figures(state["database"], caller.user_id, [workout])
    return json_response(WorkoutChange(workout))


async def pause_workout(request: IngestRequest, caller: Caller) -> Response:
    """Pause an active ride. Devices may go on uploading what they buffered."""
    return await _change_status(request, caller, Status.ACTIVE, Status.PAUSED)


async def resume_workout(request: IngestRequest, caller: Caller) -> Response:
    """Resume a paused ride."""
    return await _change_status(request, caller, Status.PAUSED, Status.ACTIVE)


async def complete_workout(request: WorkoutsRequest, caller: Caller) -> Response:
    """End a ride. Completing again gives the same answer and changes nothing.

    A key without the scope `read` gets the figures of a ride that it ends, for an hour.
    """
    state, workout_id, wait = request.state, workout_id_of(request), wait_of(request)
    keep = await _keeps_stream(request, caller, workout_id)
    ending = await store.complete_workout(
        state["database"], workout_id, caller.user_id, caller.key_id
    )
    if ending:
        failpoint("after-processing")
        state["ownerships"].remember(workout_id, caller.user_id, finished=True)
    workout = await require_workout(state, workout_id, caller)
    if workout.stream_name != samples_key(workout_id):
        return await _end_with_stream(request, caller, workout, ending, keep=keep)
    if ending:
        await state["writer"].announce_completion(workout_id)
    if workout.status is Status.FAILED and not ending:  # else it failed just now
        raise Conflict("the workout is FAILED and cannot become PROCESSING")
    if not wait:
        return json_response(await _completed(state, workout, caller), HTTPStatus.ACCEPTED)
    workout = await _wait_for_result(state, workout_id, caller, wait)
    done = workout.status is not Status.PROCESSING
    applied = {"Preference-Applied": f"wait={wait:g}"}
    answer = await _completed(state, workout, caller)
    return json_response(answer, HTTPStatus.OK if done else HTTPStatus.ACCEPTED, applied)


async def delete_workout(request: WorkoutsRequest, caller: Caller) -> Response:
    """Hide a ride and take its records back."""
    state, workout_id = request.state, workout_id_of(request)
    deleted = await store.delete_workout(state["database"], workout_id, caller.user_id)
    if deleted is None:
        raise NotFound("no such workout")
    state["ownerships"].forget(workout_id, caller.user_id)
    await state["writer"].announce_deletion(workout_id)
    if deleted.stream_name:
        await state["ride_streams"].drop(caller.user_id, deleted.stream_name, workout_id)
    return json_response(Deletion())


def _usual_sport(stream: str | None) -> str:
    """That of a ride whose sport is null or empty. Raises Unprocessable without a stream."""
    if stream is None:
        fault = Fault("is null or empty: leave it out, or name one", "sport")
        raise Unprocessable(f"sport {fault.detail}", [fault])
    return CYCLING


def _is_same(workout: Workout, wanted: StartWorkout, sport: str) -> bool:
    """Whether a start that is sent again asks for the ride under way, not for another one."""
    told = (workout.title, workout.description, workout.sport)
    return told == (wanted.title, wanted.description, sport)


def _require_room(rides: RideCounts, settings: Settings) -> None:
    """Raises Conflict, TooManyRequests."""
    if rides.under_way >= settings.max_active_rides:
        most = f"a user may have {settings.max_active_rides} workouts that are ACTIVE or PAUSED"
        raise Conflict(f"{most}: complete or delete one")
    if rides.total >= settings.max_rides:
        raise Conflict(f"a user may have {settings.max_rides} workouts, deleted ones until purged")
    if rides.lately >= settings.max_rides_per_hour:
        most = f"a user may start {settings.max_rides_per_hour} workouts an hour"
        raise TooManyRequests(most, headers={"Retry-After": str(max(rides.wait, 1))})


def _with_rows(workout: bytes, view: View) -> Iterator[bytes]:
    """A workout as JSON with its telemetry, but for the brace at its end."""
    return chain([workout.removesuffix(b"}"), b',"telemetry":['], json_rows(view), [b"]"])


def _checked_start(start: datetime | None) -> datetime | None:
    """The start that is given. Raises Unprocessable beyond the bounds of a sample's timestamp."""
    latest = time.time() * 1000 + MAX_CLOCK_LEAD
    if start and not EARLIEST_TIMESTAMP <= start.timestamp() * 1000 <= latest:
        fault = Fault("is before the year 2000 or more than a day ahead", "startTime")
        raise Unprocessable(f"startTime {fault.detail}", [fault])
    return start


async def _change_status(
    request: IngestRequest, caller: Caller, old: Status, new: Status
) -> Response:
    state, workout_id = request.state, workout_id_of(request)
    workout = await store.change_status(state["database"], workout_id, caller.user_id, old, new)
    if workout is None:
        now = (await require_workout(state, workout_id, caller)).status
        raise Conflict(f"the workout is {now} and cannot become {new}")
    return json_response(WorkoutChange(seen_by(caller, workout)))


async def _completed(state: WorkoutsState, workout: Workout, caller: Caller) -> WorkoutChange:
    """What the caller's key may see of a ride that it has ended, or that was over before."""
    figures = "read" in caller.scopes or await store.is_newly_ended(
        state["database"], workout.id, caller.user_id, caller.key_id
    )
    return WorkoutChange(seen_by(caller, workout, figures=figures))


async def _keeps_stream(request: WorkoutsRequest, caller: Caller, workout_id: UUID) -> bool:
    """Whether the body says that a stream stays when its ride is completed.

    Whatever is sent to complete a ride that no stream feeds means nothing.
    """
    body = await read_body(request, request.state["settings"], most=MOST_BODY)
    if not body:
        return False
    workout = await require_workout(request.state, workout_id, caller)
    is_fed = workout.stream_name != samples_key(workout_id)
    return is_fed and not archives_telemetry(request, body)


async def _end_with_stream(
    request: WorkoutsRequest, caller: Caller, workout: Workout, ending: Ending | None, *, keep: bool
) -> Response:
    """The answer that clients expect of a ride that a stream feeds: the first time, its result.

    Whoever asks again, after a process has died here, is the first. The stream ends before the
    last fold is asked for, which so has all that was sent.
    """
    state = request.state
    try:
        is_first = await _end_stream(state, caller, workout, keep=keep)
    finally:
        if ending:
            await state["writer"].announce_completion(workout.id)
    if not is_first and not (ending and ending.lost_its_stream):
        raise BadRequest("Workout is not active")
    workout = await _wait_for_result(state, workout.id, caller, LONGEST_WAIT)
    summary: Any = workout.summary
    held = summary["sampleCount"] if summary else 0
    change = await _completed(state, workout, caller)
    await add_client_figures(state["database"], caller.user_id, [change.workout])
    ended = EndedWithStream(change.workout, archived_messages=0 if keep else held)
    return json_response(ended)


async def _end_stream(
    state: WorkoutsState, caller: Caller, workout: Workout, *, keep: bool
) -> bool:
    """End the stream that feeds the ride. Whether there was one; of two who ask one is told so."""
    name, user_id = workout.stream_name, caller.user_id
    if name is None:
        return False
    state["ownerships"].remember(workout.id, user_id, finished=True)
    async with state["database"].connection() as connection, connection.transaction():
        is_first = await store.end_stream(connection, workout.id, user_id)
        if is_first:
            await state["ride_streams"].end(user_id, name, workout.id, keep=keep)
    return is_first


async def _wait_for_result(
    state: WorkoutsState, workout_id: UUID, caller: Caller, wait: float
) -> Workout:
    """The workout once it is no longer PROCESSING, or as it is when the time is up."""
    return await state["announcements"].wait(
        workout_id,
        lambda: require_workout(state, workout_id, caller),
        lambda workout: workout.status is not Status.PROCESSING,
        wait,
    )


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
            example={"title": "Evening ride"},
            headers=("Location",),
            makes=("id", "$response.body#/workout/id"),
            refusals={
                HTTPStatus.CONFLICT: "Too many workouts under way, or in all",
                HTTPStatus.TOO_MANY_REQUESTS: "Started too many; wait for Retry-After",
            },
        ),
        Operation(
            "GET",
            "/api/workouts",
            list_workouts,
            {HTTPStatus.OK: WorkoutList},
            "read",
            query=ListQuery,
        ),
        Operation(
            "GET",
            "/api/workouts/{id}",
            get_workout,
            {HTTPStatus.OK: WorkoutAnswer},
            "read",
            query=GetQuery,
            refusals=READ_REFUSALS,
        ),
        Operation(
            "PATCH",
            "/api/workouts/{id}",
            update_workout,
            {HTTPStatus.OK: WorkoutChange},
            "admin",
            body={JSON: UpdateWorkout},
            example={"title": "Evening ride"},
            refusals=CONFLICT,
        ),
        Operation(
            "DELETE", "/api/workouts/{id}", delete_workout, {HTTPStatus.OK: Deletion}, "admin"
        ),
        Operation(
            "POST",
            "/api/workouts/{id}/pause",
            pause_workout,
            {HTTPStatus.OK: WorkoutChange},
            "upload",
            refusals=CONFLICT,
        ),
        Operation(
            "POST",
            "/api/workouts/{id}/resume",
            resume_workout,
            {HTTPStatus.OK: WorkoutChange},
            "upload",
            refusals=CONFLICT,
        ),
        Operation(
            "POST",
            "/api/workouts/{id}/complete",
            complete_workout,
            {HTTPStatus.OK: WorkoutChange, HTTPStatus.ACCEPTED: WorkoutChange},
            "upload",
            query=WaitQuery,
            prefer=PREFER_WAIT,
            headers=("Preference-Applied",),
            refusals=CONFLICT,
        ),
    ),
)
