"""The season: totals, critical power, fitness. Sums and fits of stored figures, no new ones."""

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct
from psycopg.rows import class_row
from starlette.responses import Response

from api.identity.auth import Caller
from api.identity.profile import time_zone_or_own
from api.ingest.state import IngestRequest
from api.season.records import PeriodQuery, period_of
from api.web.problems import Unprocessable
from api.web.query import Moment, TimeZone, moment_of, read_query
from api.web.responses import json_response
from api.web.routing import Operation, Operations
from shared.sql import load_queries

SEASON = load_queries("season")
FITNESS_DAYS: Final = 42
FATIGUE_DAYS: Final = 7
_EARLIEST: Final = date(2000, 1, 1)  # no sample is older
_LATEST: Final = date(2100, 1, 1)


class StatsQuery(Struct, rename="camel"):
    """Which rides, and how to group them."""

    period: Literal["day", "week", "month", "year"] = "week"
    from_: Annotated[Moment | None, Meta(description="Started at or after")] = msgspec.field(
        default=None, name="from"
    )
    to: Annotated[Moment | None, Meta(description="Started before")] = None
    time_zone: Annotated[TimeZone | None, Meta(description="Instead of the rider's own")] = None


class Totals(Struct, rename="camel"):
    """Sums over the completed rides of a period that begins on `start`."""

    start: date
    workouts: int
    recorded_time: Annotated[float, Meta(description="Seconds")]
    total_distance: Annotated[float, Meta(description="Metres")]
    total_elevation_gain: Annotated[float, Meta(description="Metres")]
    total_energy: Annotated[float, Meta(description="Kilojoules")]
    training_stress_score: float


class Stats(Struct, rename="camel"):
    """Totals by period, the newest first; periods without rides are left out."""

    period: str
    time_zone: str
    totals: list[Totals]


class Best(Struct):
    """A best effort that critical power was fitted to."""

    duration: int
    power: float


class CriticalPower(Struct, rename="camel"):
    """Work = W′ + CP · time, fitted to the bests of 2 to 20 minutes; null with fewer than three."""

    critical_power: Annotated[float | None, Meta(description="Watts")]
    w_prime: Annotated[float | None, Meta(description="Joules")]
    r2: float | None
    bests: list[Best]


class FitnessQuery(Struct, rename="camel"):
    """Which days; by default the last 90."""

    from_: date | None = msgspec.field(default=None, name="from")
    to: date | None = None
    time_zone: Annotated[TimeZone | None, Meta(description="Instead of the rider's own")] = None


class FitnessDay(Struct, rename="camel"):
    """Fitness, fatigue and form: `tsb` is what `ctl` − `atl` were on the evening before."""

    date: date
    training_stress_score: float
    ctl: float
    atl: float
    tsb: float


class Fitness(Struct, rename="camel"):
    """Day by day. Rides without an FTP on their day add no stress."""

    fitness: list[FitnessDay]


async def get_stats(request: IngestRequest, caller: Caller) -> Response:
    """Totals by day, week, month or year of the rider's time zone."""
    query = read_query(request, StatsQuery)
    time_zone = await time_zone_or_own(request.state, caller, query.time_zone)
    parameters = {
        "user_id": caller.user_id,
        "period": query.period,
        "time_zone": time_zone,
        "start": moment_of(query.from_, "from", time_zone),
        "end": moment_of(query.to, "to", time_zone),
    }
    async with (
        request.state["database"].connection() as connection,
        connection.cursor(row_factory=class_row(Totals)) as cursor,
    ):
        await cursor.execute(SEASON["totals"], parameters)
        return json_response(Stats(query.period, time_zone, await cursor.fetchall()))


async def get_critical_power(request: IngestRequest, caller: Caller) -> Response:
    """Critical power and W′, from the bests of all rides or those of some dates."""
    query = read_query(request, PeriodQuery)
    parameters = await period_of(request.state, caller, query)
    async with request.state["database"].connection() as connection:
        cursor = await connection.execute(SEASON["critical_power"], parameters)
        row = await cursor.fetchone() or {}
    bests = [Best(each["duration"], each["power"]) for each in row["bests"]]
    if row["points"] < 3:
        return json_response(CriticalPower(None, None, None, bests))
    return json_response(CriticalPower(row["critical_power"], row["w_prime"], row["r2"], bests))


async def get_fitness(request: IngestRequest, caller: Caller) -> Response:
    """Fitness (CTL), fatigue (ATL) and form (TSB) by day."""
    query = read_query(request, FitnessQuery)
    time_zone = await time_zone_or_own(request.state, caller, query.time_zone)
    last = query.to or datetime.now(UTC).astimezone(ZoneInfo(time_zone)).date()
    first = query.from_ or max(last, _EARLIEST) - timedelta(days=89)
    if not _EARLIEST <= first <= last <= _LATEST:
        raise Unprocessable(f"`from` must be before `to`, and both in {_EARLIEST} to {_LATEST}")
    async with request.state["database"].connection() as connection:
        cursor = await connection.execute(
            SEASON["daily_stress"], {"user_id": caller.user_id, "time_zone": time_zone}
        )
        stress = {row["day"]: row["training_stress_score"] for row in await cursor.fetchall()}
    return json_response(Fitness([day for day in fitness(stress, last) if day.date >= first]))


def fitness(stress: Mapping[date, float], last: date) -> list[FitnessDay]:
    """Each day from the first with stress to ``last``.

    x ← x + (TSS − x)·(1 − e^(−1/n)), with n of 42 days for fitness and 7 for fatigue.
    """
    days: list[FitnessDay] = []
    ctl = atl = 0.0
    day = min(stress, default=last)
    while day <= last:
        today, form = stress.get(day, 0.0), ctl - atl
        ctl += (today - ctl) * (1 - math.exp(-1 / FITNESS_DAYS))
        atl += (today - atl) * (1 - math.exp(-1 / FATIGUE_DAYS))
        days.append(FitnessDay(day, *(round(each, 2) for each in (today, ctl, atl, form))))
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
        ),
        Operation("GET", "/api/stats", get_stats, {HTTPStatus.OK: Stats}, "read", query=StatsQuery),
        Operation(
            "GET", "/api/fitness", get_fitness, {HTTPStatus.OK: Fitness}, "read", query=FitnessQuery
        ),
    ),
)
