"""Laps of a ride, as riders and devices mark them."""

import time
from http import HTTPStatus
from typing import Annotated, Final

from msgspec import Meta, Struct
from starlette.responses import Response

from api.identity.auth import Caller
from api.ingest.batch import Timestamp, milliseconds
from api.ingest.state import IngestRequest
from api.web.body import JSON, read_json
from api.web.problems import LimitReached, NotFound, Unprocessable, about
from api.web.query import workout_id_of
from api.web.responses import json_response
from api.web.routing import CONFLICT, Operation, Operations
from api.workouts import store
from api.workouts.answers import WorkoutChange, require_workout, seen_by
from api.workouts.store import LapsHeld
from shared.laps import MOST_LAPS, Lap, laps_of
from shared.samples.channels import EARLIEST_TIMESTAMP, MAX_CLOCK_LEAD

_MOST_AT_ONCE: Final = 100


class LapMark(Struct):
    """A lap. Without `start` it begins where the one before it ends, the first with the ride."""

    end: Timestamp
    start: Timestamp | None = None


class LapMarks(Struct):
    """The laps to add; one that is there already stays as it is."""

    laps: Annotated[list[LapMark], Meta(min_length=1, max_length=_MOST_AT_ONCE)]


async def add_laps(request: IngestRequest, caller: Caller) -> Response:
    """Add laps to a ride; sending them again is harmless. One with nothing of the ride is refused.

    Their figures are in `laps` of the workout after its next fold: at once for a ride that is over.
    """
    state, workout_id = request.state, workout_id_of(request)
    marks = await read_json(request, LapMarks, state["settings"])
    added = [_lap_of(mark, number) for number, mark in enumerate(marks.laps, 1)]
    async with state["database"].connection() as connection, connection.transaction():
        held = await store.lock_laps(connection, workout_id, caller.user_id)
        if held is None:
            raise NotFound("no such workout")
        known = laps_of(held.laps)
        _require_within(held, known, added)
        laps = _joined(known, added)
        if len(laps) > MOST_LAPS:
            raise LimitReached(f"a ride has at most {MOST_LAPS} laps")
        if len(laps) > len(known):
            await store.put_laps(connection, workout_id, caller.user_id, laps)
    workout = await require_workout(state, workout_id, caller)
    return json_response(WorkoutChange(seen_by(caller, workout)), HTTPStatus.ACCEPTED)


def _lap_of(mark: LapMark, number: int) -> Lap:
    given = [each for each in (mark.start, mark.end) if each is not None]
    latest = time.time() * 1000 + MAX_CLOCK_LEAD
    try:
        moments: list[int] = milliseconds(given).tolist()
    except ValueError:
        raise _bad_lap(number, "has a time that is out of range") from None
    if not all(EARLIEST_TIMESTAMP <= each <= latest for each in moments):
        raise _bad_lap(number, "is before the year 2000, or more than a day ahead")
    if len(moments) == 2 and moments[0] >= moments[1]:
        raise _bad_lap(number, "does not start before its end")
    return Lap(start=moments[0] if len(moments) == 2 else None, end=moments[-1])


def _bad_lap(number: int, detail: str) -> Unprocessable:
    return Unprocessable(f"lap {number} {detail}", about(detail, f"laps[{number - 1}]"))


def _require_within(held: LapsHeld, known: list[Lap], added: list[Lap]) -> None:
    """Raises Unprocessable for a new lap with nothing of the ride, as far as its time is known."""
    marks = {_mark(lap) for lap in known}
    for number, lap in enumerate(added, 1):
        is_before = held.first is not None and lap.end <= held.first
        is_after = held.last is not None and lap.start is not None and lap.start > held.last
        if (is_before or is_after) and _mark(lap) not in marks:
            raise _bad_lap(number, "is outside the time of the ride")


def _joined(known: list[Lap], added: list[Lap]) -> list[Lap]:
    """All of them; of equal ones, those that are known."""
    laps = {_mark(lap): lap for lap in [*reversed(added), *reversed(known)]}
    return sorted(laps.values(), key=lambda lap: lap.end)


def _mark(lap: Lap) -> tuple[int | None, int]:
    return None if lap.implied else lap.start, lap.end


OPERATIONS = Operations(
    "workouts",
    "Rides: start, list, change, end",
    (
        Operation(
            "POST",
            "/api/workouts/{id}/laps",
            add_laps,
            {HTTPStatus.ACCEPTED: WorkoutChange},
            "upload",
            body={JSON: LapMarks},
            example={"laps": [{"end": 1700000300000}]},
            refusals=CONFLICT,
        ),
    ),
)
