"""The season: totals, critical power, fitness. Sums and fits of stored figures, no new ones."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Final, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct
from starlette.responses import Response

from api.identity.auth import Caller
from api.identity.local_days import moments_of
from api.identity.profile import time_zone_or_own
from api.identity.state import IdentityRequest, IdentityState
from api.season import store
from api.season.period import PeriodQuery, period_of
from api.season.sport import SportName, one_or_all
from api.season.store import Period, Totals
from api.season.weights import PerKilogram, Weights
from api.web.problems import Unprocessable, about
from api.web.query import Moment, TimeZone, read_query
from api.web.responses import json_response
from api.web.routing import Operation, Operations
from shared.critical_power import LONGEST, SHORTEST, Effort, fit_critical_power
from shared.figures import DECIMALS, tidy
from shared.moments import Instant
from shared.sports import ALL, CYCLING

FITNESS_DAYS: Final = 42
FATIGUE_DAYS: Final = 7
_EARLIEST: Final = date(2000, 1, 1)  # no sample is older
_LATEST: Final = date(2100, 1, 1)
_MOST_DAYS: Final = timedelta(days=3660)
_DAY: Final = timedelta(days=1)
# Of stress that is older, less than a ten-billionth is left in any figure.
_REMEMBERED: Final = timedelta(days=1000)
_SHOWN: Final = timedelta(days=90)  # by default
# How many days before today are the first that count for today's form, where it is asked for by
# default.
REMEMBERED_DAYS: Final = (_REMEMBERED + _SHOWN - _DAY).days
PeriodName = Annotated[Literal["day", "week", "month", "year"], Meta(title="Period")]


class StatsQuery(Struct, rename="camel"):
    """Which rides, and how to group them."""

    sport: SportName = CYCLING
    period: Annotated[PeriodName, Meta(description="What one total is of")] = "week"
    from_: Annotated[Moment | None, Meta(description="Started at or after")] = msgspec.field(
        default=None, name="from"
    )
    to: Annotated[Moment | None, Meta(description="Started before")] = None
    time_zone: Annotated[TimeZone | None, Meta(description="Instead of the rider's own")] = None


class Stats(Struct, rename="camel"):
    """Totals by period, the newest first; periods without rides are left out.

    The newest 3,660 of them: ask for older ones by `to`.
    """

    sport: str
    period: PeriodName
    time_zone: str
    totals: list[Totals]


class Best(Struct, rename="camel"):
    """A best effort, when it began, and of which ride it is."""

    duration: Annotated[int, Meta(description="Seconds")]
    power: Annotated[float, Meta(description="Watts")]
    started_at: Instant
    workout_id: UUID
    watts_per_kilogram: PerKilogram


class CriticalPower(Struct, rename="camel"):
    """Work = W′ + CP · time, fitted to the maximal efforts of 2 to 20 minutes, or null and why.

    Maximal are those on the upper edge of work over time. It takes three that are no parts of one
    another, the longest at least three times the shortest.
    """

    sport: str
    critical_power: Annotated[float | None, Meta(description="Watts")]
    w_prime: Annotated[float | None, Meta(description="Joules")]
    r2: Annotated[float | None, Meta(description="How well the efforts agree with it: 1 is best")]
    bests: list[Best]
    reason: Annotated[str | None, Meta(description="Why there is no fit; null with one")] = None
    watts_per_kilogram: Annotated[
        float | None, Meta(description="By the weight on the day of the newest of `bests`")
    ] = None


class FitnessQuery(Struct, rename="camel"):
    """Which days, 3,660 at most; by default 90, today the last of them.

    Of every sport, unless one is named.
    """

    sport: SportName = ALL
    from_: Annotated[date | None, Meta(description="From this day on")] = msgspec.field(
        default=None, name="from"
    )
    to: Annotated[date | None, Meta(description="Before this day; by default, tomorrow")] = None
    time_zone: Annotated[TimeZone | None, Meta(description="Instead of the rider's own")] = None


class FitnessDay(Struct, rename="camel"):
    """Fitness, fatigue and form: `tsb` is what `ctl` − `atl` were on the evening before.

    The stress is 0 on a day without a ride, and null where no ride of the day has any: `ctl` and
    `atl` then fall as on a day of rest.
    """

    date: date
    training_stress_score: Annotated[float | None, Meta(description="TSS of the day's workouts")]
    ctl: Annotated[float, Meta(description="TSS a day")]
    atl: Annotated[float, Meta(description="TSS a day")]
    tsb: Annotated[float, Meta(description="TSS a day")]


class Fitness(Struct, rename="camel"):
    """Day by day, from the first with stress on.

    Rides without an FTP of their sport on their day add none.
    """

    sport: str
    fitness: list[FitnessDay]


async def get_stats(request: IdentityRequest, caller: Caller) -> Response:
    """Totals by day, week, month or year of the rider's time zone."""
    state = request.state
    query = read_query(request, StatsQuery)
    zone = await time_zone_or_own(state, caller, query.time_zone)
    period = Period(*await moments_of(state, caller, query, zone))
    name, sport = one_or_all(query.sport)
    totals = await store.list_totals(
        state["database"], caller.user_id, sport, query.period, zone, period
    )
    return json_response(Stats(name, query.period, zone, totals))


async def get_critical_power(request: IdentityRequest, caller: Caller) -> Response:
    """Critical power and W′, from the bests of all rides in a sport or those of some dates."""
    state, query = request.state, read_query(request, PeriodQuery)
    (name, sport), period = one_or_all(query.sport), await period_of(state, caller, query)
    efforts = await store.list_efforts(
        state["database"], caller.user_id, sport, SHORTEST, LONGEST, period
    )
    weights = await store.read_weights(state["database"], caller.user_id)
    return json_response(critical_power_of(name, efforts, weights))


def critical_power_of(sport: str, efforts: Sequence[Effort], weights: Weights) -> CriticalPower:
    """The fit to the efforts, or why there is none, with what it is over the athlete's weight."""
    fit = fit_critical_power(efforts)
    bests = [best_of(each, weights) for each in fit.efforts]
    of_weight = None
    if fit.critical_power is not None:
        newest = max(each.started_at for each in bests)
        of_weight = weights.per_kilogram(fit.critical_power, newest)
    power, w_prime, r2 = map(tidy, (fit.critical_power, fit.w_prime, fit.r2))
    return CriticalPower(sport, power, w_prime, r2, bests, fit.reason, of_weight)


def best_of(effort: Effort, weights: Weights) -> Best:
    """The effort as it is published."""
    started = datetime.fromtimestamp(effort.started, UTC)
    of_weight = weights.per_kilogram(effort.power, started)
    return Best(
        effort.duration, round(effort.power, DECIMALS), started, effort.workout_id, of_weight
    )


async def get_fitness(request: IdentityRequest, caller: Caller) -> Response:
    """Fitness (CTL), fatigue (ATL) and form (TSB) by day."""
    query = read_query(request, FitnessQuery)
    return json_response(await read_fitness(request.state, caller, query))


async def read_fitness(state: IdentityState, caller: Caller, query: FitnessQuery) -> Fitness:
    """Fitness, fatigue and form on the days that the query asks for. Raises Unprocessable."""
    zone = await time_zone_or_own(state, caller, query.time_zone)
    first, end = _days_of(query, datetime.now(UTC).astimezone(ZoneInfo(zone)).date())
    since = first - _REMEMBERED
    name, sport = one_or_all(query.sport)
    stress = await store.read_daily_stress(state["database"], caller.user_id, sport, zone, since)
    return await asyncio.to_thread(_fitness_from, first, name, stress, end - _DAY)


def _fitness_from(
    first: date, sport: str, stress: Mapping[date, float | None], last: date
) -> Fitness:
    return Fitness(sport, [day for day in fitness(stress, last) if day.date >= first])


def _days_of(query: FitnessQuery, today: date) -> tuple[date, date]:
    """The first day and the one after the last; by default ``today`` is the last of 90.

    Raises Unprocessable.
    """
    end = query.to or today + _DAY
    first = query.from_ or max(end, _EARLIEST) - _SHOWN
    if not _EARLIEST <= first <= end <= _LATEST:
        detail = f"`from` must not be after `to`, and both in {_EARLIEST} to {_LATEST}"
        raise Unprocessable(detail, about(detail, "from", "to"))
    if end - first > _MOST_DAYS:
        detail = f"`from` and `to` may be {_MOST_DAYS.days} days apart: ask in parts"
        raise Unprocessable(detail, about(detail, "from", "to"))
    return first, end


def fitness(stress: Mapping[date, float | None], last: date) -> list[FitnessDay]:
    """Each day from the first with stress to ``last``. None: rides, but no stress measured.

    x ← x + (TSS − x)·(1 − e^(−1/n)), with n of 42 days for fitness and 7 for fatigue.
    """
    measured = {day: value for day, value in stress.items() if value is not None}
    unmeasured = stress.keys() - measured.keys()
    days: list[FitnessDay] = []
    ctl = atl = 0.0
    day = min(measured, default=last + timedelta(days=1))
    while day <= last:
        today, form = measured.get(day, 0.0), ctl - atl
        ctl += (today - ctl) * (1 - math.exp(-1 / FITNESS_DAYS))
        atl += (today - atl) * (1 - math.exp(-1 / FATIGUE_DAYS))
        told = None if day in unmeasured else round(today, 2)
        days.append(FitnessDay(day, told, *(round(each, 2) for each in (ctl, atl, form))))
        day += timedelta(days=1)
    return days


OPERATIONS = Operations(
    "season",
    "Figures over many rides",
    (
        Operation(
            "GET",
            "/api/critical-power",
            get_critical_power,
            {HTTPStatus.OK: CriticalPower},
            "read",
            query=PeriodQuery,
            takes_athlete=True,
        ),
        Operation(
            "GET",
            "/api/stats",
            get_stats,
            {HTTPStatus.OK: Stats},
            "read",
            query=StatsQuery,
            takes_athlete=True,
        ),
        Operation(
            "GET",
            "/api/fitness",
            get_fitness,
            {HTTPStatus.OK: Fitness},
            "read",
            query=FitnessQuery,
            takes_athlete=True,
        ),
    ),
)
