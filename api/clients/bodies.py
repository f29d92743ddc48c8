"""JSON bodies as these clients send them, and refused as they expect it."""

from typing import Any

import msgspec

from api.web.body import MOST_BODY, read_body, refuse_form
from api.web.problems import BadRequest
from api.web.state import Request
from api.web.syntax import json_fault


async def read_object(request: Request[Any]) -> dict[str, Any]:
    """The members of the body; none of an empty one. Whatever else it is, is 400, or 413.

    Raises BadRequest, TooLarge, RequestTimeout, ServiceUnavailable.
    """
    refuse_form(request)
    body = await read_body(request, request.state["settings"], most=MOST_BODY)
    try:
        members = msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise BadRequest(f"the body is not JSON: {json_fault(error)}") from None
    if not isinstance(members, dict):
        raise BadRequest("send a JSON object")
    return members
