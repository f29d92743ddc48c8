"""The figures of a part of a ride: a worker computes them, by the code that computes all others."""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Final
from uuid import UUID, uuid4

import msgspec
from msgspec import Meta, Struct
from starlette.responses import Response

from api.identity.auth import Caller
from api.identity.local_days import moments_of
from api.web.problems import Unprocessable, about
from api.web.query import Moment, read_query, workout_id_of
from api.web.responses import json_response
from api.web.routing import Operation, Operations
from api.workouts.answers import require_workout
from api.workouts.state import WorkoutsRequest, WorkoutsState
from shared.errors import ServiceUnavailable
from shared.events import MeasureRequest
from shared.measured import Measured
from shared.moments import unix_ms
from shared.redis_keys import SHORT, Queue, measured_key

_LONGEST: Final = timedelta(days=31)
_RETRY_AFTER: Final = 2  # seconds


class RangeQuery(Struct):
    """Which part of the ride; where an end is left open, up to that of the ride."""

    from_: Annotated[Moment | None, Meta(description="From this moment on")] = msgspec.field(
        default=None, name="from"
    )
    to: Annotated[Moment | None, Meta(description="Before this moment")] = None


async def get_figures(request: WorkoutsRequest, caller: Caller) -> Response:
    """The figures of a part of a ride, samples that wait for a worker included.

    W′ balance is that of the whole ride up to there. While the workers are busy, 503.
    """
    query, state = read_query(request, RangeQuery), request.state
    start, end = await moments_of(state, caller, query)
    workout = await require_workout(state, workout_id_of(request), caller)
    return json_response(await measure(state, _request_for(workout.id, start, end)))


async def measure(state: WorkoutsState, wanted: MeasureRequest) -> Measured:
    """A worker's answer. Raises ServiceUnavailable, redis.RedisError."""
    redis = state["redis"]
    if await redis.xlen(Queue.PROMPT) >= SHORT:  # nobody would look at it any more
        raise ServiceUnavailable("the workers are busy", _RETRY_AFTER)

    async def look() -> bytes | None:
        answer: Any = await redis.get(measured_key(wanted.answer_id))
        return answer or None

    await redis.xadd(Queue.PROMPT, wanted.fields())
    patience = state["settings"].service_timeout
    answer = await state["announcements"].wait(wanted.answer_id, look, bool, patience)
    if answer is None:
        raise ServiceUnavailable("no worker has answered", _RETRY_AFTER)
    return msgspec.json.decode(answer, type=Measured)


def _request_for(workout_id: UUID, start: datetime | None, end: datetime | None) -> MeasureRequest:
    """Raises Unprocessable."""
    if start and end and start >= end:
        raise Unprocessable("`from` must be before `to`", about("must be before `to`", "from"))
    if start and end and end - start > _LONGEST:
        detail = f"from `from` to `to` may be {_LONGEST.days} days"
        raise Unprocessable(detail, about(detail, "from", "to"))
    return MeasureRequest(workout_id, uuid4(), unix_ms(start), unix_ms(end))


OPERATIONS = Operations(
    "figures",
    "Of a part of a ride, and what charts are drawn from",
    (
        Operation(
            "GET",
            "/api/workouts/{id}/figures",
            get_figures,
            {HTTPStatus.OK: Measured},
            "read",
            query=RangeQuery,
            takes_athlete=True,
        ),
    ),
)
