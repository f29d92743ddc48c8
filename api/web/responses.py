"""JSON bodies by msgspec."""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from starlette.responses import Response


def with_members_beside(value: object, **beside: object) -> Response:
    """The members of ``value``, as clients of the original service know it, and others beside them.

    Our own clients find what they know among these: the value by its name.
    """
    others = msgspec.json.encode(beside)
    body = msgspec.json.encode(value)[:-1] + b"," + others[1:]
    return Response(body, media_type="application/json")


def json_response(
    value: object, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    """A value of builtin types or structs, as JSON."""
    return Response(msgspec.json.encode(value), status, headers, "application/json")
