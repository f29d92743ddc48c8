"""The athlete's thresholds, each from a day on, and the recomputation that a change asks for."""

from collections.abc import Mapping
from datetime import date
from http import HTTPStatus
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET, Struct, UnsetType, structs
from starlette.responses import Response

from api.identity.auth import Caller
from api.identity.profile import time_zone_or_own
from api.identity.state import IdentityRequest, IdentityState
from api.season import store
from api.season.sport import SportName, one_or_all
from api.season.store import Beats, Joules, Kilograms, Recompute, Source, Thresholds, Watts
from api.web.body import JSON, read_json
from api.web.problems import Conflict, Fault, LimitReached, Unprocessable
from api.web.query import read_query, workout_id_of
from api.web.responses import json_response
from api.web.routing import CONFLICT, Operation, Operations
from api.workouts.answers import require_workout
from api.workouts.listing import Sport
from shared.sports import ALL, CYCLING, sport_family

_LONGEST_SOURCE: Final = 100
MOST_DAYS: Final = 2_000  # with figures of a user: a new one each week for 38 years


class PutThresholds(Struct, rename="camel"):
    """Figures to give for a day; absent ones stay as they were, null takes one back.

    They hold for one sport, but for weight and maximum heart rate, which are the body's. The
    weights of all days are the weight history, by which W/kg are computed.
    """

    effective_from: date
    sport: Sport = CYCLING
    ftp: Watts | UnsetType | None = UNSET
    critical_power: Watts | UnsetType | None = UNSET
    w_prime: Joules | UnsetType | None = UNSET
    threshold_heartrate: Beats | UnsetType | None = UNSET
    max_heartrate: Beats | UnsetType | None = UNSET
    weight: Kilograms | UnsetType | None = UNSET
    source: Source | UnsetType | None = UNSET


class ThresholdsQuery(Struct):
    """Which figures."""

    sport: SportName = CYCLING


class ThresholdsList(Struct):
    """Every day's figures as they were given, the newest first: the history of FTP and the rest."""

    sport: str
    thresholds: list[Thresholds]


class ThresholdsChange(Struct):
    """The figures as they are now, and how many workouts they touch."""

    thresholds: Thresholds
    recompute: Recompute
    success: bool = True


async def get_thresholds(request: IdentityRequest, caller: Caller) -> Response:
    """Every figure the caller gave for a sport, with its day."""
    name, sport = one_or_all(read_query(request, ThresholdsQuery).sport)
    thresholds = await store.list_thresholds(request.state["database"], caller.user_id, sport)
    return json_response(ThresholdsList(name, thresholds))


async def put_thresholds(request: IdentityRequest, caller: Caller) -> Response:
    """Give figures that hold from a day on, or take that day's back with null.

    The workouts of the sport from that day on are computed anew by the workers; those of every
    sport, if a figure of the body has changed; none, if all of them are as they were.
    """
    state = request.state
    wanted = await read_json(request, PutThresholds, state["settings"])
    sport, figures = _one_sport(wanted.sport), structs.asdict(wanted)
    given = {name: each for name, each in figures.items() if each is not UNSET and name != "sport"}
    return json_response(await give_thresholds(state, caller, sport, given))


async def take_device_ftp(request: IdentityRequest, caller: Caller) -> Response:
    """Let the FTP that a ride's device worked with hold from the day of the ride on.

    It is `device.thresholdPower` of the workout, and becomes the FTP of the workout's sport as if
    it were given by `PUT /api/users/me/thresholds`, in place of one given for that day.
    """
    state = request.state
    workout = await require_workout(state, workout_id_of(request), caller)
    zone = ZoneInfo(await time_zone_or_own(state, caller, None))
    device: Any = workout.device or {}
    given = {
        "effective_from": workout.start_time.astimezone(zone).date(),
        "ftp": _plausible_ftp(device.get("thresholdPower")),
        "source": _named(device),
    }
    return json_response(await give_thresholds(state, caller, sport_family(workout.sport), given))


async def get_recompute(request: IdentityRequest, caller: Caller) -> Response:
    """How far the recomputation of the caller's workouts has come."""
    return json_response(await store.count_stale(request.state["database"], caller.user_id))


async def give_thresholds(
    state: IdentityState, caller: Caller, sport: str, given: Mapping[str, Any]
) -> ThresholdsChange:
    """Let figures of a sport, by their columns, hold from a day on. Raises Conflict."""
    await _require_room(state, caller, sport, given["effective_from"])
    thresholds = await store.put_thresholds(state["database"], caller.user_id, sport, given)
    return ThresholdsChange(thresholds, await store.count_stale(state["database"], caller.user_id))


def _plausible_ftp(told: float | None) -> float:
    """Raises Conflict where the device told none, or none that anybody has."""
    if told is None:
        raise Conflict("no file of this ride says by which FTP its device went")
    try:
        return msgspec.convert(told, Watts)
    except msgspec.ValidationError:
        raise Conflict(f"{told:g} W is nobody's FTP") from None


def _named(device: Mapping[str, Any]) -> str:
    """The device by its name, if it told one."""
    name = " ".join(filter(None, (device.get("maker"), device.get("product"))))
    return name[:_LONGEST_SOURCE] or "device"


def _one_sport(name: str) -> str:
    """Its family. Raises Unprocessable for all of them, as queries have it."""
    family = sport_family(name)
    if family == ALL:
        detail = "give figures for one sport at a time"
        raise Unprocessable(f"sport: {detail}", [Fault(detail, "sport")])
    return family


async def _require_room(state: IdentityState, caller: Caller, sport: str, day: date) -> None:
    """Raises Conflict. A day that has figures of the sport already may get others."""
    given = await store.list_thresholds(state["database"], caller.user_id)
    known = {(each.sport, each.effective_from) for each in given}
    if len(given) >= MOST_DAYS and (sport, day) not in known:
        most = f"there are figures for {MOST_DAYS} days already"
        raise LimitReached(f"{most}: take back those of one")


OPERATIONS = Operations(
    "athlete",
    "The profile, and the figures that rides are judged by",
    (
        Operation(
            "GET",
            "/api/users/me/thresholds",
            get_thresholds,
            {HTTPStatus.OK: ThresholdsList},
            "read",
            query=ThresholdsQuery,
            takes_athlete=True,
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
            "POST",
            "/api/workouts/{id}/take-ftp",
            take_device_ftp,
            {HTTPStatus.OK: ThresholdsChange},
            "admin",
            refusals={HTTPStatus.CONFLICT: "The ride's device told no FTP"},
        ),
        Operation(
            "GET",
            "/api/users/me/recompute",
            get_recompute,
            {HTTPStatus.OK: Recompute},
            "read",
            takes_athlete=True,
        ),
    ),
)
