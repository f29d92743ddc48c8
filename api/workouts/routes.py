"""Workouts: list, read, change, pause, resume, complete, delete."""

import asyncio
from collections.abc import Iterator
from http import HTTPStatus
from itertools import chain
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.responses import Response

from api.identity.auth import Caller
from api.identity.local_days import moments_of
from api.ingest.receipts import Epoch
from api.ingest.state import IngestRequest, IngestState
from api.web.body import (
    JSON,
    MOST_BODY,
    read_body,
    read_change,
    refuse_form,
    require_no_members,
    require_unchanged,
)
from api.web.problems import Conflict, NotActive, NotFound, WrongState
from api.web.query import LONGEST_WAIT, PREFER_WAIT, WaitQuery, read_query, wait_of, workout_id_of
from api.web.responses import json_response, with_members_beside
from api.web.revalidation import etag_of, holds, not_modified, tag
from api.web.routing import CONFLICT, Operation, Operations
from api.workouts import store
from api.workouts.answers import WorkoutChange, require_workout, seen_by
from api.workouts.client_figures import add_client_figures
from api.workouts.held_samples import has_waiting
from api.workouts.listing import (
    CompatibleListQuery,
    Listing,
    Sport,
    filters_of,
    next_cursor,
    place_of,
    with_dates,
)
from api.workouts.reading import READ_REFUSALS, open_view, stream, version_of
from api.workouts.rendering import json_rows
from api.workouts.selection import Selection, View
from api.workouts.starting import Description, Title, checked_start
from api.workouts.state import WorkoutsRequest, WorkoutsState
from api.workouts.store import Ending, Status, Workout
from api.workouts.streams import ARCHIVES, EndedWithStream, archives_telemetry
from shared.failpoints import failpoint
from shared.moments import Instant
from shared.redis_keys import samples_key

_MOST_AT_ONCE: Final = 100  # workouts that are encoded between other requests


class UpdateWorkout(Struct, rename="camel"):
    """Members to change; absent ones stay.

    `startTime` is that of a ride without samples; else the first sample decides. `duplicateOf` can
    be null alone: it is a ride of its own.
    """

    title: Title | UnsetType | None = UNSET
    description: Description | UnsetType | None = UNSET
    sport: Sport | UnsetType = UNSET
    start_time: Instant | UnsetType = UNSET
    duplicate_of: UnsetType | None = UNSET


class WorkoutAnswer(Struct):
    """One workout."""

    workout: Workout


class Deletion(Struct):
    """The workout is hidden now and purged later."""

    success: bool = True
    message: str = "the workout is deleted"


class Pagination(Struct, rename="camel"):
    """`page`, `total` and `totalPages` are left out when paging by cursor."""

    limit: int
    next_cursor: str | None
    page: int | UnsetType = UNSET
    total: int | UnsetType = UNSET
    total_pages: int | UnsetType = UNSET


class WorkoutList(Struct):
    """A page of workouts."""

    workouts: list[Workout]
    pagination: Pagination


class GetQuery(Struct, rename="camel"):
    """What to add to the workout."""

    include_telemetry: Annotated[bool, Meta(description="With its samples")] = False


class Completion(WorkoutChange):
    """The workout that was ended.

    `epoch` is that of receipts; null while Redis does not answer: then the receipt tells it later.
    """

    epoch: Epoch | None = None


async def list_workouts(request: IngestRequest, caller: Caller) -> Response:
    """The caller's rides, newest first unless sorted otherwise.

    Ranges include their ends; a ride that lacks the figure is in none of them. A cursor is good for
    the `sort` and `order` that it was given with, and lists each ride once, whatever is added.
    """
    query: Any = read_query(request, CompatibleListQuery)
    if query.user_id not in (None, "me", str(caller.user_id)):
        nothing = Pagination(query.limit, None, query.page, 0, 0)
        return json_response(WorkoutList([], nothing))
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
    pagination = Pagination(query.limit, next_cursor(query, page.workouts))
    if page.total is not None:
        pagination.page = query.page
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
    bare = msgspec.json.encode(workout)
    etag = etag_of(*await version_of(request.state, workout), bare)
    if holds(request, etag):
        return not_modified(etag)
    view = await open_view(request, caller, workout, Selection())
    rows = chain(_with_rows(bare, view), [b',"workout":'], _with_rows(wrapped, view), [b"}}"])
    return tag(stream(request, rows, JSON), etag)


async def update_workout(request: IngestRequest, caller: Caller) -> Response:
    """Change title, description or sport; of a ride without samples, its start as well.

    Records, bests and curves of the ride are those of the other sport at once; the workers compute
    its figures anew, by the thresholds of that sport. When a ride with samples starts, they decide:
    another `startTime` is refused, and nothing is changed. A workout may be sent back whole: the
    members that are as they were are no change. With null as `duplicateOf` a duplicate counts by
    itself.
    """
    state, workout_id = request.state, workout_id_of(request)
    refuse_form(request)
    before = await require_workout(state, workout_id, caller)
    settings, is_open = state["settings"], _is_fed_by_stream(before)
    wanted, fixed = await read_change(
        request, UpdateWorkout, Workout, settings, most=MOST_BODY, is_open=is_open
    )
    require_unchanged(fixed, before)
    start = checked_start(wanted.start_time or None)
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
    if is_open:
        await add_client_figures(state["database"], caller.user_id, [workout])
    return json_response(WorkoutChange(workout))


async def pause_workout(request: IngestRequest, caller: Caller) -> Response:
    """Pause an active ride. Devices may go on uploading what they buffered.

    Pausing again gives the same answer and changes nothing.
    """
    return await _change_status(request, caller, Status.ACTIVE, Status.PAUSED)


async def resume_workout(request: IngestRequest, caller: Caller) -> Response:
    """Resume a paused ride. Of one that is active nothing changes, and the answer is the same."""
    return await _change_status(request, caller, Status.PAUSED, Status.ACTIVE)


async def complete_workout(request: WorkoutsRequest, caller: Caller) -> Response:
    """End a ride. Completing again gives the same answer and changes nothing.

    A key without the scope `read` gets the figures of a ride that it ends, for an hour. A body is
    read for clients of the original service alone: a ride that a stream feeds takes the stream
    along, unless `archiveTelemetry` is false; its answer has `archivedMessages` beside, and
    completing it again is 400.
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
    if _is_fed_by_stream(workout):
        return await _end_with_stream(request, caller, workout, ending, keep=keep)
    if ending:
        await state["writer"].announce_completion(workout_id)
    if workout.status is Status.FAILED and not ending:  # else it failed just now
        raise WrongState("the workout is FAILED and cannot become PROCESSING")
    if not wait:
        return json_response(await _completion(state, workout, caller), HTTPStatus.ACCEPTED)
    workout = await _wait_for_result(state, workout_id, caller, wait)
    done = workout.status is not Status.PROCESSING
    applied = {"Preference-Applied": f"wait={wait:g}"}
    answer = await _completion(state, workout, caller)
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


def _is_fed_by_stream(workout: Workout) -> bool:
    """Whether a named stream feeds the ride, or did: a client of the original started it."""
    return workout.stream_name != samples_key(workout.id)


def _with_rows(workout: bytes, view: View) -> Iterator[bytes]:
    """A workout as JSON with its telemetry, but for the brace at its end."""
    return chain([workout.removesuffix(b"}"), b',"telemetry":['], json_rows(view), [b"]"])


async def _change_status(
    request: IngestRequest, caller: Caller, old: Status, new: Status
) -> Response:
    state, workout_id = request.state, workout_id_of(request)
    workout = await store.change_status(state["database"], workout_id, caller.user_id, old, new)
    # The answer to the first request may have been lost.
    workout = workout or await require_workout(state, workout_id, caller)
    if workout.status is not new:
        raise WrongState(f"the workout is {workout.status} and cannot become {new}")
    return json_response(WorkoutChange(seen_by(caller, workout)))


async def _completion(state: WorkoutsState, workout: Workout, caller: Caller) -> Completion:
    seen = await _completed(state, workout, caller)
    return Completion(seen.workout, epoch=await state["writer"].epoch_if_known(workout.id))


async def _completed(state: WorkoutsState, workout: Workout, caller: Caller) -> WorkoutChange:
    """What the caller's key may see of a ride that it has ended, or that was over before."""
    figures = "read" in caller.scopes or await store.is_newly_ended(
        state["database"], workout.id, caller.user_id, caller.key_id
    )
    return WorkoutChange(seen_by(caller, workout, figures=figures))


async def _keeps_stream(request: WorkoutsRequest, caller: Caller, workout_id: UUID) -> bool:
    """Whether the body says that a stream stays when its ride is completed.

    Of a ride that no stream feeds nothing is to be said; whatever is no JSON object passes, as
    clients of the original service send it. Raises Unprocessable.
    """
    body = await read_body(request, request.state["settings"], most=MOST_BODY)
    if not body:
        return False
    if _is_fed_by_stream(await require_workout(request.state, workout_id, caller)):
        return not archives_telemetry(request, body)
    require_no_members(body, WaitQuery, besides=ARCHIVES)
    return False


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
        raise NotActive("Workout is not active")
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
            "GET",
            "/api/workouts",
            list_workouts,
            {HTTPStatus.OK: WorkoutList},
            "read",
            query=CompatibleListQuery,
            takes_athlete=True,
        ),
        Operation(
            "GET",
            "/api/workouts/{id}",
            get_workout,
            {HTTPStatus.OK: WorkoutAnswer},
            "read",
            query=GetQuery,
            refusals=READ_REFUSALS,
            takes_athlete=True,
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
            {HTTPStatus.OK: Completion, HTTPStatus.ACCEPTED: Completion},
            "upload",
            query=WaitQuery,
            prefer=PREFER_WAIT,
            reads_body=True,
            headers=("Preference-Applied",),
            refusals={
                **CONFLICT,
                HTTPStatus.BAD_REQUEST: "A ride that a stream fed was completed before",
            },
        ),
    ),
)
