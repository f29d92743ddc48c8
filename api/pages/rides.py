"""Rides as a list that can be searched and narrowed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response

from api.pages.ride_rows import COLUMNS, Column, row_of
from api.pages.routing import Page
from api.pages.templates import page
from api.pages.visitor import PagesRequest, Visitor
from api.pages.weeks import show_weeks, today_of
from api.web.query import read_query
from api.web.routing import ATHLETE
from api.workouts.listing import Listing, ListQuery
from api.workouts.routes import read_list

_AT_ONCE: Final = 25  # at most
Parameters = Mapping[str, str]


@dataclass(frozen=True)
class Chip:
    """A filter that a click sets or lifts."""

    name: str
    address: str
    is_set: bool


async def show_rides(request: PagesRequest, visitor: Visitor) -> Response:
    """The list, or its weeks."""
    if request.query_params.get("view") == "weeks":
        return await show_weeks(request, visitor)
    query = read_query(request, ListQuery)
    query.limit = min(query.limit, _AT_ONCE)
    found = await read_list(request.state, visitor.user.caller, query)
    chosen = _chosen(request.query_params)
    zone = visitor.user.rider.time_zone
    return page(
        "rides.html",
        visitor,
        rows=[row_of(each) for each in found.workouts],
        total=msgspec.to_builtins(found.pagination).get("total"),
        older=_older(chosen, found.pagination.next_cursor),
        chosen=chosen,
        is_narrowed=bool(chosen.keys() - {ATHLETE}),
        is_later=bool(query.cursor),
        chips=list(_chips(chosen, today_of(zone))),
        columns=list(_columns(query, chosen)),
    )


def _chosen(parameters: Parameters) -> dict[str, str]:
    """What the list was asked for, without the place in it."""
    return {name: text for name, text in parameters.items() if text and name != "cursor"}


def _older(chosen: Parameters, cursor: str | None) -> str | None:
    return _address({**chosen, "cursor": cursor}) if cursor else None


def _address(parameters: Parameters) -> str:
    return "/rides" + (f"?{urlencode(parameters)}" if parameters else "")


def _chips(chosen: Parameters, today: date) -> Iterator[Chip]:
    """Those that exclude one another have the same parameters."""
    year = today.year
    yield _chip(chosen, "This year", {"from": f"{year}-01-01"}, ("to",))
    last_year = {"from": f"{year - 1}-01-01", "to": f"{year}-01-01"}
    yield _chip(chosen, str(year - 1), last_year)
    yield _chip(chosen, "Over 2 h", {"minDuration": "7200"})
    yield _chip(chosen, "Over 4 h", {"minDuration": "14400"})
    yield _chip(chosen, "NP over 200 W", {"minNormalizedPower": "200"})
    yield _chip(chosen, "Under way", {"status": "ACTIVE"})


def _chip(
    chosen: Parameters, name: str, wanted: Parameters, unwanted: tuple[str, ...] = ()
) -> Chip:
    is_set = all(chosen.get(each) == text for each, text in wanted.items())
    is_set = is_set and not any(each in chosen for each in unwanted)
    kept = {each: text for each, text in chosen.items() if each not in (*wanted, *unwanted)}
    return Chip(name, _address(kept if is_set else {**kept, **wanted}), is_set)


def _columns(query: Listing, chosen: Parameters) -> Iterator[Column]:
    for name, sort in COLUMNS:
        is_sorted = query.sort == sort
        falls = is_sorted and query.order == "desc"
        wanted = {**chosen, "sort": sort or "", "order": "asc" if falls else "desc"}
        state = ("descending" if falls else "ascending") if is_sorted else None
        yield Column(name, _address(wanted) if sort else None, state)


PAGES: Final = (Page("/rides", show_rides, takes_athlete=True),)
