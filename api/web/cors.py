"""Which web pages of other origins may use the API: those of CORS_ORIGINS, by default none.

A key goes in a header, which no browser adds by itself; the cookie of our own pages is of no use to
others: see `api/identity/cookies.py`.
"""

from collections.abc import Collection
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp

from api.web.headers import header
from api.web.problems import Forbidden

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_SENT: Final = (
    *("Authorization", "X-API-Key", "Content-Type", "Content-Encoding", "Prefer"),
    "If-None-Match",
)
_EXPOSED: Final = (
    *("Location", "Retry-After", "RateLimit", "RateLimit-Policy"),
    *("Preference-Applied", "WWW-Authenticate", "ETag"),
)


def allow_origins(app: ASGIApp, origins: Collection[str]) -> ASGIApp:
    """Let pages of these origins read the application's answers; ``*`` stands for all origins."""
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=_METHODS,
        allow_headers=_SENT,
        expose_headers=_EXPOSED,
    )


def require_origin(connection: HTTPConnection[Any], origins: Collection[str]) -> None:
    """Raises Forbidden for a handshake of a page of neither these origins nor this host.

    Browsers open WebSockets to any host without asking it first. Devices send no ``Origin``, and
    libraries that do send the host they call.
    """
    origin = header(connection, b"origin")
    if not origin or "*" in origins or origin in origins:
        return
    if urlsplit(origin).netloc != header(connection, b"host"):
        raise Forbidden("pages of this origin may not connect")
