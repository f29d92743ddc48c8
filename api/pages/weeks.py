"""Rides as a calendar: a week a row, with its totals at the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from starlette.responses import Response

from api.identity.auth import Caller
from api.identity.local_days import in_zone
from api.identity.state import IdentityState
from api.ingest.state import IngestState
from api.pages.ride_rows import RideRow, row_of
from api.pages.templates import page
from api.pages.visitor import PagesRequest, Visitor
from api.season import store
from api.season.store import Period, Totals
from api.web.problems import Unprocessable
from api.workouts.listing import Listing, ListQuery
from api.workouts.routes import read_list
from shared.listing import Order

_WEEKS: Final = 6
_WEEK: Final = timedelta(days=7)
_MOST_PAGES: Final = 5  # of 100 rides each


@dataclass(frozen=True)
class Day:
    """A day, and its rides in order."""

    date: date
    rides: list[RideRow]
    is_today: bool
    is_ahead: bool


@dataclass(frozen=True)
class Week:
    """From ``monday`` on; ``totals`` is None without completed rides."""

    monday: date
    days: list[Day]
    totals: Totals | None
    stress_width: float


def today_of(time_zone: str) -> date:
    """Which day it is for the rider."""
    return datetime.now(UTC).astimezone(ZoneInfo(time_zone)).date()


def monday_of(day: date) -> date:
    """The first day of its week."""
    return day - timedelta(days=day.weekday())


def period_of_days(first: date, end: date, time_zone: str) -> Period:
    """From the first moment of a day to that of another."""
    return Period(_midnight(first, time_zone), _midnight(end, time_zone))


async def show_weeks(request: PagesRequest, visitor: Visitor) -> Response:
    """Six weeks, to the one that ``to`` lies in, or this one."""
    zone = visitor.user.rider.time_zone
    today = today_of(zone)
    last = monday_of(_day_of(request.query_params.get("to"), today))
    first = last - (_WEEKS - 1) * _WEEK
    caller = visitor.user.caller
    rides = await _rides_between(request.state, caller, first, last + _WEEK)
    totals = await weekly_totals(request.state, caller, zone, first, last + _WEEK)
    by_day = _by_day(rides, zone)
    mondays = [last - at * _WEEK for at in range(_WEEKS)]
    return page(
        "weeks.html",
        visitor,
        weeks=[_week(monday, by_day, totals, today) for monday in mondays],
        first=first,
        end=last + timedelta(days=6),
        latest=monday_of(today) + timedelta(days=6),
        earlier=first - _WEEK,
        later=last + _WEEKS * _WEEK if last < monday_of(today) else None,
    )


async def weekly_totals(
    state: IdentityState, caller: Caller, zone: str, first: date, end: date
) -> dict[date, Totals]:
    """Of every sport, by the Monday of each week that has completed rides."""
    period = period_of_days(first, end, zone)
    found = await store.list_totals(state["database"], caller.user_id, None, "week", zone, period)
    return {each.start: each for each in found}


def _day_of(text: str | None, today: date) -> date:
    """Raises Unprocessable."""
    try:
        day = date.fromisoformat(text) if text else today
    except ValueError:
        raise Unprocessable(f"to={text!r} is not a date") from None
    return min(max(day, date(2000, 1, 1)), today)


async def _rides_between(
    state: IngestState, caller: Caller, first: date, end: date
) -> list[RideRow]:
    """Oldest first."""
    query: Listing = ListQuery(limit=100, order=Order.ASC, from_=str(first), to=str(end))
    rides: list[RideRow] = []
    for _ in range(_MOST_PAGES):
        found = await read_list(state, caller, query)
        rides += map(row_of, found.workouts)
        query.cursor = found.pagination.next_cursor
        if query.cursor is None:
            break
    return rides


def _by_day(rides: Sequence[RideRow], zone: str) -> dict[date, list[RideRow]]:
    days: dict[date, list[RideRow]] = {}
    for ride in rides:
        days.setdefault(ride.started_at.astimezone(ZoneInfo(zone)).date(), []).append(ride)
    return days


def _week(
    monday: date,
    rides: Mapping[date, list[RideRow]],
    totals: Mapping[date, Totals],
    today: date,
) -> Week:
    days = [monday + timedelta(days=at) for at in range(7)]
    highest = max((each.training_stress_score or 0 for each in totals.values()), default=0)
    found = totals.get(monday)
    stress = (found.training_stress_score if found else None) or 0
    return Week(
        monday,
        [Day(day, rides.get(day, []), day == today, day > today) for day in days],
        found,
        round(100 * stress / highest, 2) if highest else 0,
    )


def _midnight(day: date, time_zone: str) -> datetime | None:
    return in_zone(datetime(day.year, day.month, day.day), time_zone)
