"""Workouts as PostgreSQL has them, for their users alone. Each function is one transaction.

Only those that take a connection are part of their caller's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from psycopg.types.json import Jsonb
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from api.workouts.recorded import RecordedSample
from shared.connections import AsyncDatabase, BoundedConnection
from shared.figures import Summary, complete
from shared.files.recording import UnixMs
from shared.laps import DeviceShown, Lap, PauseShown
from shared.listing import COUNT_WORKOUTS, Order, Sort, list_statement
from shared.moments import Instant
from shared.redis_keys import samples_key
from shared.samples.archive import ArchivedChannel
from shared.sports import sport_family
from shared.sql import load_queries

QUERIES = load_queries("workouts")
RECORDS = load_queries("records")
MOST_REMOVED: Final = 100  # ranges of one ride
SHORT_CURVE: Final = (1, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)  # seconds


class TimeRange(Struct):
    """From one moment to another: ms since the Unix epoch, the end excluded."""

    from_: UnixMs = msgspec.field(name="from")
    to: UnixMs


class Crop(Struct):
    """What counts of a ride: ms since the Unix epoch, the end excluded; null leaves an end open."""

    from_: UnixMs | None = msgspec.field(default=None, name="from")
    to: UnixMs | None = None


class Status(StrEnum):
    """Where a workout is in its life."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    ARCHIVED = "ARCHIVED"  # as COMPLETED everywhere; published, but nothing here sets it
    FAILED = "FAILED"


class Workout(Struct, rename="camel"):
    """A ride. `summary` holds its figures; null until samples were first folded.

    What lies outside `crop` counts for nothing and is not read. `excludedRanges` set no records, in
    `vouchedRanges` no power is a spike, and of `removedRanges` no sample is kept.
    `uploadId`: the file that it came out of. `duplicateOf`: the workout that recorded the same
    ride; this one does not count in totals and records. `timeZone`: where a ride out of a file
    began, by its positions or its device's clock. `device`, `laps` and `pauses` are not in lists.
    `samplesDeletedAt`: since when it has its figures alone, as the operator does not keep samples
    for ever; they are not computed anew any more.
    """

    id: UUID
    user_id: UUID
    stream_name: str | None
    title: str | None
    description: str | None
    sport: str
    status: Status
    start_time: Instant
    end_time: Instant | None
    duration: Annotated[int | None, Meta(description="s: from the first to the last sample")]
    summary: Summary | None
    excluded: bool
    excluded_ranges: list[TimeRange]
    vouched_ranges: list[TimeRange]
    removed_ranges: list[TimeRange]
    crop: Crop | None
    created_at: Instant
    updated_at: Instant
    upload_id: UUID | None = None
    duplicate_of: UUID | None = None
    time_zone: str | None = None
    device: DeviceShown | UnsetType | None = UNSET
    laps: list[Lap] | UnsetType = UNSET
    pauses: list[PauseShown] | UnsetType = UNSET
    telemetry: list[RecordedSample] | UnsetType = UNSET
    samples_deleted_at: Instant | UnsetType = UNSET

    def __post_init__(self) -> None:
        # A row has the status as text, and ranges, laps and summary as PostgreSQL has them. These
        # stay dicts: as Structs they would lose what a newer worker has put into them.
        self.status = Status(self.status)
        crop: Any = self.crop
        summary: Any = self.summary
        self.summary = summary and complete(summary)
        self.excluded_ranges = _time_ranges(self.excluded_ranges)
        self.vouched_ranges = _time_ranges(self.vouched_ranges)
        self.removed_ranges = _time_ranges(self.removed_ranges)
        self.crop = crop and Crop(crop.lower, crop.upper)
        self.samples_deleted_at = self.samples_deleted_at or UNSET
        self.laps, self.pauses = _uncropped(self.laps, crop), _uncropped(self.pauses, crop)
        self.stream_name = _shown_stream(self)


def _shown_stream(workout: Workout) -> str | None:
    """The stream that feeds the ride by its name, None where that has ended.

    Of other rides it is the one with their batches, which follows from the id. The column is empty
    where a stream has ended, and null where there never was one.
    """
    if workout.stream_name is None:
        return samples_key(workout.id)
    return workout.stream_name or None


def _time_ranges(multirange: Any) -> list[TimeRange]:
    return [TimeRange(each.lower, each.upper) for each in multirange]


def _uncropped(marked: Any, crop: Any) -> Any:
    """Laps or pauses, without those that lie in what is cropped away."""
    if not (marked and crop):
        return marked
    return [
        each
        for each in marked
        if (crop.lower is None or each["end"] > crop.lower)
        and (crop.upper is None or each.get("start", 0) < crop.upper)
    ]


@dataclass(frozen=True)
class Page:
    """Workouts in the list's order, and the number of all that match, if it was asked for."""

    workouts: list[Workout]
    total: int | None


@dataclass(frozen=True)
class _Id:
    id: UUID


@dataclass(frozen=True)
class Deleted:
    """A ride that was there. ``stream_name``: of the stream that fed it, if one did."""

    stream_name: str | None


@dataclass(frozen=True)
class Start:
    """With what a device has started a ride; None if the service has made up its id."""

    started_with: dict[str, Any] | None


@dataclass(frozen=True)
class Ending:
    """A ride whose last fold is due.

    ``lost_its_stream``: it was under way until now, and its stream fed another ride already.
    """

    lost_its_stream: bool


@dataclass(frozen=True)
class _Moved:
    is_over: bool


@dataclass(frozen=True)
class _Ended:
    is_newly_ended: bool | None


@dataclass(frozen=True)
class _Curve:
    workout_id: UUID
    points: list[Any]


@dataclass(frozen=True)
class LapsHeld:
    """The laps of a ride; when it began and ended in ms, as far as that is known."""

    laps: object
    first: int | None
    last: int | None


@dataclass(frozen=True)
class _Total:
    total: int


@dataclass(frozen=True)
class RideCounts:
    """How many rides a user has ``under_way``, in ``total``, and made ``lately``, within an hour.

    ``wait``: after how many seconds those are one less.
    """

    under_way: int
    total: int
    lately: int
    wait: int


async def count_rides(connection: BoundedConnection, user_id: UUID) -> RideCounts:
    """Count, and let nobody make another ride of the user before the transaction ends."""
    await connection.execute(QUERIES["lock_creation"], {"user_id": user_id})
    rides = await connection.row(RideCounts, QUERIES["count_rides"], user_id=user_id)
    assert rides is not None  # an aggregate gives a row  # noqa: S101
    return rides


async def create_workout(
    connection: BoundedConnection,
    user_id: UUID,
    *,
    title: str | None,
    description: str | None,
    sport: str,
    start_time: datetime | None,
    stream_name: str | None = None,
) -> Workout:
    """A new ride of a user's, which a stream feeds if one is named: none of the others any more."""
    named = {"title": title, "description": description, "sport": sport}
    named["stream_name"] = stream_name
    if stream_name:
        await connection.execute(
            QUERIES["take_stream"], {"user_id": user_id, "stream_name": stream_name}
        )
    workout = await connection.row(
        Workout, QUERIES["create_workout"], user_id=user_id, start_time=start_time, **named
    )
    assert workout is not None  # INSERT … RETURNING gives a row  # noqa: S101
    return workout


async def start_workout(
    connection: BoundedConnection,
    workout_id: UUID,
    user_id: UUID,
    started_with: Mapping[str, Any],
    *,
    title: str | None,
    description: str | None,
    sport: str,
    start_time: datetime | None,
) -> Workout | None:
    """A new ride under that id; None if there is one already, whosever it is."""
    named = {"title": title, "description": description, "sport": sport}
    new = {"id": workout_id, "user_id": user_id, "started_with": Jsonb(started_with)}
    await connection.execute(QUERIES["start_workout"], {**new, **named, "start_time": start_time})
    return await get_workout(connection, workout_id, user_id)


async def find_start(
    connection: BoundedConnection, workout_id: UUID, user_id: UUID
) -> Start | None:
    """With what the user's ride was started; None if it is not there."""
    return await connection.row(Start, QUERIES["get_start"], id=workout_id, user_id=user_id)


async def get_workout(
    connection: BoundedConnection, workout_id: UUID, user_id: UUID
) -> Workout | None:
    """The workout, if it is there and the user's."""
    return await connection.row(Workout, QUERIES["get_workout"], id=workout_id, user_id=user_id)


async def find_workout(database: AsyncDatabase, workout_id: UUID, user_id: UUID) -> Workout | None:
    """The workout, if it is there and the user's."""
    async with database.connection() as connection:
        return await get_workout(connection, workout_id, user_id)


async def find_by_stream(database: AsyncDatabase, user_id: UUID, name: str) -> Workout | None:
    """The user's ride under way that the stream of this name feeds."""
    async with database.connection() as connection:
        return await find_fed(connection, user_id, name)


async def find_fed(connection: BoundedConnection, user_id: UUID, name: str) -> Workout | None:
    """The same, in the caller's transaction."""
    named = {"user_id": user_id, "stream_name": name}
    return await connection.row(Workout, QUERIES["get_by_stream"], **named)


async def end_stream(connection: BoundedConnection, workout_id: UUID, user_id: UUID) -> bool:
    """No stream feeds the ride any more. Whether one did until now.

    Who else ends it, or lets it feed another ride, waits for the end of the caller's transaction.
    """
    ride = {"id": workout_id, "user_id": user_id}
    return await connection.row(_Id, QUERIES["end_stream"], **ride) is not None


async def find_workouts(
    database: AsyncDatabase, ids: Sequence[UUID], user_id: UUID
) -> list[Workout]:
    """Those of the given workouts that are there and the user's, in the same order."""
    async with database.connection() as connection:
        return await connection.rows(Workout, QUERIES["get_workouts"], ids=ids, user_id=user_id)


async def list_ids(database: AsyncDatabase, user_id: UUID) -> list[UUID]:
    """Every workout of the user, newest first."""
    async with database.connection() as connection:
        found = await connection.rows(_Id, QUERIES["list_ids"], user_id=user_id)
    return [each.id for each in found]


async def list_workouts(
    database: AsyncDatabase,
    sort: Sort,
    order: Order,
    matching: Mapping[str, Any],
    place: Mapping[str, Any],
    *,
    count: bool,
) -> Page:
    """A page of the user's workouts: those ``matching``, from a ``place`` in the order on."""
    async with database.connection() as connection:
        chosen = {**matching, **place}
        workouts = await connection.rows(Workout, list_statement(sort, order), **chosen)
        if not count:
            return Page(workouts, None)
        counted = await connection.row(_Total, COUNT_WORKOUTS, **matching)
    return Page(workouts, counted.total if counted else 0)


async def update_workout(
    database: AsyncDatabase,
    workout_id: UUID,
    user_id: UUID,
    *,
    title: str | UnsetType | None,
    description: str | UnsetType | None,
    sport: str | UnsetType,
    counts: bool,
    start_time: datetime | None = None,
    has_waiting: bool = False,
) -> Workout | None:
    """The workout after a change of what is given; None if it is not there, or not the user's.

    Or if it would start at another moment than its samples, archived or ``has_waiting``, say.
    ``counts``: it is no duplicate of another one.
    """
    change = {
        "set_title": title is not UNSET,
        "title": title or None,
        "set_description": description is not UNSET,
        "description": description or None,
        "start_time": start_time,
        "has_waiting": has_waiting,
    }
    named = {"id": workout_id, "user_id": user_id}
    async with database.connection() as connection, connection.transaction():
        workout = await connection.row(Workout, QUERIES["update_workout"], **named, **change)
        if workout and sport is not UNSET:
            await _change_sport(connection, workout_id, user_id, sport)
            workout.sport = sport
        if workout and counts:
            await connection.execute(QUERIES["count_by_itself"], named)
            workout.duplicate_of = None
        return workout


async def _change_sport(
    connection: BoundedConnection, workout_id: UUID, user_id: UUID, sport: str
) -> None:
    """Its bests, records and curve are of the other sport at once; its figures by the next fold."""
    changed = await connection.row(
        _Moved, QUERIES["change_sport"], id=workout_id, user_id=user_id, sport=sport
    )
    if changed:
        ride = {"workout_id": workout_id, "user_id": user_id, "sport": sport_family(sport)}
        for query in ("move_bests", "move_curve", "lock_rider"):
            await connection.execute(RECORDS[query], ride)
        if changed.is_over:  # of others it is told once they are
            await connection.execute(RECORDS["tell_records"], {**ride, "completing": False})
        await connection.execute(RECORDS["refresh_records"], ride)


async def crop_workout(
    database: AsyncDatabase, workout_id: UUID, user_id: UUID, crop: Range[int]
) -> bool:
    """Let only a range (ms) of a ride count. Whether it was there, and over."""
    return await _change(database, "crop_workout", id=workout_id, user_id=user_id, crop=crop)


async def undo_crop(database: AsyncDatabase, workout_id: UUID, user_id: UUID) -> bool:
    """Let all of a ride count again. Whether it was there, and cropped."""
    return await _change(database, "undo_crop", id=workout_id, user_id=user_id)


async def remove_range(
    database: AsyncDatabase, workout_id: UUID, user_id: UUID, range_: Range[int]
) -> bool:
    """Have the samples of a range (ms) removed by the fold that is now due, and kept out.

    Whether the ride was there, and has not too many such ranges then.
    """
    ride = {"id": workout_id, "user_id": user_id}
    range_and_bound = {"range": Multirange([range_]), "most": MOST_REMOVED}
    return await _change(database, "remove_range", **ride, **range_and_bound)


async def _change(database: AsyncDatabase, query: str, **parameters: object) -> bool:
    """Whether the query has changed a workout."""
    async with database.connection() as connection:
        return await connection.row(_Id, QUERIES[query], **parameters) is not None


async def change_status(
    database: AsyncDatabase, workout_id: UUID, user_id: UUID, old: Status, new: Status
) -> Workout | None:
    """The workout in its new state; None if it was not in the old one, or not there at all."""
    states = {"from": [old], "to": new}
    async with database.connection() as connection:
        return await connection.row(
            Workout, QUERIES["change_status"], id=workout_id, user_id=user_id, **states
        )


async def complete_workout(
    database: AsyncDatabase, workout_id: UUID, user_id: UUID, key_id: str
) -> Ending | None:
    """End a ride by a key: its last fold is due. None if nothing is to be announced."""
    ride = {"id": workout_id, "user_id": user_id}
    async with database.connection() as connection:
        return await connection.row(Ending, QUERIES["complete_workout"], **ride, key_id=key_id)


async def is_newly_ended(
    database: AsyncDatabase, workout_id: UUID, user_id: UUID, key_id: str
) -> bool:
    """Whether that key has just ended the ride."""
    ride = {"id": workout_id, "user_id": user_id}
    async with database.connection() as connection:
        found = await connection.row(_Ended, QUERIES["is_newly_ended"], **ride, key_id=key_id)
    return found is not None and bool(found.is_newly_ended)


async def lock_laps(
    connection: BoundedConnection, workout_id: UUID, user_id: UUID
) -> LapsHeld | None:
    """The laps of the user's ride, which nobody else changes meanwhile; None without a ride."""
    named = {"id": workout_id, "user_id": user_id}
    return await connection.row(LapsHeld, QUERIES["lock_laps"], **named)


async def put_laps(
    connection: BoundedConnection, workout_id: UUID, user_id: UUID, laps: list[Lap]
) -> None:
    """Put them in place of the ride's laps; their figures follow by its next fold."""
    named = {"id": workout_id, "user_id": user_id, "laps": Jsonb(laps)}
    await connection.execute(QUERIES["put_laps"], named)


async def delete_workout(
    database: AsyncDatabase, workout_id: UUID, user_id: UUID
) -> Deleted | None:
    """Hide a ride and take its records back. None if it was not there, or not the user's."""
    async with database.connection() as connection, connection.transaction():
        hidden = await connection.row(
            Deleted, QUERIES["delete_workout"], id=workout_id, user_id=user_id
        )
        if hidden:
            orphaned = {"id": workout_id, "user_id": user_id}
            await connection.execute(QUERIES["free_duplicates"], orphaned)
            await connection.execute(RECORDS["delete_curve"], {"workout_id": workout_id})
            await take_records_back(connection, workout_id, user_id)
    return hidden


async def take_records_back(connection: BoundedConnection, workout_id: UUID, user_id: UUID) -> None:
    """What the ride held of the user's records passes to the next best ride.

    In the transaction that has changed the workout: whoever writes records locks the workout
    first and the user last, so that no two wait for each other.
    """
    ride = {"workout_id": workout_id, "user_id": user_id}
    for query in ("delete_bests", "lock_rider", "refresh_records"):
        await connection.execute(RECORDS[query], ride)


async def read_short_curves(
    database: AsyncDatabase, user_id: UUID, ids: Sequence[UUID]
) -> dict[UUID, list[Any]]:
    """The power curves of the user's rides that have one, at a few durations each."""
    durations = list(SHORT_CURVE)
    async with database.connection() as connection:
        found = await connection.rows(
            _Curve, QUERIES["short_curves"], user_id=user_id, ids=list(ids), durations=durations
        )
    return {each.workout_id: each.points for each in found}


async def read_channels(
    database: AsyncDatabase, workout_id: UUID, user_id: UUID, channels: Sequence[str] | None
) -> list[ArchivedChannel]:
    """The archived channels of the user's workout, or the named ones of them."""
    async with database.connection() as connection:
        return await connection.rows(
            ArchivedChannel,
            QUERIES["read_own_channels"],
            id=workout_id,
            user_id=user_id,
            channels=channels,
        )
