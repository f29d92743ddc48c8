"""A ride's rows in PostgreSQL: locked, read and written, all in the transaction of the caller."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg import Cursor
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from shared.connections import DatabaseConnection, Row, in_one_trip
from shared.figures import Summary
from shared.laps import Lap, laps_of
from shared.samples.archive import ArchivedChannel, decode_parts, encode
from shared.samples.columns import IntArray, Samples
from shared.sports import sport_family
from shared.sql import load_queries
from worker.rides.archive import RideArchive
from worker.rides.athlete import Athlete
from worker.rides.efforts import Efforts

FOLDS = load_queries("folds")
RECORDS = load_queries("records")
WORKOUTS = load_queries("workouts")
_OVER: Final = ("PROCESSING", "COMPLETED", "ARCHIVED")


@dataclass(frozen=True)
class LockedWorkout:
    """What a fold needs of a row that nobody else changes meanwhile.

    ``archived`` and ``summarized``: how many samples the archive has, and the figures are made of.
    ``method_version``: by which definitions the figures were computed; 0 without figures.
    ``overwritten``: how many timestamps have got other values so far, or None where the ride began
    before that was counted.
    """

    id: UUID
    user_id: UUID
    sport: str
    status: str
    start_time: datetime
    stale: bool
    excluded: bool
    excluded_ranges: Any  # a multirange of ms, as the next two
    vouched_ranges: Any
    removed_ranges: Any
    crop: Any  # a range of ms, or None
    duplicate_of: UUID | None
    laps: Any
    method_version: int
    summarized: int
    archived: int
    samples_deleted: bool
    overwritten: int | None

    @property
    def family(self) -> str:
        """The sport that its figures are ranked in."""
        return sport_family(self.sport)

    @property
    def excluded_seconds(self) -> list[tuple[float, float]]:
        """From when to when the ride sets no records, in Unix seconds."""
        return _seconds(self.excluded_ranges)

    @property
    def vouched_seconds(self) -> list[tuple[float, float]]:
        """From when to when the rider says that no power is a spike, in Unix seconds."""
        return _seconds(self.vouched_ranges)

    @property
    def removed(self) -> list[tuple[int, int]]:
        """From when to when the rider has removed all samples for good, in ms."""
        return [(each.lower, each.upper) for each in self.removed_ranges]

    @property
    def bounds(self) -> tuple[int | None, int | None]:
        """From when and until when the ride counts, in ms; None where it is not cropped."""
        return (self.crop.lower, self.crop.upper) if self.crop else (None, None)

    def cropped(self, samples: Samples) -> Samples:
        """Of samples in order of time, those that the rider has not cropped away."""
        return samples.between(*self.bounds) if self.crop else samples

    @property
    def known_laps(self) -> list[Lap]:
        """The laps as they were told, or last folded."""
        return laps_of(self.laps)


@dataclass(frozen=True)
class Analysis:
    """What a fold found out: when the ride's samples were, their figures, and what is ranked."""

    timestamps: IntArray
    summary: Summary
    efforts: Efforts
    laps: list[Lap]


@dataclass(frozen=True)
class Candidate:
    """A workout that may have recorded the same ride; ``crop``: the range (ms) that counts.

    Of one whose samples are no longer kept only its times can be compared.
    """

    id: UUID
    sport: str
    crop: Any
    samples_deleted: bool
    start_time: datetime
    end_time: datetime


def limit_waits(connection: DatabaseConnection) -> None:
    """Let PostgreSQL end this transaction if the worker stalls, or waits too long for a lock."""
    connection.execute(FOLDS["limit_waits"])


def lock_workout(connection: DatabaseConnection, workout_id: UUID) -> LockedWorkout | None:
    """Lock the row against other folds until the transaction ends; None if there is no such one.

    The transaction's waits are limited first.
    """
    # It ends before any work begins: within one, PostgreSQL would not see us idle, and never end
    # the transaction of a worker that stalls. What is fetched within one costs a round trip more.
    with connection.cursor(row_factory=class_row(LockedWorkout)) as cursor:
        with in_one_trip(connection):
            limit_waits(connection)
            cursor.execute(FOLDS["lock_workout"], {"id": workout_id})
        return cursor.fetchone()


def peek_workout(connection: DatabaseConnection, workout_id: UUID) -> LockedWorkout | None:
    """The same without the lock, and without counting what is archived."""
    with connection.cursor(row_factory=class_row(LockedWorkout)) as cursor:
        return cursor.execute(FOLDS["peek_workout"], {"id": workout_id}).fetchone()


def some_finished(connection: DatabaseConnection, method_version: int, count: int) -> list[UUID]:
    """Finished rides whose figures are by these definitions, spread over all of them."""
    asked = {"method_version": method_version, "most": count}
    return [row["id"] for row in connection.execute(FOLDS["some_finished"], asked)]


def read_summary(connection: DatabaseConnection, workout_id: UUID) -> dict[str, Any]:
    """The figures of a ride as they are stored; empty without any."""
    row = connection.execute(FOLDS["read_summary"], {"id": workout_id}).fetchone()
    return (row and row["summary"]) or {}


def lock_rides_of(connection: DatabaseConnection, user_id: UUID) -> None:
    """Let nobody else look for duplicates of this user's rides until the transaction ends."""
    connection.execute(FOLDS["lock_rides_of"], {"user_id": user_id})


def overlapping(
    connection: DatabaseConnection, user_id: UUID, workout_id: UUID | None, timestamps: IntArray
) -> list[Candidate]:
    """The user's finished workouts that may have recorded the same ride, the oldest row first.

    Under the lock of ``lock_rides_of``: of two recordings that come at the same moment, one then
    sees the other.
    """
    with connection.cursor(row_factory=class_row(Candidate)) as cursor:
        with in_one_trip(connection):
            _ask_overlapping(cursor, user_id, workout_id, timestamps)
        return cursor.fetchall()


def read_beside(
    connection: DatabaseConnection, workout: LockedWorkout, timestamps: IntArray
) -> tuple[Athlete, list[Candidate]]:
    """The athlete on the day of the ride, and what ``overlapping`` finds, in one round trip."""
    with (
        connection.cursor(row_factory=class_row(Athlete)) as athletes,
        connection.cursor(row_factory=class_row(Candidate)) as candidates,
    ):
        with in_one_trip(connection):
            _ask_athlete(athletes, workout.user_id, workout.family, _began(workout, timestamps))
            _ask_overlapping(candidates, workout.user_id, workout.id, timestamps)
        return athletes.fetchone() or Athlete(), candidates.fetchall()


def _ask_overlapping(
    cursor: Cursor[Candidate], user_id: UUID, workout_id: UUID | None, timestamps: IntArray
) -> None:
    first, last = (timestamps[[0, -1]] / 1000).tolist() if len(timestamps) else (None, None)
    span = {"first": _moment(first), "last": _moment(last), "id": workout_id}
    lock_rides_of(cursor.connection, user_id)
    cursor.execute(FOLDS["overlapping"], {"user_id": user_id, **span})


def note_duplicate(connection: DatabaseConnection, workout_id: UUID, duplicate_of: UUID) -> None:
    """The workout is another recording of that one, and does not count."""
    connection.execute(FOLDS["note_duplicate"], {"id": workout_id, "duplicate_of": duplicate_of})


def read_archive(connection: DatabaseConnection, workout_id: UUID) -> RideArchive:
    """All that is archived of a workout. Raises MalformedEntry or LeaveToNewer."""
    return RideArchive(read_parts(connection, workout_id), [])


def read_parts(
    connection: DatabaseConnection, workout_id: UUID, parts: list[int] | None = None
) -> dict[int, Samples]:
    """The archived parts of a workout, or those of the given numbers.

    Raises MalformedEntry or LeaveToNewer.
    """
    with connection.cursor(row_factory=class_row(ArchivedChannel)) as cursor:
        cursor.execute(WORKOUTS["read_channels"], {"id": workout_id, "parts": parts})
        return decode_parts(cursor.fetchall())


def athlete_on(
    connection: DatabaseConnection, user_id: UUID, sport: str, moment: datetime
) -> Athlete:
    """The athlete's figures in a family of sports on the day of that moment, where they live."""
    with connection.cursor(row_factory=class_row(Athlete)) as cursor:
        _ask_athlete(cursor, user_id, sport, moment)
        return cursor.fetchone() or Athlete()


def athlete_of(
    connection: DatabaseConnection, workout: LockedWorkout, timestamps: IntArray
) -> Athlete:
    """The same, of a workout whose samples are of these times (ms)."""
    return athlete_on(connection, workout.user_id, workout.family, _began(workout, timestamps))


def _ask_athlete(cursor: Cursor[Athlete], user_id: UUID, sport: str, moment: datetime) -> None:
    asked = {"user_id": user_id, "sport": sport, "moment": moment}
    cursor.execute(RECORDS["athlete_on"], asked)


def _began(workout: LockedWorkout, timestamps: IntArray) -> datetime:
    """When the first sample that counts was taken; without any, what the workout's row says."""
    if not len(timestamps):
        return workout.start_time
    return datetime.fromtimestamp(timestamps[0] / 1000, UTC)


def fail_workout(connection: DatabaseConnection, workout_id: UUID, event_id: str) -> bool:
    """Mark the workout FAILED, and note its former status in the event's dead letter.

    False if it is deleted, and stays so.
    """
    failed = connection.execute(FOLDS["fail_workout"], {"id": workout_id, "event_id": event_id})
    return failed.fetchone() is not None


def write_workout(
    connection: DatabaseConnection,
    workout: LockedWorkout,
    archive: RideArchive,
    analysis: Analysis,
    received_at: float | None,
) -> None:
    """Write archive, summary, bests and records; a PROCESSING workout becomes COMPLETED.

    Triggers tell the webhooks of the ride; of the records that it sets they are told here.

    The user's row is locked last, and by everyone in that order: no deadlock, and whoever ranks
    records sees the bests of all that ranked before.
    """
    with in_one_trip(connection), connection.cursor() as cursor:
        _write_archive(cursor, workout.id, archive)
        _write_summary(cursor, workout.id, analysis, archive.overwritten, received_at)
        _write_efforts(cursor, workout, analysis)
        owned = {"user_id": workout.user_id, "workout_id": workout.id}
        cursor.execute(RECORDS["lock_rider"], owned)
        if workout.status in _OVER:
            completing = workout.status == "PROCESSING"
            cursor.execute(RECORDS["tell_records"], {**owned, "completing": completing})
        cursor.execute(RECORDS["refresh_records"], owned)


def keep_figures(connection: DatabaseConnection, workout_id: UUID) -> None:
    """Note that they are not to be computed anew, whatever they were to follow."""
    connection.execute(FOLDS["keep_figures"], {"id": workout_id})


def write_checkpoint(
    connection: DatabaseConnection,
    workout_id: UUID,
    archive: RideArchive,
    received_at: float | None,
) -> None:
    """Write what has changed of the archive; the figures stay as they are."""
    with in_one_trip(connection), connection.cursor() as cursor:
        _write_archive(cursor, workout_id, archive)
        arrival = {"received_at": _moment(received_at), "overwritten": archive.overwritten}
        cursor.execute(FOLDS["note_arrival"], {"id": workout_id, **arrival})


def _write_archive(cursor: Cursor[Row], workout_id: UUID, archive: RideArchive) -> None:
    if archive.anew:
        cursor.execute(FOLDS["delete_archive"], {"workout_id": workout_id})
    rows = [row for part in archive.changed for row in encode(archive.parts[part], part)]
    if rows:
        columns = dict(zip(ArchivedChannel._fields, zip(*rows, strict=True), strict=True))
        arrays = {name: _array(columns[name]) for name in columns.keys() - {"data"}}
        named = {"workout_id": workout_id, **arrays, "data": list(columns["data"])}
        cursor.execute(FOLDS["write_channels"], named)


def _write_summary(
    cursor: Cursor[Row],
    workout_id: UUID,
    analysis: Analysis,
    overwritten: int,
    received_at: float | None,
) -> None:
    times = analysis.timestamps / 1000
    cursor.execute(
        FOLDS["write_summary"],
        {
            "id": workout_id,
            "summary": Jsonb(analysis.summary),
            "laps": Jsonb(analysis.laps),
            "first": _moment(times[0] if len(times) else None),
            "last": _moment(times[-1] if len(times) else None),
            "duration": analysis.summary.duration,
            "overwritten": overwritten,
            "received_at": _moment(received_at),
        },
    )


def _write_efforts(cursor: Cursor[Row], workout: LockedWorkout, analysis: Analysis) -> None:
    cursor.execute(RECORDS["delete_efforts"], {"workout_id": workout.id})
    times, curve = analysis.timestamps, analysis.efforts.power_curve
    bests = [
        (metric, effort)
        for metric, efforts in sorted(analysis.efforts.bests.items())
        for effort in efforts
    ]
    cursor.execute(
        RECORDS["write_efforts"],
        {
            "user_id": workout.user_id,
            "workout_id": workout.id,
            "sport": workout.family,
            "metric": _array([metric for metric, _ in bests]),
            "duration": _array([effort.duration for _, effort in bests]),
            "value": _array([effort.value for _, effort in bests]),
            "started": _array([effort.started for _, effort in bests]),
            "ridden_at": _moment(times[0] / 1000 if len(times) else None),
            "durations": _array([effort.duration for effort in curve]),
            "watts": _array([round(effort.value, 2) for effort in curve]),
        },
    )


def _array(values: Sequence[object]) -> str:
    """An array of numbers or names, as PostgreSQL reads it: all but the brackets is as in JSON.

    The driver writes one as well, but takes many times as long over each value.
    """
    return f"{{{msgspec.json.encode(values).decode()[1:-1]}}}"


def _seconds(ranges: Any) -> list[tuple[float, float]]:
    return [(each.lower / 1000, each.upper / 1000) for each in ranges]


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
