"""What riders put right by hand, where no rule can know: a ride is cropped, or samples removed.

Both are notes in the workout's row, and every fold heeds them: whatever comes later, or comes
again, is treated as what was there.
"""

import asyncio
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from psycopg.types.range import Int8Range
from starlette.responses import Response

from api.identity.auth import Caller
from api.identity.local_days import moments_of
from api.ingest.state import IngestRequest
from api.web.body import JSON, read_json
from api.web.problems import LimitReached, Unprocessable, WrongState, about
from api.web.query import Moment, MomentMember, read_query, workout_id_of
from api.web.responses import json_response
from api.web.routing import CONFLICT, Operation, Operations
from api.workouts import store
from api.workouts.answers import WorkoutChange, require_samples, require_workout
from api.workouts.held_samples import EncodedSamples
from api.workouts.reading import READ_REFUSALS, open_times
from api.workouts.store import Status, Workout
from shared.moments import unix_ms

_PATH = "/api/workouts/{id}"


class CropRange(Struct):
    """What is to count of a ride; one end may be left open."""

    from_: Annotated[MomentMember | None, Meta(description="From this moment on")] = msgspec.field(
        default=None, name="from"
    )
    to: Annotated[MomentMember | None, Meta(description="Before this moment")] = None


class RemovalQuery(Struct):
    """Which samples are to be removed; one end may be left open."""

    from_: Annotated[Moment | None, Meta(description="From this moment on")] = msgspec.field(
        default=None, name="from"
    )
    to: Annotated[Moment | None, Meta(description="Before this moment")] = None


async def crop_workout(request: IngestRequest, caller: Caller) -> Response:
    """Let only a part of a ride count: the rest leaves figures, records, totals and exports.

    Start and duration are those of the part. Telemetry is cropped at once, the figures by the fold
    that is now due. What is outside is kept, and so is what is uploaded there later; deleting the
    crop brings all of it back. A further crop replaces the one before. A ride under way is cropped
    once it is completed.
    """
    state = request.state
    wanted = await read_json(request, CropRange, state["settings"])
    start, end = await _bounds_of(request, caller, wanted, "what lies between is to count")
    workout = await require_workout(state, workout_id_of(request), caller)
    _require_over(workout)
    require_samples(workout)
    held, _ = await open_times(request, caller, workout)
    if not await asyncio.to_thread(_ends_within, held, workout, start, end):
        detail = "no sample of the workout lies between `from` and `to`"
        raise Unprocessable(detail, about(detail, "from", "to"))
    crop = Int8Range(start, end)
    await store.crop_workout(state["database"], workout.id, caller.user_id, crop)
    workout = await require_workout(state, workout.id, caller)
    return json_response(WorkoutChange(workout), HTTPStatus.ACCEPTED)


async def undo_crop(request: IngestRequest, caller: Caller) -> Response:
    """Let all of a ride count again. Without a crop nothing changes.

    A ride whose samples are no longer kept stays as it is: 409.
    """
    state, workout_id = request.state, workout_id_of(request)
    require_samples(await require_workout(state, workout_id, caller))
    await store.undo_crop(state["database"], workout_id, caller.user_id)
    workout = await require_workout(state, workout_id, caller)
    return json_response(WorkoutChange(workout), HTTPStatus.ACCEPTED)


async def remove_telemetry(request: IngestRequest, caller: Caller) -> Response:
    """Remove the samples of a range for good; there is no way back.

    They cannot be read from now on, and the fold that is now due deletes them and computes the
    figures anew. The range, from the first to the last sample removed, is among `removedRanges`:
    what is uploaded of it afterwards is refused (with `Prefer: handling=lenient`, left out), and
    is in no case kept, so that no device brings it back.
    """
    state = request.state
    query = read_query(request, RemovalQuery)
    what = f"they say which samples to remove; DELETE {_PATH} deletes the whole workout"
    start, end = await _bounds_of(request, caller, query, what)
    workout = await require_workout(state, workout_id_of(request), caller)
    held, _ = await open_times(request, caller, workout)
    if ends := await asyncio.to_thread(_ends_within, held, workout, start, end):
        range_ = Int8Range(ends[0], ends[1] + 1)
        if not await store.remove_range(state["database"], workout.id, caller.user_id, range_):
            await require_workout(state, workout.id, caller)
            most = f"{store.MOST_REMOVED} ranges of the workout were removed"
            raise LimitReached(f"{most}, and no more can be")
        state["ownerships"].forget(workout.id, caller.user_id)  # uploads are to know of it
        workout = await require_workout(state, workout.id, caller)
    return json_response(WorkoutChange(workout), HTTPStatus.ACCEPTED)


def _require_over(workout: Workout) -> None:
    """Raises Conflict."""
    if workout.status in (Status.ACTIVE, Status.PAUSED):
        raise WrongState(f"the workout is {workout.status}: complete it, then crop it")


async def _bounds_of(
    request: IngestRequest, caller: Caller, wanted: CropRange | RemovalQuery, why: str
) -> tuple[int | None, int | None]:
    """In ms; ``why``: what they are for. Raises Unprocessable."""
    if wanted.from_ is wanted.to is None:
        detail = f"send `from`, `to` or both: {why}"
        raise Unprocessable(detail, about("may be missing, but not both", "from", "to"))
    start, end = await moments_of(request.state, caller, wanted)
    if start is not None and start == end:
        raise Unprocessable("`from` must be before `to`", about("must be before `to`", "from"))
    return unix_ms(start), unix_ms(end)


def _ends_within(
    held: EncodedSamples, workout: Workout, start: int | None, end: int | None
) -> tuple[int, int] | None:
    """The first and the last timestamp between two moments, of samples that are not removed."""
    removed = [(each.from_, each.to) for each in workout.removed_ranges]
    found = held.decode_times().merged().outside(removed).between(start, end).timestamps
    return (int(found[0]), int(found[-1])) if len(found) else None


OPERATIONS = Operations(
    "corrections",
    "Put right what no rule can know",
    (
        Operation(
            "POST",
            f"{_PATH}/crop",
            crop_workout,
            {HTTPStatus.ACCEPTED: WorkoutChange},
            "admin",
            body={JSON: CropRange},
            example={"from": 1700000060000, "to": "2023-11-14T22:53:20Z"},
            refusals={**CONFLICT, **READ_REFUSALS},
        ),
        Operation(
            "DELETE",
            f"{_PATH}/crop",
            undo_crop,
            {HTTPStatus.ACCEPTED: WorkoutChange},
            "admin",
            refusals=CONFLICT,
        ),
        Operation(
            "DELETE",
            f"{_PATH}/telemetry",
            remove_telemetry,
            {HTTPStatus.ACCEPTED: WorkoutChange},
            "admin",
            query=RemovalQuery,
            refusals={**CONFLICT, **READ_REFUSALS},
        ),
    ),
)
