"""What a fold, or an import, finds out about a ride from all its samples."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from shared.connections import DatabaseConnection
from shared.samples.columns import Samples
from shared.sports import may_be_of_one_ride
from worker.rides import store
from worker.rides.archive import RideArchive
from worker.rides.athlete import Athlete
from worker.rides.duplicates import contradict, sameness
from worker.rides.efforts import rank_efforts
from worker.rides.laps import summarize_laps
from worker.rides.ride import Ride
from worker.rides.store import Analysis, Candidate, LockedWorkout
from worker.rides.summary import summarize

_SAME_MINUTE: Final = 60  # seconds


class Same(NamedTuple):
    """A workout that is a recording of the same ride, and why it is taken for one."""

    workout_id: UUID
    why: str


def ride_of(workout: LockedWorkout, archive: RideArchive) -> Ride:
    """What counts of an archive, by what the rider has said of the workout."""
    return Ride(workout.cropped(archive.samples()), workout.vouched_seconds)


def analyse(workout: LockedWorkout, ride: Ride, athlete: Athlete, overwritten: int) -> Analysis:
    """The figures, laps and efforts of the ride; nothing is ranked of one that does not count.

    ``overwritten``: how many timestamps have got other values since the ride was last folded.
    """
    efforts = rank_efforts(ride, workout.excluded_seconds)
    if workout.excluded or workout.duplicate_of:
        efforts = efforts.unranked()
    before = workout.overwritten
    summary = summarize(ride, athlete, None if before is None else before + overwritten)
    laps = summarize_laps(workout.known_laps, ride, workout.bounds)
    return Analysis(ride.timestamps, summary, efforts, laps)


def find_same(
    connection: DatabaseConnection,
    candidates: Sequence[Candidate],
    ride: Ride,
    sport: str | None,
    *,
    live: bool,
) -> Same | None:
    """The first of these workouts that recorded the same ride.

    None is of another sport, as a run within the time of a ride; ``sport`` is None where a file
    does not say.

    Who sends a file is told, and may say otherwise. Of a ride that was sent ``live``, of which
    nobody is asked, the measurements must not contradict it, either.
    """
    for candidate in candidates:
        if sport and not may_be_of_one_ride(sport, candidate.sport):
            continue
        if candidate.samples_deleted and _has_times_of(candidate, ride):
            return Same(candidate.id, "the same times; its samples are no longer kept")
        for other in _recordings_of(connection, candidate):
            why = sameness(ride, other)
            if why and not (live and contradict(ride, other)):
                return Same(candidate.id, why)
    return None


def _has_times_of(candidate: Candidate, ride: Ride) -> bool:
    """Whether both began and ended in the same minute."""
    first, last = ride.timestamps[[0, -1]] / 1000
    apart = candidate.start_time.timestamp() - first, candidate.end_time.timestamp() - last
    return bool(max(map(abs, apart)) <= _SAME_MINUTE)


def _recordings_of(connection: DatabaseConnection, candidate: Candidate) -> Iterator[Ride]:
    """All of it; and of a cropped one what counts: another device may have recorded no more."""
    samples = read_samples(connection, candidate.id)
    yield Ride(samples)
    if crop := candidate.crop:
        yield Ride(samples.between(crop.lower, crop.upper))


def read_samples(connection: DatabaseConnection, workout_id: UUID) -> Samples:
    """All that is archived of a workout. Raises MalformedEntry, LeaveToNewer."""
    return store.read_archive(connection, workout_id).samples()
