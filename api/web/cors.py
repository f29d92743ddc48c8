"""Which web pages of other origins may use the API: those of CORS_ORIGINS, by default none.

A key goes in a header, which no browser adds by itself; the cookie of our own pages is of no use to
others: see `api/identity/cookies.py`.
"""

from collections.abc import Collection
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.web.headers import header
from api.web.problems import Forbidden

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_SENT: Final = (
    *("Content-Type", "X-API-Key", "Authorization", "Cache-Control"),
    *("Content-Encoding", "Prefer", "Last-Event-ID", "Idempotency-Key", "If-None-Match"),
)
_EXPOSED: Final = (
    *("Location", "Retry-After", "RateLimit", "RateLimit-Policy"),
    *("Preference-Applied", "WWW-Authenticate", "ETag", "X-Request-Id"),
)
_MAX_AGE: Final = 600  # seconds for which browsers may remember a preflight's answer
_ALLOWS: Final = [
    ("Access-Control-Allow-Methods", ", ".join(_METHODS)),
    ("Access-Control-Allow-Headers", ", ".join(_SENT)),
    ("Access-Control-Expose-Headers", ", ".join(_EXPOSED)),
]


class AllowOrigins:
    """An ASGI layer that lets pages of these origins read every answer; ``*`` stands for all.

    Refusals and event streams have the headers as well, and whoever names no origin gets them, so
    that what stands between may keep an answer. OPTIONS is answered here: it needs no key, and is
    200 for whatever origin; one that is not named is not told that it may.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origin = header(HTTPConnection[Any](scope), b"origin")
        allows = headers_for(origin, self._origins)
        if scope["method"] == "OPTIONS":
            await self._answer_preflight(allows)(scope, receive, send)
            return

        async def send_allowing(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                for name, value in allows:
                    answered[name] = value
                if "*" not in self._origins:
                    answered.add_vary_header("Origin")
            await send(message)

        await self._app(scope, receive, send_allowing)

    def _answer_preflight(self, allows: list[tuple[str, str]]) -> Response:
        headers = dict(allows) | {"Access-Control-Max-Age": str(_MAX_AGE), "Vary": "Origin"}
        return Response(status_code=200, headers=headers)


def headers_for(origin: str, origins: Collection[str]) -> list[tuple[str, str]]:
    """What an answer says to a page of this origin, empty where none is named."""
    named = _named_for(origin, origins)
    return [("Access-Control-Allow-Origin", named), *_ALLOWS] if named else _ALLOWS


def _named_for(origin: str, origins: Collection[str]) -> str:
    """What is said to be allowed; nothing to an origin that is not."""
    if "*" in origins:
        return "*"
    if not origin and len(origins) == 1:
        return next(iter(origins))
    return origin if origin in origins else ""


def is_from_elsewhere(connection: HTTPConnection[Any], origins: Collection[str]) -> bool:
    """Whether a page of neither these origins nor this host makes the request.

    Devices send no ``Origin``, and libraries that do send the host they call.
    """
    origin = header(connection, b"origin")
    if not origin or "*" in origins or origin in origins:
        return False
    return urlsplit(origin).netloc != header(connection, b"host")


def require_origin(connection: HTTPConnection[Any], origins: Collection[str]) -> None:
    """Raises Forbidden for a handshake of a page of neither these origins nor this host.

    Browsers open WebSockets to any host without asking it first.
    """
    if is_from_elsewhere(connection, origins):
        raise Forbidden("pages of this origin may not connect")
