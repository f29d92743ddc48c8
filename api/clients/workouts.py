"""The ride that a stream feeds."""

from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from api.clients.state import ClientsRequest
from api.identity.auth import Caller
from api.web.problems import BadRequest, NotFound
from api.web.responses import json_response
from api.web.routing import Operation, Operations
from api.workouts.store import find_by_stream
from api.workouts.streams import checked_name

STREAM_IN_PATH: Final = "by-stream"


async def get_by_stream(request: ClientsRequest, caller: Caller) -> Response:
    """The ride under way that the stream of this name feeds."""
    try:
        name = checked_name(request.path_params["name"])
    except BadRequest:
        raise NotFound("no active workout has this stream") from None
    workout = await find_by_stream(request.state["database"], caller.user_id, name)
    if workout is None:
        raise NotFound("no active workout has this stream")
    return json_response(workout)


OPERATIONS: Final = Operations(
    "workouts",
    "Rides by their streams, for clients of the original service",
    (
        Operation(
            "GET",
            f"/api/workouts/{STREAM_IN_PATH}/{{name}}",
            get_by_stream,
            {HTTPStatus.OK: dict},
            "read",
        ),
    ),
)
