"""The start page: for strangers what this is and how to begin; for riders how they are doing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from starlette.responses import Response

from api.pages.form import fitness_data, form_figures, word_for
from api.pages.formats import Formats, Shown
from api.pages.front_ride import find_front_ride
from api.pages.ride_rows import PLAIN_COLUMNS, row_of
from api.pages.routing import Page
from api.pages.templates import page
from api.pages.visitor import PagesRequest, Visitor
from api.pages.weeks import monday_of, today_of, weekly_totals
from api.season import store as season
from api.season.store import Totals
from api.season.totals import FitnessQuery, read_fitness
from api.sharing import store as sharing
from api.workouts.listing import Listing, ListQuery
from api.workouts.routes import read_list

_RIDES: Final = 5
_BEFORE: Final = 4  # weeks
_WEEK: Final = timedelta(days=7)


Read = Callable[[Totals], float | None]
Write = Callable[[float], Shown]


@dataclass(frozen=True)
class Measure:
    """What this week has of something, beside the weeks before it.

    ``heights``: of bars, the oldest first, in percents of the highest. ``usual``: the mean of the
    weeks before.
    """

    name: str
    value: str
    unit: str
    usual: str
    heights: list[float]


async def show_home(request: PagesRequest, visitor: Visitor) -> Response:
    """The start page."""
    if visitor.signed_in:
        return await _show_own(request, visitor)
    registration = request.state["settings"].registration
    ride = await find_front_ride(request.state)
    return page("welcome.html", visitor, registration=registration, ride=ride)


async def _show_own(request: PagesRequest, visitor: Visitor) -> Response:
    state, caller = request.state, visitor.user.caller
    zone = visitor.user.rider.time_zone
    query: Listing = ListQuery(limit=_RIDES)
    rides = await read_list(state, caller, query)
    fitness = await read_fitness(state, caller, FitnessQuery())
    monday = monday_of(today_of(zone))
    weeks = await weekly_totals(state, caller, zone, monday - _BEFORE * _WEEK, monday + _WEEK)
    return page(
        "home.html",
        visitor,
        rows=[row_of(each) for each in rides.workouts],
        form=form_figures(fitness.fitness, visitor.formats),
        word=word_for(fitness.fitness[-1].tsb) if fitness.fitness else "",
        columns=PLAIN_COLUMNS,
        fitness=fitness_data(fitness.fitness),
        measures=_measures(weeks, monday, visitor.formats),
        offered=await sharing.list_offers(state["database"], caller.user_id),
        has_thresholds=bool(await season.list_thresholds(state["database"], caller.user_id)),
    )


def _measures(weeks: Mapping[date, Totals], monday: date, formats: Formats) -> list[Measure]:
    nothing = Totals(monday, 0, 0, 0, 0, 0, 0)
    five = [weeks.get(monday - at * _WEEK, nothing) for at in range(_BEFORE, -1, -1)]
    writers: dict[str, tuple[Read, Write]] = {
        "Time": (lambda week: week.recorded_time, lambda value: (formats.hours(value), "h")),
        "Distance": (lambda week: week.total_distance, lambda value: formats.distance(value, 0)),
        "Work": (lambda week: week.total_energy, lambda value: (formats.number(value), "kJ")),
        "TSS": (lambda week: week.training_stress_score, lambda value: (formats.number(value), "")),
    }
    return [
        _measure(name, [read(week) or 0 for week in five], write)
        for name, (read, write) in writers.items()
    ]


def _measure(name: str, values: Sequence[float], write: Write) -> Measure:
    value, unit = write(values[-1])
    usual, _ = write(sum(values[:-1]) / _BEFORE)
    highest = max(values) or 1
    return Measure(name, value, unit, usual, [round(100 * each / highest, 1) for each in values])


PAGES: Final = (Page("/", show_home, is_public=True),)
