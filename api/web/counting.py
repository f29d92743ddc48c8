"""Counts every request by the route that served it, and by its answer."""

import time
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.monitoring.counts import RequestCounts

_NO_ROUTE: Final = "none"  # a path that does not exist


class CountRequests:
    """Around the whole application. ``first``: the path of what is served past the router."""

    def __init__(self, app: ASGIApp, first: str) -> None:
        self._app = app
        self._first = first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, and count what was answered; a WebSocket's handshake is no request here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note_status)
        finally:
            if status:  # else the client has gone before its answer
                counts: RequestCounts = scope["state"]["counts"]
                counts.note_answer(scope["method"], self._route_of(scope), status, began)

    def _route_of(self, scope: Scope) -> str:
        route: Any = scope.get("route")
        if route is None:
            return self._first if "path_params" in scope else _NO_ROUTE
        path: str = route.path
        return path
