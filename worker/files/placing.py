"""Rides of a file among the user's workouts: new, or in one that is there already.

Figures and archive are written by what the fold uses, in the transaction that ends the upload: so
no workout without samples is ever left behind, and a crash anywhere repeats harmlessly.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

import numpy as np

from shared.connections import DatabaseConnection
from shared.files.recording import FileRefused, Recording
from shared.samples.archive import split
from shared.samples.columns import Samples, concatenate, merge
from shared.uploads import Duplicate, OnDuplicate, UploadStatus
from worker.files import store
from worker.files.store import Result, Upload
from worker.files.telling import told_by
from worker.rides import store as rides
from worker.rides.analysis import Same, analyse, find_same, read_samples, ride_of
from worker.rides.archive import RideArchive, merge_archive
from worker.rides.ride import Ride

_NEAR: Final = 500  # ms: readings so near to each other are of the same moment
_PLACES: Final = ("lat", "lng")  # of one receiver only


@dataclass(frozen=True)
class Bounds:
    """``samples``: the most of a ride; ``workouts``: the most of a user."""

    samples: int
    workouts: int


@dataclass
class _Placed:
    """What has become of the rides so far."""

    workout_ids: list[UUID] = field(default_factory=list)
    duplicates: list[Duplicate] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def result(self) -> Result:
        status = UploadStatus.DONE if self.workout_ids else UploadStatus.DUPLICATE
        reason = None if self.workout_ids else self.duplicates[0].why
        return Result(status, reason, self.warnings, self.workout_ids, self.duplicates)


def place(
    connection: DatabaseConnection, upload: Upload, recordings: Iterable[Recording], bounds: Bounds
) -> Result:
    """Make a workout of each ride; what is there already is treated as the upload asks for.

    To be called under ``rides.lock_rides_of``. Raises FileRefused.
    """
    placed = _Placed()
    for recording in recordings:
        if len(recording.samples) > bounds.samples:
            raise FileRefused(f"a ride may have {bounds.samples} readings; this one has more")
        placed.warnings += recording.warnings
        _place_one(connection, upload, recording, bounds, placed)
    return placed.result()


def _place_one(
    connection: DatabaseConnection,
    upload: Upload,
    recording: Recording,
    bounds: Bounds,
    placed: _Placed,
) -> None:
    ride = Ride(merge(recording.samples))
    candidates = rides.overlapping(connection, upload.user_id, None, ride.timestamps)
    same = find_same(connection, candidates, ride, recording.sport, live=False)
    match same, OnDuplicate(upload.on_duplicate):
        case Same(workout_id, why), OnDuplicate.REJECT:
            placed.duplicates.append(Duplicate(workout_id, why))
        case Same(workout_id), OnDuplicate.REPLACE | OnDuplicate.MERGE as how:
            _put_into(
                connection, upload, recording, workout_id, replaces=how is OnDuplicate.REPLACE
            )
            placed.workout_ids.append(workout_id)
        case _:
            if store.count_workouts(connection, upload.user_id) >= bounds.workouts:
                raise FileRefused(f"a user may have {bounds.workouts} workouts")
            twin = same.workout_id if same else None
            placed.workout_ids.append(_create(connection, upload, recording, twin))


def _create(
    connection: DatabaseConnection,
    upload: Upload,
    recording: Recording,
    duplicate_of: UUID | None,
) -> UUID:
    told = told_by(recording, upload.language)
    workout_id = store.create_workout(connection, upload, told, duplicate_of)
    _write(connection, workout_id, merge_archive({}, dict(split(recording.samples))))
    return workout_id


def _put_into(
    connection: DatabaseConnection,
    upload: Upload,
    recording: Recording,
    workout_id: UUID,
    *,
    replaces: bool,
) -> None:
    told = told_by(recording, upload.language)
    store.retell(connection, workout_id, upload, told, replaces=replaces)
    samples = recording.samples
    if not replaces:
        samples = combine(read_samples(connection, workout_id), merge(samples))
    fresh = merge_archive({}, dict(split(samples)))
    _write(connection, workout_id, replace(fresh, anew=True))


def _write(connection: DatabaseConnection, workout_id: UUID, archive: RideArchive) -> None:
    """Lock the row, and write all that a fold writes, without what the rider has removed."""
    workout = rides.lock_workout(connection, workout_id)
    assert workout is not None  # this transaction has written it  # noqa: S101
    archive = archive.without(workout.removed)
    ride = ride_of(workout, archive)
    athlete = rides.athlete_of(connection, workout, ride.timestamps)
    analysis = analyse(workout, ride, athlete, archive.overwritten)
    rides.write_workout(connection, workout, archive, analysis, None)


def combine(stored: Samples, fresh: Samples) -> Samples:
    """Each channel from whichever recording has more readings of it; the stored one of equals.

    Readings of the two that are less than half a second apart are of one moment.
    """
    names = dict.fromkeys([*stored.channels, *fresh.channels])
    better = {name for name in names if _count(fresh, name) > _count(stored, name)}
    if better & set(_PLACES):
        better |= set(_PLACES)
    kept = {name: values for name, values in stored.channels.items() if name not in better}
    taken = {name: values for name, values in fresh.channels.items() if name in better}
    aligned = Samples(_aligned(fresh, stored), taken)
    return merge(concatenate([Samples(stored.timestamps, kept), aligned]))


def _count(samples: Samples, name: str) -> int:
    return int(np.count_nonzero(~np.isnan(samples.channel(name))))


def _aligned(fresh: Samples, stored: Samples) -> np.ndarray:
    """The times of the fresh samples, at the stored ones' where these are near."""
    times, known = fresh.timestamps, stored.timestamps
    if not len(known):
        return times
    after = np.clip(np.searchsorted(known, times), 0, len(known) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(times - known[before] <= known[after] - times, known[before], known[after])
    return np.where(np.abs(nearest - times) < _NEAR, nearest, times)
