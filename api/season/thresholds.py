"""The athlete's thresholds, each from a day on, and the recomputation that a change asks for."""

from datetime import date
from http import HTTPStatus
from typing import Final

from msgspec import UNSET, Struct, UnsetType, structs
from starlette.responses import Response

from api.identity.auth import Caller
from api.identity.state import IdentityRequest, IdentityState
from api.season import store
from api.season.store import Beats, Joules, Kilograms, Recompute, Source, Thresholds, Watts
from api.web.body import JSON, read_json
from api.web.problems import Conflict
from api.web.responses import json_response
from api.web.routing import CONFLICT, Operation, Operations

MOST_DAYS: Final = 2_000  # with figures of a user: a new one each week for 38 years


class PutThresholds(Struct, rename="camel"):
    """Figures to give for a day; absent ones stay as they were, null takes one back.

    The weights of all days are the weight history, by which W/kg are computed.
    """

    effective_from: date
    ftp: Watts | UnsetType | None = UNSET
    critical_power: Watts | UnsetType | None = UNSET
    w_prime: Joules | UnsetType | None = UNSET
    threshold_heartrate: Beats | UnsetType | None = UNSET
    max_heartrate: Beats | UnsetType | None = UNSET
    weight: Kilograms | UnsetType | None = UNSET
    source: Source | UnsetType | None = UNSET


class ThresholdsList(Struct):
    """Every day's figures as they were given, the newest first: the history of FTP and the rest."""

    thresholds: list[Thresholds]


class ThresholdsChange(Struct):
    """The figures as they are now, and how many workouts they touch."""

    thresholds: Thresholds
    recompute: Recompute
    success: bool = True


async def get_thresholds(request: IdentityRequest, caller: Caller) -> Response:
    """Every figure the caller gave, with its day."""
    thresholds = await store.list_thresholds(request.state["database"], caller.user_id)
    return json_response(ThresholdsList(thresholds))


async def put_thresholds(request: IdentityRequest, caller: Caller) -> Response:
    """Give figures that hold from a day on, or take that day's back with null.

    The workouts from that day on are computed anew by the workers.
    """
    state = request.state
    wanted = await read_json(request, PutThresholds, state["settings"])
    given = {name: value for name, value in structs.asdict(wanted).items() if value is not UNSET}
    await _require_room(state, caller, wanted.effective_from)
    thresholds = await store.put_thresholds(state["database"], caller.user_id, given)
    recompute = await store.count_stale(state["database"], caller.user_id)
    return json_response(ThresholdsChange(thresholds, recompute))


async def get_recompute(request: IdentityRequest, caller: Caller) -> Response:
    """How far the recomputation of the caller's workouts has come."""
    return json_response(await store.count_stale(request.state["database"], caller.user_id))


async def _require_room(state: IdentityState, caller: Caller, day: date) -> None:
    """Raises Conflict. A day that has figures already may get others."""
    given = await store.list_thresholds(state["database"], caller.user_id)
    if len(given) >= MOST_DAYS and day not in {each.effective_from for each in given}:
        raise Conflict(f"there are figures for {MOST_DAYS} days already: take back those of one")


OPERATIONS = Operations(
    "riders",
    "The profile, and the figures that rides are judged by",
    (
        Operation(
            "GET",
            "/api/users/me/thresholds",
            get_thresholds,
            {HTTPStatus.OK: ThresholdsList},
            "read",
        ),
        Operation(
            "PUT",
            "/api/users/me/thresholds",
            put_thresholds,
            {HTTPStatus.OK: ThresholdsChange},
            "admin",
            body={JSON: PutThresholds},
            example={"effectiveFrom": "2026-01-01", "ftp": 250},
            refusals=CONFLICT,
        ),
        Operation(
            "GET", "/api/users/me/recompute", get_recompute, {HTTPStatus.OK: Recompute}, "read"
        ),
    ),
)
