"""A line for each request, where ACCESS_LOG asks for it: what was asked, by whom, what came of it.

`GET /api/workouts/{id} 200 12.3 ms user=… workout=… request=…`: the path is the route's, so that
lines can be counted, and nothing that opens something is in it. Without the setting there is no
such layer.
"""

import logging
import re
import time
from typing import Any, Final
from uuid import uuid4

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.web.headers import header

HEADER: Final = "X-Request-Id"
_KEY: Final = "request_id"  # in the scope
_GOOD: Final = re.compile("[A-Za-z0-9._:/+=@-]{1,128}")
_RIDES: Final = ("/api/workouts/", "/rides/")
logger = logging.getLogger(__name__)


def told_id(scope: Scope) -> str:
    """The id of a request, for the end of a line that the log has of it; nothing without one."""
    return f" (request {scope[_KEY]})" if _KEY in scope else ""


def route_of(scope: Scope) -> str:
    """The path with the names of its parameters, which may open a ride; `-` if it is not served."""
    if "path_params" not in scope:
        return "-"
    names = {str(value): f"{{{name}}}" for name, value in scope["path_params"].items()}
    return "/".join(names.get(step, step) for step in scope["path"].split("/"))


class AccessLog:
    """An ASGI layer that logs each request when its answer has ended, a WebSocket when it closes.

    A proxy's `X-Request-Id` is kept, else one is made; the answer has it, and so have the lines
    about what could not be served.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the application."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0
        scope[_KEY] = _id_of(scope)

        async def noting(message: Message) -> None:
            nonlocal status
            if found := _status_of(message):
                status = status or found
                MutableHeaders(scope=message)[HEADER] = scope[_KEY]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            logger.info("%s", _line(scope, status, 1000 * (time.perf_counter() - began)))


def _id_of(scope: Scope) -> str:
    given = header(HTTPConnection[Any](scope), HEADER.lower().encode())
    return given if _GOOD.fullmatch(given) else uuid4().hex


def _status_of(message: Message) -> int | None:
    """The status that a message begins an answer with."""
    match message["type"]:
        case "http.response.start" | "websocket.http.response.start":
            return int(message["status"])
        case "websocket.accept":
            return 101
    return None


def _line(scope: Scope, status: int, milliseconds: float) -> str:
    """`-` for what there is none of: a status where the client was gone first."""
    method = scope.get("method", "WEBSOCKET")
    who = f"user={scope.get('user_id', '-')} workout={_workout_of(scope)}"
    said = f"{method} {route_of(scope)} {status or '-'} {milliseconds:.1f} ms"
    return f"{said} {who} request={scope[_KEY]}"


def _workout_of(scope: Scope) -> str:
    is_ride = scope["path"].startswith(_RIDES)
    return str(scope.get("path_params", {}).get("id", "-")) if is_ride else "-"
