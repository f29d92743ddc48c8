"""The account: what is the rider's, and who may see it. Its forms are sent by `account.js`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import msgspec
from starlette.responses import Response

from api.identity import store as identity
from api.identity.profile import storage_of
from api.identity.wire import Key
from api.pages.formats import Formats, Shown
from api.pages.ride_rows import row_of
from api.pages.routing import Page
from api.pages.templates import page
from api.pages.visitor import PagesRequest, Visitor
from api.pages.weeks import today_of
from api.season import store as season
from api.season.store import Thresholds
from api.sharing import store as sharing
from api.web.query import time_zones
from api.workouts.listing import Listing, ListQuery
from api.workouts.routes import read_list
from shared.sports import CYCLING

SPORTS: Final = ("cycling", "e-bike", "running", "rowing", "walking", "swimming", "handcycling")
# What a figure of the thresholds is called, and its unit; in the order of the table.
FIGURES: Final = (
    ("ftp", "FTP", "W"),
    ("critical_power", "Critical power", "W"),
    ("w_prime", "W′", "kJ"),
    ("threshold_heartrate", "Threshold heart rate", "bpm"),
    ("max_heartrate", "Highest heart rate", "bpm"),
    ("weight", "Weight", "kg"),
)
_RIDES: Final = 30  # whose beginnings may be hidden by a choice from a list
_MONTH: Final = timedelta(days=30)
_USES: Final = {
    "upload": "send rides",
    "read": "read everything",
    "admin": "change and delete",
}


@dataclass(frozen=True)
class ThresholdRow:
    """Figures from a day on, as they are read."""

    sport: str
    effective_from: date
    values: list[Shown]
    per_kilogram: str | None
    source: str | None


@dataclass(frozen=True)
class Step:
    """An FTP of cycling that held for a while.

    In percents of a drawing: from ``left`` to ``right``, and from the lowest to the highest FTP.
    """

    ftp: str
    effective_from: date
    left: float
    right: float
    height: float


@dataclass(frozen=True)
class KeyRow:
    """A key, and what it may do. ``is_own``: the one that this browser has signed in with."""

    key: Key
    uses: str
    is_own: bool


async def show_account(request: PagesRequest, visitor: Visitor) -> Response:
    """The account page."""
    database, user = request.state["database"], visitor.user
    caller = user.caller
    given = await season.list_thresholds(database, caller.user_id)
    hidden = await sharing.get_hidden(database, caller.user_id)
    query: Listing = ListQuery(limit=_RIDES)
    rides = await read_list(request.state, caller, query)
    keys = await identity.list_keys(database, caller.user_id) if user.may_change else []
    return page(
        "account.html",
        visitor,
        rider=user.rider,
        storage=await storage_of(request.state, caller.user_id),
        today=today_of(user.rider.time_zone),
        columns=_columns(given),
        thresholds=[_threshold_row(each, visitor.formats) for each in given],
        history=history_of(given, today_of(user.rider.time_zone), visitor.formats),
        recompute=await season.count_stale(database, caller.user_id),
        sports=SPORTS,
        keys=[_key_row(each, caller.key_id) for each in keys if not each.session],
        sessions=[_key_row(each, caller.key_id) for each in keys if each.session],
        time_zones=_time_zones(),
        shares=await sharing.list_shares(database, caller.user_id),
        people=await sharing.list_people(database, caller.user_id),
        places=msgspec.to_builtins(hidden.places),
        rides=[row_of(each) for each in rides.workouts],
    )


def _columns(given: Sequence[Thresholds]) -> list[tuple[int, str]]:
    """The figures that were ever given, by their place in a row, and their names."""
    return [
        (at, title)
        for at, (name, title, _) in enumerate(FIGURES)
        if any(getattr(each, name) is not None for each in given)
    ]


def history_of(given: Sequence[Thresholds], today: date, formats: Formats) -> list[Step]:
    """How the FTP of cycling went, the oldest first; nothing unless it has changed."""
    known = sorted(
        (each.effective_from, each.ftp) for each in given if each.sport == CYCLING and each.ftp
    )
    if len({ftp for _, ftp in known}) < 2:
        return []
    ends = [*(start for start, _ in known[1:]), max(today, known[-1][0] + _MONTH)]
    span = (ends[-1] - known[0][0]).days
    lowest, highest = (found(ftp for _, ftp in known) for found in (min, max))
    return [
        Step(
            formats.number(ftp),
            start,
            round(100 * (start - known[0][0]).days / span, 2),
            round(100 * (end - known[0][0]).days / span, 2),
            round(100 * (ftp - lowest) / (highest - lowest), 2),
        )
        for (start, ftp), end in zip(known, ends, strict=True)
    ]


def _threshold_row(given: Thresholds, formats: Formats) -> ThresholdRow:
    of_weight = given.watts_per_kilogram
    return ThresholdRow(
        given.sport,
        given.effective_from,
        [_value(given, name, unit, formats) for name, _, unit in FIGURES],
        formats.number(of_weight.ftp, 2) if of_weight and of_weight.ftp else None,
        given.source,
    )


def _value(given: Thresholds, name: str, unit: str, formats: Formats) -> Shown:
    value = getattr(given, name)
    if value is None:
        return "", ""
    if name == "w_prime":
        return formats.number(value / 1000, 1), unit
    return formats.weight(value) if name == "weight" else (formats.number(value), unit)


def _key_row(key: Key, own: str) -> KeyRow:
    uses = ", ".join(text for scope, text in _USES.items() if scope in key.scopes)
    return KeyRow(key, uses, key.id == own)


def _time_zones() -> list[str]:
    """Those that places are called by."""
    return sorted(name for name in time_zones() if "/" in name and not name.startswith("Etc/"))


PAGES: Final = (Page("/account", show_account),)
