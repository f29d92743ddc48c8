"""Conditional requests (RFC 9110, 13): what the client holds already is not sent again.

An answer with an ETag is `private, no-cache`: the client may keep it for itself, and asks each time
whether it still holds. Under `no-store`, as every other answer is, it would have nothing to ask
about. Who asks is authenticated before, so a kept answer tells nobody more than a new one would.
"""

import hashlib
import re
from typing import Any, Final

import msgspec
from starlette.requests import HTTPConnection
from starlette.responses import Response

from api.web.headers import headers

# Beside an ETag, in place of the `private, no-store` of every answer.
KEPT: Final = "private, no-cache"
_TAGS: Final = re.compile(r'(?:W/)?("[^"]*")')


def etag_of(*parts: object) -> str:
    """A strong validator: as other parts have another one. ``bytes`` are taken as they are."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part if isinstance(part, bytes) else msgspec.json.encode(part))
        digest.update(b"\n")
    return f'"{digest.hexdigest()}"'


def holds(request: HTTPConnection[Any], etag: str) -> bool:
    """Whether the client says by `If-None-Match` that it holds what has this ETag."""
    for value in headers(request, b"if-none-match"):
        if value.strip() == "*" or etag in _TAGS.findall(value):
            return True
    return False


def not_modified(etag: str) -> Response:
    """304: what the client holds is still so."""
    return Response(status_code=304, headers={"ETag": etag, "Cache-Control": KEPT})


def tag(response: Response, etag: str) -> Response:
    """The answer, to be kept and asked about by this ETag."""
    response.headers["ETag"] = etag
    response.headers["Cache-Control"] = KEPT
    return response


def answer_unless_held(request: HTTPConnection[Any], response: Response) -> Response:
    """An answer that is built already: 304 where the client holds the same bytes."""
    etag = etag_of(bytes(response.body))
    return not_modified(etag) if holds(request, etag) else tag(response, etag)
