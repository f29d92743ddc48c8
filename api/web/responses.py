"""JSON bodies by msgspec."""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from starlette.responses import Response


def json_response(
    value: object, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    """A value of builtin types or structs, as JSON."""
    return Response(msgspec.json.encode(value), status, headers, "application/json")
