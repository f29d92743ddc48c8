"""Keys in a browser's cookie, and the proof that a page of ours made the request.

A browser adds cookies by itself, whoever made it send the request. So whatever changes anything
also carries a token that only pages of ours can read; see `form_token`.
"""

import hmac
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import Response

from api.web.headers import header
from api.web.problems import Forbidden
from shared.settings import Settings

CSRF_HEADER: Final = "X-CSRF-Token"
_SESSION: Final = "session"
_VISIT: Final = "visit"
_SAFE: Final = ("GET", "HEAD")
# What browsers say of who made them ask; those that are too old to say it send no such header.
_OURS: Final = ("", "same-origin", "none")


def session_key(request: HTTPConnection[Any]) -> str | None:
    """The key that the browser signed in with."""
    return _cookie(request, _SESSION)


def visit_secret(request: HTTPConnection[Any]) -> str | None:
    """What tells a browser that has not signed in from others, for the token of its forms."""
    return _cookie(request, _VISIT)


def key_of_page(request: HTTPConnection[Any]) -> str | None:
    """The key in the cookie of a request to the API by a script or a link of our own pages.

    None for requests of other origins, and for WebSockets, which any page may open. Raises
    Forbidden for one that changes something without the token.
    """
    if request.scope["type"] != "http" or header(request, b"sec-fetch-site") not in _OURS:
        return None
    key = session_key(request)
    if key and request.scope["method"] not in _SAFE:
        require_token(key, header(request, CSRF_HEADER.lower().encode()))
    return key


def form_token(secret: str) -> str:
    """The token of the forms and scripts of whoever has this secret in a cookie."""
    digest = hmac.digest(secret.encode(), b"form", sha256)
    return urlsafe_b64encode(digest).decode().rstrip("=")


def require_token(secret: str, token: str) -> None:
    """Raises Forbidden unless it is the secret's token."""
    if not hmac.compare_digest(form_token(secret).encode(), token.encode()):
        raise Forbidden(f"the form has expired: load the page again ({CSRF_HEADER})")


def keep_session(
    response: Response, request: HTTPConnection[Any], key: str, expires_at: datetime | None
) -> None:
    """Have the browser send the key along; until it is closed, if the key does not expire."""
    left = int((expires_at - datetime.now(UTC)).total_seconds()) if expires_at else None
    _set_cookie(response, request, _SESSION, key, left)


def keep_visit(response: Response, request: HTTPConnection[Any], secret: str) -> None:
    """Have the browser send the secret along until it is closed."""
    _set_cookie(response, request, _VISIT, secret, None)


def drop_session(response: Response, request: HTTPConnection[Any]) -> None:
    """Have the browser forget the key."""
    _set_cookie(response, request, _SESSION, "", 0)


def _cookie(request: HTTPConnection[Any], name: str) -> str | None:
    return request.cookies.get(_full_name(request, name)) or None


def _set_cookie(
    response: Response, request: HTTPConnection[Any], name: str, value: str, age: int | None
) -> None:
    response.set_cookie(
        _full_name(request, name),
        value,
        age,
        path="/",
        secure=_is_secure(request),
        httponly=True,
        samesite="lax",
    )


def _full_name(request: HTTPConnection[Any], name: str) -> str:
    """By TLS one that browsers let no other host set, not even a neighbour by its domain."""
    return f"__Host-{name}" if _is_secure(request) else name


def _is_secure(request: HTTPConnection[Any]) -> bool:
    settings: Settings = request.scope["state"]["settings"]
    return "https" in (request.scope.get("scheme"), urlsplit(settings.public_url).scheme)
