"""The user as clients of the original service know one: profile, totals, FTP."""

import math
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta
from starlette.responses import Response

from api.clients import store
from api.clients.bodies import read_object
from api.clients.state import ClientsRequest
from api.identity.auth import Caller
from api.identity.profile import show_rider, time_zone_or_own
from api.season.store import Source
from api.season.thresholds import give_thresholds
from api.web.problems import BadRequest, NotFound
from api.web.responses import json_response
from api.web.routing import Operation, Operations
from shared.sports import CYCLING

_USUAL_SOURCE: Final = "manual"
# What these clients are to have taken, as far as figures that divide by it stay finite.
_Ftp: Final = Annotated[float, Meta(ge=1e-6, le=1e6)]


async def get_user(request: ClientsRequest, caller: Caller) -> Response:
    """The caller's own profile."""
    _require_own(request, caller)
    return await show_rider(request.state, caller.user_id)


async def get_totals(request: ClientsRequest, caller: Caller) -> Response:
    """How many rides the caller has completed, and how long they took."""
    _require_own(request, caller)
    return json_response(await store.count_rides(request.state["database"], caller.user_id))


async def put_ftp(request: ClientsRequest, caller: Caller) -> Response:
    """Let an FTP of cycling hold from today on, as `PUT /api/users/me/thresholds` does."""
    _require_own(request, caller)
    state, body = request.state, await read_object(request)
    ftp, source = _ftp_of(body.get("ftp")), _source_of(body.get("source"))
    zone = ZoneInfo(await time_zone_or_own(state, caller, None))
    today = datetime.now(UTC).astimezone(zone).date()
    given = {"effective_from": today, "ftp": ftp, "source": source}
    await give_thresholds(state, caller, CYCLING, given)
    await store.note_ftp(state["database"], caller.user_id, today, ftp, source)
    return json_response({"ftp": ftp})


async def list_ftp(request: ClientsRequest, caller: Caller) -> Response:
    """Every FTP of cycling that the caller was given, newest first."""
    _require_own(request, caller)
    zone = await time_zone_or_own(request.state, caller, None)
    return json_response(await store.list_ftp(request.state["database"], caller.user_id, zone))


def _require_own(request: ClientsRequest, caller: Caller) -> None:
    """Raises NotFound for the id of another user, as for one of nobody."""
    named = request.path_params["id"].lower()
    if named not in ("me", str(caller.user_id)):
        raise NotFound("no such user")


def _ftp_of(given: object) -> float:
    """Raises BadRequest."""
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < math.inf:
        raise BadRequest("ftp must be a number greater than 0")
    return float(_converted(given, _Ftp, f"{given:g} W cannot be reckoned with"))


def _source_of(given: object) -> str:
    """Raises BadRequest."""
    if given is None or given == "":
        return _USUAL_SOURCE
    return str(_converted(given, Source, "source must be a text of at most 100 characters"))


def _converted(given: object, kind: Any, otherwise: str) -> Any:
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError:
        raise BadRequest(otherwise) from None


OPERATIONS: Final = Operations(
    "users",
    "The user, for clients of the original service",
    (
        Operation("GET", "/api/users/{id}", get_user, {HTTPStatus.OK: dict}, "read"),
        Operation("GET", "/api/users/{id}/stats", get_totals, {HTTPStatus.OK: dict}, "read"),
        Operation("PUT", "/api/users/{id}/ftp", put_ftp, {HTTPStatus.OK: dict}, "admin"),
        Operation("GET", "/api/users/{id}/ftp-history", list_ftp, {HTTPStatus.OK: list}, "read"),
    ),
)
