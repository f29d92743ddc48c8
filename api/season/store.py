"""Records, totals and thresholds as PostgreSQL has them. Each function is one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal, TypeVar
from uuid import UUID

from msgspec import Meta, Struct
from psycopg.types.multirange import Int8Multirange

from api.season.weights import PerKilogram, Weighing, Weights
from api.workouts.store import take_records_back
from shared.connections import AsyncDatabase, BoundedConnection
from shared.critical_power import Effort
from shared.figures import DECIMALS, tidy
from shared.moments import Instant
from shared.sports import CYCLING, names_of
from shared.sql import load_queries

QUERIES = load_queries("season")
RIDERS = load_queries("riders")
MOST_RANGES: Final = 100  # that are excluded from one ride
UNITS: Final = {"power": "W", "heartrate": "bpm", "speed": "m/s"}
_BODY: Final = ("max_heartrate", "weight")  # whatever the sport
_COMPUTED: Final = ("ftp", "critical_power", "w_prime", "threshold_heartrate", *_BODY)
_FIGURES: Final = (*_COMPUTED, "source")

Metric = Annotated[Literal["power", "heartrate", "speed"], Meta(title="Metric")]
Watts = Annotated[float, Meta(ge=10, le=3000, description="W")]
Beats = Annotated[float, Meta(ge=20, le=300, description="bpm")]
Joules = Annotated[float, Meta(ge=1000, le=200_000, description="J")]
Kilograms = Annotated[float, Meta(ge=10, le=500, description="kg")]
Source = Annotated[str, Meta(max_length=100, pattern="^[^\x00]*$")]


class Record(Struct, rename="camel"):
    """The best of a rider in a sport over a duration.

    `value` is in the metric's unit, held from `startedAt`.
    """

    sport: str
    metric: Metric
    duration: Annotated[int, Meta(description="Seconds")]
    value: Annotated[float, Meta(description="In `unit`")]
    workout_id: UUID
    started_at: Instant
    unit: str = ""
    watts_per_kilogram: PerKilogram = None

    def __post_init__(self) -> None:
        self.unit = UNITS[self.metric]
        self.value = round(self.value, DECIMALS)

    def weigh(self, weights: Weights) -> None:
        """Of a power, tell what it is over the weight of its day."""
        if self.metric == "power":
            self.watts_per_kilogram = weights.per_kilogram(self.value, self.started_at)


class CurvePoint(Struct, rename="camel"):
    """The highest mean power held for a duration, and the ride it was held on."""

    duration: Annotated[int, Meta(description="Seconds")]
    power: Annotated[float, Meta(description="Watts")]
    workout_id: UUID
    ridden_at: Annotated[Instant, Meta(description="The start of the ride")]
    watts_per_kilogram: PerKilogram = None

    def __post_init__(self) -> None:
        self.power = round(self.power, DECIMALS)

    def weigh(self, weights: Weights) -> None:
        """Tell what the power is over the weight of its day."""
        self.watts_per_kilogram = weights.per_kilogram(self.power, self.ridden_at)


class Totals(Struct, rename="camel"):
    """Sums over the completed rides of a period that begins on `start`.

    Of the rides that have the figure; null where none has, as stress without an FTP.
    """

    start: date
    workouts: int
    recorded_time: Annotated[float, Meta(description="Seconds")]
    total_distance: Annotated[float | None, Meta(description="Metres")]
    total_elevation_gain: Annotated[float | None, Meta(description="Metres")]
    total_energy: Annotated[float | None, Meta(description="Kilojoules")]
    training_stress_score: Annotated[float | None, Meta(description="TSS of them all")]

    def __post_init__(self) -> None:
        """Leave the noise out that sums of binary fractions have."""
        self.total_distance = tidy(self.total_distance)
        self.total_elevation_gain = tidy(self.total_elevation_gain)
        self.total_energy = tidy(self.total_energy)
        self.training_stress_score = tidy(self.training_stress_score)


class ThresholdsPerKilogram(Struct, rename="camel"):
    """The thresholds of power over the weight that held on their day."""

    ftp: PerKilogram
    critical_power: PerKilogram


class Thresholds(Struct, rename="camel"):
    """Figures of the rider that hold from a day on, each until a later one of the sport is given.

    Weight and maximum heart rate are the body's: they hold whatever sport they were given under.
    """

    sport: str
    effective_from: date
    ftp: Annotated[Watts | None, Meta(description="Functional threshold power, W")] = None
    critical_power: Annotated[Watts | None, Meta(description="W")] = None
    w_prime: Annotated[Joules | None, Meta(description="W′, in joules")] = None
    threshold_heartrate: Annotated[Beats | None, Meta(description="bpm")] = None
    max_heartrate: Annotated[Beats | None, Meta(description="bpm")] = None
    weight: Annotated[Kilograms | None, Meta(description="kg")] = None
    source: Source | None = None
    watts_per_kilogram: ThresholdsPerKilogram | None = None

    def weigh(self, weights: Weights) -> None:
        """Tell what FTP and critical power are over the weight that held on the day."""
        ftp, critical_power = (
            power and weights.per_kilogram(power, self.effective_from)
            for power in (self.ftp, self.critical_power)
        )
        if ftp or critical_power:
            self.watts_per_kilogram = ThresholdsPerKilogram(ftp, critical_power)


class Recompute(Struct):
    """How many of the rider's workouts are still to be computed anew."""

    pending: int
    workouts: int


Weighable = TypeVar("Weighable", Record, CurvePoint, Thresholds)


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
    training_stress_score: float | None


@dataclass(frozen=True)
class _Id:
    id: UUID


async def list_records(
    database: AsyncDatabase,
    user_id: UUID,
    sport: str | None = None,
    metric: Metric | None = None,
) -> list[Record]:
    """The user's personal records, of every sport and metric or of one."""
    async with database.connection() as connection:
        records = await connection.rows(
            Record, QUERIES["list_records"], user_id=user_id, sport=sport, metric=metric
        )
        return await _weighed(connection, user_id, records)


async def read_season_curve(
    database: AsyncDatabase, user_id: UUID, sport: str | None, period: Period
) -> list[CurvePoint]:
    """The power curve of all the user's rides of a period, in every sport or in one."""
    async with database.connection() as connection:
        curve = await connection.rows(
            CurvePoint,
            QUERIES["season_curve"],
            user_id=user_id,
            sport=sport,
            start=period.start,
            end=period.end,
        )
        return await _weighed(connection, user_id, curve)


async def read_workout_curve(
    database: AsyncDatabase, workout_id: UUID, user_id: UUID
) -> list[CurvePoint]:
    """The power curve of one of the user's rides."""
    async with database.connection() as connection:
        curve = await connection.rows(
            CurvePoint, QUERIES["workout_curve"], id=workout_id, user_id=user_id
        )
        return await _weighed(connection, user_id, curve)


async def list_bests(database: AsyncDatabase, workout_id: UUID, user_id: UUID) -> list[Record]:
    """What is ranked of one of the user's rides."""
    async with database.connection() as connection:
        bests = await connection.rows(
            Record, QUERIES["workout_bests"], id=workout_id, user_id=user_id
        )
        return await _weighed(connection, user_id, bests)


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
    database: AsyncDatabase,
    user_id: UUID,
    sport: str | None,
    by: str,
    time_zone: str,
    period: Period,
) -> list[Totals]:
    """Sums ``by`` day, week, month or year of a time zone, over rides of every sport or of one."""
    async with database.connection() as connection:
        return await connection.rows(
            Totals,
            QUERIES["totals"],
            user_id=user_id,
            names=_names(sport),
            period=by,
            time_zone=time_zone,
            start=period.start,
            end=period.end,
        )


async def list_efforts(
    database: AsyncDatabase,
    user_id: UUID,
    sport: str | None,
    shortest: int,
    longest: int,
    period: Period,
) -> list[Effort]:
    """The best of the user's rides over each duration (s) from one to the other, by sport."""
    async with database.connection() as connection:
        return await connection.rows(
            Effort,
            QUERIES["efforts"],
            user_id=user_id,
            sport=sport,
            shortest=shortest,
            longest=longest,
            start=period.start,
            end=period.end,
        )


async def read_daily_stress(
    database: AsyncDatabase, user_id: UUID, sport: str | None, time_zone: str, since: date
) -> dict[date, float | None]:
    """The training stress of each day with rides, of every sport or one: None where none has any.

    Zero on ``since`` if all of it is older.
    """
    async with database.connection() as connection:
        days = await connection.rows(
            _DayOfStress,
            QUERIES["daily_stress"],
            user_id=user_id,
            names=_names(sport),
            time_zone=time_zone,
            since=since,
        )
    return {each.day: each.training_stress_score for each in days}


async def list_thresholds(
    database: AsyncDatabase, user_id: UUID, sport: str | None = None
) -> list[Thresholds]:
    """Every day on which the athlete gave figures, of every sport or of one, the newest first."""
    async with database.connection() as connection:
        listed = await connection.rows(
            Thresholds, QUERIES["list_thresholds"], user_id=user_id, sport=sport, day=None
        )
        return await _weighed(connection, user_id, listed)


async def put_thresholds(
    database: AsyncDatabase, user_id: UUID, sport: str, given: Mapping[str, Any]
) -> Thresholds:
    """Give figures for a day, and mark the rides from that day on to be computed anew.

    Those of the sport, or all of them if a figure of the body is among those given; none where all
    of them are as they were. The figures of the day as they are then. A day without any is
    forgotten.
    """
    day, has_body = given["effective_from"], not given.keys().isdisjoint(_BODY)
    async with database.connection() as connection, connection.transaction():
        await connection.execute(QUERIES["lock_thresholds"], {"user_id": user_id})
        before = await _figures_on(connection, user_id, day)
        await _put_figures(connection, user_id, sport, given)
        asked = {"user_id": user_id, "sport": sport, "day": day}
        [thresholds] = await connection.rows(Thresholds, QUERIES["list_thresholds"], **asked)
        changed = {"user_id": user_id, "effective_from": day}
        await connection.execute(QUERIES["delete_empty_other_thresholds"], changed)
        await connection.execute(QUERIES["delete_empty_thresholds"], changed)
        if await _figures_on(connection, user_id, day) != before:
            touched = {**changed, "names": None if has_body else names_of(sport)}
            await connection.execute(RIDERS["mark_stale_from"], touched)
        await _weighed(connection, user_id, [thresholds])
    return thresholds


async def _put_figures(
    connection: BoundedConnection, user_id: UUID, sport: str, given: Mapping[str, Any]
) -> None:
    """Those of the body beside those of cycling, whatever the sport."""
    body = {name: given[name] for name in _BODY if name in given}
    figures = {**dict.fromkeys(_FIGURES), **given}
    change = {**figures, "given": list(given), "user_id": user_id, "sport": sport}
    if sport != CYCLING:
        await connection.execute(QUERIES["put_other_thresholds"], change)
        of_body = {**dict.fromkeys(_FIGURES), **body, "given": list(body)}
        change = {**of_body, "user_id": user_id, "effective_from": given["effective_from"]}
    if sport == CYCLING or body:
        await connection.execute(QUERIES["put_thresholds"], change)


async def _figures_on(
    connection: BoundedConnection, user_id: UUID, day: date
) -> dict[str, list[float | None]]:
    """What was given for a day, by sport; who said so is no figure."""
    asked = {"user_id": user_id, "sport": None, "day": day}
    listed = await connection.rows(Thresholds, QUERIES["list_thresholds"], **asked)
    given = {each.sport: [getattr(each, name) for name in _COMPUTED] for each in listed}
    return {sport: figures for sport, figures in given.items() if any(figures)}


async def read_weights(database: AsyncDatabase, user_id: UUID) -> Weights:
    """The weights that the user has given."""
    async with database.connection() as connection:
        return await _weights(connection, user_id)


async def count_stale(database: AsyncDatabase, user_id: UUID) -> Recompute:
    """How far the recomputation of the user's workouts has come."""
    async with database.connection() as connection:
        counted = await connection.row(Recompute, QUERIES["count_stale"], user_id=user_id)
    return counted or Recompute(0, 0)


def _names(sport: str | None) -> list[str] | None:
    """What rides of the sport may be called; None for whatever sport."""
    return None if sport is None else names_of(sport)


async def _weighed(
    connection: BoundedConnection, user_id: UUID, powers: list[Weighable]
) -> list[Weighable]:
    """The powers with what they are over the weight of their day."""
    weights = await _weights(connection, user_id)
    for each in powers:
        each.weigh(weights)
    return powers


async def _weights(connection: BoundedConnection, user_id: UUID) -> Weights:
    return Weights(await connection.rows(Weighing, QUERIES["list_weights"], user_id=user_id))
