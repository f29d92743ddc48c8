"""The season: is the rider better than before."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

from msgspec import Struct
from starlette.responses import Response

from api.identity.auth import Caller
from api.identity.state import IdentityState
from api.pages.form import fitness_data, form_figures
from api.pages.routing import Page
from api.pages.season_dates import OFFERED, SPANS, Span, Spans, beside_of, spans_of
from api.pages.templates import page
from api.pages.visitor import PagesRequest, Visitor
from api.pages.weeks import period_of_days, today_of
from api.season import store
from api.season.sport import SportName
from api.season.store import CurvePoint, Period, Record, Totals
from api.season.totals import CriticalPower, FitnessQuery, critical_power_of, read_fitness
from api.web.query import read_query
from shared.critical_power import LONGEST, SHORTEST
from shared.sports import CYCLING, sport_family

# Seconds of the efforts that the tables have.
_EFFORTS: Final = (5, 15, 30, 60, 300, 600, 1200, 3600)
_FITNESS_DAYS: Final = timedelta(days=365)
_PERIODS: Final = {"week": 12, "month": 12, "year": 100}  # how many are shown


class SeasonQuery(Struct, rename="camel"):
    """Which dates, beside which others, of which sport; and how totals are grouped.

    Without ``dates``, the shortest of those offered in which the sport was ridden with power.
    """

    dates: Span | None = None
    beside: Span = "year-before"
    first: date | None = None
    last: date | None = None
    other_first: date | None = None
    other_last: date | None = None
    sport: SportName = CYCLING
    by: Literal["week", "month", "year"] = "month"


@dataclass(frozen=True)
class EffortRow:
    """The best of the dates over a duration, and of the others. ``change``: of theirs."""

    seconds: int
    best: CurvePoint | None
    other: CurvePoint | None
    change: float | None

    @property
    def has_weight(self) -> bool:
        """Whether the rider's weight is known on the day of either."""
        return any(each and each.watts_per_kilogram for each in (self.best, self.other))


@dataclass(frozen=True)
class RecordRow:
    """The records over a duration, by metric."""

    seconds: int
    records: dict[str, Record]

    @property
    def has_others(self) -> bool:
        """Whether any is of something else than power."""
        return bool(self.records.keys() - {"power"})

    @property
    def has_power(self) -> bool:
        """Whether any is of power."""
        return "power" in self.records

    @property
    def has_weight(self) -> bool:
        """Whether the rider's weight is known on the day of the record of power."""
        return "power" in self.records and self.records["power"].watts_per_kilogram is not None


@dataclass(frozen=True)
class TotalsRow:
    """``width``: of its time beside the longest, in percents."""

    totals: Totals
    width: float


async def show_season(request: PagesRequest, visitor: Visitor) -> Response:
    """The season page."""
    state, caller = request.state, visitor.user.caller
    query = read_query(request, SeasonQuery)
    zone = visitor.user.rider.time_zone
    today = today_of(zone)
    records = await store.list_records(state["database"], caller.user_id)
    sports = sorted({CYCLING, *(each.sport for each in records)})
    family = _one_of(sports, query.sport)
    query.dates = query.dates or await _dates_ridden(state, caller, zone, family, today)
    query.beside = beside_of(query.dates, query.beside)
    days, other_days = (query.first, query.last), (query.other_first, query.other_last)
    spans = spans_of(query.dates, query.beside, days, other_days, today)
    chosen, other = await _curves(state, caller, zone, family, spans)
    fitness = await read_fitness(state, caller, FitnessQuery(from_=today - _FITNESS_DAYS))
    totals = await store.list_totals(
        state["database"], caller.user_id, None, query.by, zone, Period(None, None)
    )
    return page(
        "season.html",
        visitor,
        query=query,
        family=family,
        sports=sports,
        spans=spans,
        choices=SPANS,
        days_shown=_days_shown(spans),
        curves={"chosen": _points(chosen), "other": _points(other)},
        efforts=list(_effort_rows(chosen, other)),
        power=await _critical_power(state, caller, zone, family, spans),
        records=list(_record_rows(each for each in records if each.sport == family)),
        form=form_figures(fitness.fitness, visitor.formats),
        fitness=fitness_data(fitness.fitness),
        totals=_totals_rows(totals[: _PERIODS[query.by]]),
        together=sum_of(totals),
    )


def _one_of(sports: Sequence[str], asked: str) -> str:
    """The sport that is asked for, if the rider has anything of it to show."""
    family = sport_family(asked)
    return family if family in sports else CYCLING


async def _dates_ridden(
    state: IdentityState, caller: Caller, zone: str, family: str, today: date
) -> Span:
    for span in OFFERED:
        spans = spans_of(span, "all", (None, None), (None, None), today)
        if (await _curves(state, caller, zone, family, spans))[0]:
            return span
    return OFFERED[0]


def _days_shown(spans: Spans) -> dict[str, tuple[date, date]]:
    """The first and the last day of each."""
    both = {"chosen": spans.chosen, "other": spans.other}
    return {name: (first, end - timedelta(days=1)) for name, (first, end) in both.items()}


async def _curves(
    state: IdentityState, caller: Caller, zone: str, family: str, spans: Spans
) -> tuple[list[CurvePoint], list[CurvePoint]]:
    """Of the chosen dates, and of those beside them."""

    async def read(first: date, end: date) -> list[CurvePoint]:
        period = period_of_days(first, end, zone)
        return await store.read_season_curve(state["database"], caller.user_id, family, period)

    return await read(*spans.chosen), await read(*spans.other)


async def _critical_power(
    state: IdentityState, caller: Caller, zone: str, family: str, spans: Spans
) -> CriticalPower:
    database, user_id = state["database"], caller.user_id
    period = period_of_days(*spans.chosen, zone)
    efforts = await store.list_efforts(database, user_id, family, SHORTEST, LONGEST, period)
    weights = await store.read_weights(database, user_id)
    return critical_power_of(family, efforts, weights)


def _totals_rows(shown: Sequence[Totals]) -> list[TotalsRow]:
    longest = max((each.recorded_time for each in shown), default=0) or 1
    return [TotalsRow(each, round(100 * each.recorded_time / longest, 2)) for each in shown]


def sum_of(totals: Sequence[Totals]) -> Totals | None:
    """Of all periods; None without any. A figure that none has stays unknown."""

    def added(values: Iterable[float | None]) -> float | None:
        known = [each for each in values if each is not None]
        return sum(known) if known else None

    if not totals:
        return None
    return Totals(
        totals[-1].start,
        sum(each.workouts for each in totals),
        sum(each.recorded_time for each in totals),
        added(each.total_distance for each in totals),
        added(each.total_elevation_gain for each in totals),
        added(each.total_energy for each in totals),
        added(each.training_stress_score for each in totals),
    )


def _points(curve: Sequence[CurvePoint]) -> list[list[float]]:
    return [[each.duration, round(each.power, 1)] for each in curve]


def _effort_rows(chosen: Sequence[CurvePoint], other: Sequence[CurvePoint]) -> Iterator[EffortRow]:
    best, former = ({each.duration: each for each in curve} for curve in (chosen, other))
    for seconds in _EFFORTS:
        now, then = best.get(seconds), former.get(seconds)
        if now or then:
            change = now.power / then.power - 1 if now and then and then.power else None
            yield EffortRow(seconds, now, then, change)


def _record_rows(records: Iterable[Record]) -> Iterator[RecordRow]:
    by_duration: dict[int, dict[str, Record]] = {}
    for each in records:
        by_duration.setdefault(each.duration, {})[each.metric] = each
    return (RecordRow(seconds, by_duration[seconds]) for seconds in sorted(by_duration))


PAGES: Final = (Page("/season", show_season, takes_athlete=True),)
