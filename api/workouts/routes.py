"""Workouts: create, list, read, change, pause, resume, complete, delete."""

import time
from datetime import datetime
from http import HTTPStatus
from itertools import chain
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.responses import Response

from api.identity.auth import Caller
from api.identity.local_days import moments_of
from api.ingest.state import IngestRequest, IngestState
from api.web.body import JSON, read_change, read_json, require_unchanged
from api.web.problems import (
    Conflict,
    Fault,
    LimitReached,
    NotFound,
    TooManyRequests,
    Unprocessable,
    WrongState,
)
from api.web.query import PREFER_WAIT, WaitQuery, read_query, wait_of, workout_id_of
from api.web.responses import json_response
from api.web.routing import CONFLICT, Operation, Operations
from api.workouts import store
from api.workouts.answers import WorkoutChange, require_workout, seen_by
from api.workouts.held_samples import has_waiting
from api.workouts.listing import Listing, ListQuery, Sport, filters_of, next_cursor, place_of
from api.workouts.reading import READ_REFUSALS, open_view, stream
from api.workouts.rendering import json_rows
from api.workouts.selection import Selection
from api.workouts.state import WorkoutsRequest, WorkoutsState
from api.workouts.store import RideCounts, Status, Workout
from shared.failpoints import failpoint
from shared.samples.channels import EARLIEST_TIMESTAMP, MAX_CLOCK_LEAD
from shared.settings import Settings

Title = Annotated[str, Meta(max_length=200)]
Description = Annotated[str, Meta(max_length=10_000)]


class CreateWorkout(Struct, rename="camel"):
    """A new ride; every member may be left out. The first sample will correct `startTime`."""

    title: Title | None = None
    description: Description | None = None
    sport: Sport = "cycling"
    start_time: Annotated[datetime, Meta(tz=True)] | None = None


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


async def create_workout(request: IngestRequest, caller: Caller) -> Response:
    """Start a ride."""
    state = request.state
    wanted = await read_json(request, CreateWorkout, state["settings"])
    start = _checked_start(wanted.start_time)
    async with state["database"].connection() as connection, connection.transaction():
        _require_room(await store.count_rides(connection, caller.user_id), state["settings"])
        workout = await store.create_workout(
            connection,
            caller.user_id,
            title=wanted.title,
            description=wanted.description,
            sport=wanted.sport,
            start_time=start,
        )
    state["ownerships"].remember(workout.id, caller.user_id, finished=False)
    location = {"Location": f"/api/workouts/{workout.id}"}
    return json_response(WorkoutChange(workout), HTTPStatus.CREATED, location)


async def list_workouts(request: IngestRequest, caller: Caller) -> Response:
    """The caller's rides, newest first unless sorted otherwise.

    Ranges include their ends; a ride that lacks the figure is in none of them. A cursor is good for
    the `sort` and `order` that it was given with, and lists each ride once, whatever is added.
    """
    query = read_query(request, ListQuery)
    return json_response(await read_list(request.state, caller, query))


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
    if not query.include_telemetry:
        return json_response(WorkoutAnswer(workout))
    view = await open_view(request, caller, workout, Selection())
    answer = msgspec.json.encode(WorkoutAnswer(workout)).removesuffix(b"}}")
    pieces = chain([answer, b',"telemetry":['], json_rows(view), [b"]}}"])
    return stream(request, pieces, JSON)


async def update_workout(request: IngestRequest, caller: Caller) -> Response:
    """Change title, description or sport; of a ride without samples, its start as well.

    Records, bests and curves of the ride are those of the other sport at once; the workers compute
    its figures anew, by the thresholds of that sport. When a ride with samples starts, they decide:
    another `startTime` is refused, and nothing is changed. A workout may be sent back whole: the
    members that are as they were are no change. With null as `duplicateOf` a duplicate counts by
    itself.
    """
    state, workout_id = request.state, workout_id_of(request)
    wanted, fixed = await read_change(request, UpdateWorkout, Workout, state["settings"])
    if fixed:
        require_unchanged(fixed, await require_workout(state, workout_id, caller))
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
    changed = await store.complete_workout(
        state["database"], workout_id, caller.user_id, caller.key_id
    )
    if changed:
        failpoint("after-processing")
        state["ownerships"].remember(workout_id, caller.user_id, finished=True)
        await state["writer"].announce_completion(workout_id)
    workout = await require_workout(state, workout_id, caller)
    if workout.status is Status.FAILED and not changed:  # else it failed just now
        raise WrongState("the workout is FAILED and cannot become PROCESSING")
    if not wait:
        return json_response(await _completed(state, workout, caller), HTTPStatus.ACCEPTED)
    workout = await _wait_for_result(state, workout_id, caller, wait)
    done = workout.status is not Status.PROCESSING
    applied = {"Preference-Applied": f"wait={wait:g}"}
    answer = await _completed(state, workout, caller)
    return json_response(answer, HTTPStatus.OK if done else HTTPStatus.ACCEPTED, applied)


async def delete_workout(request: IngestRequest, caller: Caller) -> Response:
    """Hide a ride and take its records back."""
    state, workout_id = request.state, workout_id_of(request)
    if not await store.delete_workout(state["database"], workout_id, caller.user_id):
        raise NotFound("no such workout")
    state["ownerships"].forget(workout_id, caller.user_id)
    await state["writer"].announce_deletion(workout_id)
    return json_response(Deletion())


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
        raise WrongState(f"the workout is {now} and cannot become {new}")
    return json_response(WorkoutChange(seen_by(caller, workout)))


async def _completed(state: WorkoutsState, workout: Workout, caller: Caller) -> WorkoutChange:
    """What the caller's key may see of a ride that it has ended, or that was over before."""
    figures = "read" in caller.scopes or await store.is_newly_ended(
        state["database"], workout.id, caller.user_id, caller.key_id
    )
    return WorkoutChange(seen_by(caller, workout, figures=figures))


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
