"""Records, totals and thresholds as PostgreSQL has them. Each function is one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from msgspec import Meta, Struct
from psycopg.types.multirange import Int8Multirange

from api.workouts.store import take_records_back
from shared.connections import AsyncDatabase
from shared.critical_power import Effort
from shared.sql import load_queries

QUERIES = load_queries("season")
RIDERS = load_queries("riders")
MOST_RANGES: Final = 100  # that are excluded from one ride
UNITS: Final = {"power": "W", "heartrate": "bpm", "speed": "m/s"}
_FIGURES: Final = (
    "ftp",
    "critical_power",
    "w_prime",
    "threshold_heartrate",
    "max_heartrate",
    "weight",
    "source",
)

Metric = Literal["power", "heartrate", "speed"]
Watts = Annotated[float, Meta(ge=10, le=3000)]
Beats = Annotated[float, Meta(ge=20, le=300)]
Joules = Annotated[float, Meta(ge=1000, le=200_000)]
Kilograms = Annotated[float, Meta(ge=10, le=500)]
Source = Annotated[str, Meta(max_length=100, pattern="^[^\x00]*$")]


class Record(Struct, rename="camel"):
    """The best of a rider over a duration: `value` in the metric's unit, held from `startedAt`."""

    metric: Metric
    duration: Annotated[int, Meta(description="Seconds")]
    value: float
    workout_id: UUID
    started_at: datetime
    unit: str = ""

    def __post_init__(self) -> None:
        self.unit = UNITS[self.metric]


class CurvePoint(Struct, rename="camel"):
    """The highest mean power held for a duration, and the ride it was held on."""

    duration: Annotated[int, Meta(description="Seconds")]
    power: Annotated[float, Meta(description="Watts")]
    workout_id: UUID


class Totals(Struct, rename="camel"):
    """Sums over the completed rides of a period that begins on `start`."""

    start: date
    workouts: int
    recorded_time: Annotated[float, Meta(description="Seconds")]
    total_distance: Annotated[float, Meta(description="Metres")]
    total_elevation_gain: Annotated[float, Meta(description="Metres")]
    total_energy: Annotated[float, Meta(description="Kilojoules")]
    training_stress_score: float


class Thresholds(Struct, rename="camel"):
    """Figures of the rider that hold from a day on, each until a later one is given."""

    effective_from: date
    ftp: Annotated[Watts | None, Meta(description="Functional threshold power, W")] = None
    critical_power: Annotated[Watts | None, Meta(description="W")] = None
    w_prime: Annotated[Joules | None, Meta(description="W′, in joules")] = None
    threshold_heartrate: Annotated[Beats | None, Meta(description="bpm")] = None
    max_heartrate: Annotated[Beats | None, Meta(description="bpm")] = None
    weight: Annotated[Kilograms | None, Meta(description="kg")] = None
    source: Source | None = None


class Recompute(Struct):
    """How many of the rider's workouts are still to be computed anew."""

    pending: int
    workouts: int


@dataclass(frozen=True)
class Period:
    """The rides that start from ``start`` on and before ``end``; None leaves an end open."""

    start: datetime | None
    end: datetime | None


@dataclass(frozen=True)
class Choice:
    """What of a ride is excluded or included: the ``whole``, or ``ranges`` (ms) of it.

    ``spikes``: where power is no spike, or may be one again.
    """

    whole: bool = False
    ranges: Int8Multirange = field(default_factory=Int8Multirange)
    spikes: Int8Multirange = field(default_factory=Int8Multirange)

    def parameters(self) -> dict[str, Any]:
        """Of the queries."""
        ranges = {"ranges": self.ranges, "spikes": self.spikes}
        return {"whole": self.whole, **ranges, "most": MOST_RANGES}


@dataclass(frozen=True)
class _DayOfStress:
    day: date
    training_stress_score: float


@dataclass(frozen=True)
class _Id:
    id: UUID


async def list_records(
    database: AsyncDatabase, user_id: UUID, metric: Metric | None = None
) -> list[Record]:
    """The user's personal records, of every metric or of one."""
    async with database.connection() as connection:
        return await connection.rows(
            Record, QUERIES["list_records"], user_id=user_id, metric=metric
        )


async def read_season_curve(
    database: AsyncDatabase, user_id: UUID, period: Period
) -> list[CurvePoint]:
    """The power curve of all the user's rides of a period."""
    async with database.connection() as connection:
        return await connection.rows(
            CurvePoint,
            QUERIES["season_curve"],
            user_id=user_id,
            start=period.start,
            end=period.end,
        )


async def read_workout_curve(
    database: AsyncDatabase, workout_id: UUID, user_id: UUID
) -> list[CurvePoint]:
    """The power curve of one of the user's rides."""
    async with database.connection() as connection:
        return await connection.rows(
            CurvePoint, QUERIES["workout_curve"], id=workout_id, user_id=user_id
        )


async def list_bests(database: AsyncDatabase, workout_id: UUID, user_id: UUID) -> list[Record]:
    """What is ranked of one of the user's rides."""
    async with database.connection() as connection:
        return await connection.rows(
            Record, QUERIES["workout_bests"], id=workout_id, user_id=user_id
        )


async def exclude_workout(
    database: AsyncDatabase, workout_id: UUID, user_id: UUID, choice: Choice
) -> bool:
    """Leave ranges of a ride out of the records, or all of it. Whether it was there.

    The whole ride loses its records here and now, even if no worker runs; a range does so by the
    fold that is now due. False as well if it would have too many ranges.
    """
    async with database.connection() as connection, connection.transaction():
        changed = await connection.row(
            _Id,
            QUERIES["exclude_workout"],
            id=workout_id,
            user_id=user_id,
            **choice.parameters(),
        )
        if changed and choice.whole:
            await take_records_back(connection, workout_id, user_id)
    return changed is not None


async def include_workout(
    database: AsyncDatabase, workout_id: UUID, user_id: UUID, choice: Choice
) -> bool:
    """Let ranges of a ride, or all of it, count again.

    Whether it was there, and has not too many ranges then.
    """
    async with database.connection() as connection:
        changed = await connection.row(
            _Id,
            QUERIES["include_workout"],
            id=workout_id,
            user_id=user_id,
            **choice.parameters(),
        )
    return changed is not None


async def list_totals(
    database: AsyncDatabase, user_id: UUID, by: str, time_zone: str, period: Period
) -> list[Totals]:
    """Sums over the user's rides ``by`` day, week, month or year of a time zone."""
    async with database.connection() as connection:
        return await connection.rows(
            Totals,
            QUERIES["totals"],
            user_id=user_id,
            period=by,
            time_zone=time_zone,
            start=period.start,
            end=period.end,
        )


async def list_efforts(
    database: AsyncDatabase, user_id: UUID, shortest: int, longest: int, period: Period
) -> list[Effort]:
    """The best of the user's rides of a period over each duration (s) from one to the other."""
    async with database.connection() as connection:
        return await connection.rows(
            Effort,
            QUERIES["efforts"],
            user_id=user_id,
            shortest=shortest,
            longest=longest,
            start=period.start,
            end=period.end,
        )


async def read_daily_stress(
    database: AsyncDatabase, user_id: UUID, time_zone: str, since: date
) -> dict[date, float]:
    """The training stress of each day with any; none on ``since`` if all of it is older."""
    async with database.connection() as connection:
        days = await connection.rows(
            _DayOfStress, QUERIES["daily_stress"], user_id=user_id, time_zone=time_zone, since=since
        )
    return {each.day: each.training_stress_score for each in days}


async def list_thresholds(database: AsyncDatabase, user_id: UUID) -> list[Thresholds]:
    """Every day on which the athlete gave figures, the newest first."""
    async with database.connection() as connection:
        return await connection.rows(Thresholds, QUERIES["list_thresholds"], user_id=user_id)


async def put_thresholds(
    database: AsyncDatabase, user_id: UUID, given: Mapping[str, Any]
) -> Thresholds:
    """Give figures for a day, and mark the rides from that day on to be computed anew.

    The figures of the day as they are then. A day without any is forgotten.
    """
    change = {**dict.fromkeys(_FIGURES), **given, "given": list(given), "user_id": user_id}
    day = {"user_id": user_id, "effective_from": given["effective_from"]}
    async with database.connection() as connection, connection.transaction():
        thresholds = await connection.row(Thresholds, QUERIES["put_thresholds"], **change)
        await connection.execute(QUERIES["delete_empty_thresholds"], day)
        await connection.execute(RIDERS["mark_stale_from"], day)
    assert thresholds is not None  # INSERT … RETURNING gives a row  # noqa: S101
    return thresholds


async def count_stale(database: AsyncDatabase, user_id: UUID) -> Recompute:
    """How far the recomputation of the user's workouts has come."""
    async with database.connection() as connection:
        counted = await connection.row(Recompute, QUERIES["count_stale"], user_id=user_id)
    return counted or Recompute(0, 0)
