"""The fold: everything that reaches PostgreSQL goes through this one idempotent operation."""

import logging
import time
from dataclasses import dataclass, replace
from typing import ClassVar, Final
from uuid import UUID

from shared.connections import Database, DatabaseConnection, Redis
from shared.errors import LeaveToNewer, MalformedEntry
from shared.events import Announcement, Fields, FoldRequest
from shared.failpoints import failpoint
from shared.samples import stream_codec
from shared.samples.archive import WHOLE, split
from worker.jobs.announcing import announce, note_write
from worker.queue.dead_letters import DeadLetter, write_letter
from worker.rides import store, stream
from worker.rides.analysis import analyse, find_same, ride_of
from worker.rides.archive import MOST_PARTS, RideArchive, merge_archive
from worker.rides.store import Analysis, LockedWorkout
from worker.rides.stream import Waiting
from worker.rides.summary import METHOD_VERSION

_SHARE: Final = 10  # of the ride: one in so many of its samples
# After a fold for late samples, so many times as long as it took: they may take up a twentieth of
# a worker, however many come.
_REST: Final = 20
_SHORTEST_REST: Final = 1.0  # seconds
_LONGEST_REST: Final = 30.0
_UNDER_WAY: Final = ("ACTIVE", "PAUSED")
logger = logging.getLogger(__name__)


class FoldJob:
    """Folds the workouts that events ask for. One whose fold is given up becomes FAILED."""

    kind: ClassVar = FoldRequest.KIND

    def __init__(self, database: Database, redis: Redis) -> None:
        self._database = database
        self._redis = redis

    def subject_of(self, event: Fields) -> bytes | None:
        """The workout's id."""
        return event.get(b"workout")

    def run(self, event: Fields) -> bool:
        """Fold. Raises MalformedEntry, LeaveToNewer."""
        return fold(self._database, self._redis, FoldRequest.from_fields(event).workout_id)

    def give_up(self, letter: DeadLetter) -> None:
        """Write the letter and mark its workout FAILED; the samples stay.

        A workout that failed before gets no second letter: its replay would take it for FAILED.
        """
        workout_id = _workout_of(letter.event)
        with self._database.connection() as connection:
            workout = store.lock_workout(connection, workout_id) if workout_id else None
            if workout and workout.status == "FAILED":
                return
            if not (write_letter(connection, letter) and workout):
                return
            failed = store.fail_workout(connection, workout.id, letter.event_id)
        if failed:
            note_write(self._redis, workout.user_id)
            announce(self._redis, Announcement(self.kind, workout.id, "FAILED"))


@dataclass(frozen=True)
class _Folded:
    """What a fold has written: whose, the workout's status since, which entries may be trimmed."""

    user_id: UUID
    status: str
    waiting: Waiting


def fold(database: Database, redis: Redis, workout_id: UUID) -> bool:
    """Merge a workout's waiting samples into its archive and bring its figures up to date.

    Repeating it, wherever it was cut off, gives the same rows: samples are merged by timestamp,
    and are taken from the stream only after the commit. False if there was nothing to do.

    Raises MalformedEntry for what can never be decoded, and LeaveToNewer for what a newer version
    has written of the ride: it is then left as it is.
    """
    began = time.process_time()  # a machine that stalled meanwhile has done no work
    with database.connection() as connection:
        folded = _fold_locked(connection, redis, workout_id)
        failpoint("before-commit")
    failpoint("after-commit")
    if folded is None:
        stream.drop_empty(redis, workout_id)
        return False
    note_write(redis, folded.user_id)
    announce(redis, Announcement(FoldRequest.KIND, workout_id, folded.status))
    rest = None if folded.status in _UNDER_WAY else _rest_after(time.process_time() - began)
    stream.leave(redis, workout_id, folded.waiting.last_id, rest)
    return True


def _rest_after(seconds: float) -> float:
    return min(max(_REST * seconds, _SHORTEST_REST), _LONGEST_REST)


def _fold_locked(connection: DatabaseConnection, redis: Redis, workout_id: UUID) -> _Folded | None:
    """The fold's transaction. None if there was nothing to do."""
    workout = store.lock_workout(connection, workout_id)
    if workout is None or workout.status == "FAILED":
        return None
    completing = workout.status == "PROCESSING"
    waiting = stream.take_waiting(redis, workout_id, seal=completing)
    stale = workout.stale and workout.status != "DELETED"
    if not (waiting.entries or completing or stale):
        return None
    if workout.samples_deleted:
        _leave(connection, workout, waiting)
    else:
        _write(connection, workout, waiting)
    status = "COMPLETED" if completing else workout.status
    logger.info("folded %d batches into %s: %s", len(waiting.entries), workout_id, status.lower())
    return _Folded(workout.user_id, status, waiting)


def _write(connection: DatabaseConnection, workout: LockedWorkout, waiting: Waiting) -> None:
    """Merge what waits into the archive and, where due, bring the figures up to date.

    What waits of a deleted ride is only kept until it is purged: it must not fill Redis meanwhile.
    What the rider has removed is dropped from both, however often it comes: the row remembers it,
    so that neither a repeated fold nor a device that sends it again brings it back.
    """
    if workout.method_version > METHOD_VERSION:
        raise LeaveToNewer(f"figures by the definitions of version {workout.method_version}")
    samples = stream_codec.decode(waiting.entries).outside(workout.removed)
    fresh = dict(split(samples))
    is_scattered = len(fresh) > MOST_PARTS
    if workout.status != "DELETED" and (is_scattered or _are_figures_due(workout, len(samples))):
        archived = store.read_parts(connection, workout.id)
        archive = merge_archive(archived, fresh).without(workout.removed)
        analysis = _analyse(connection, workout, archive)
        failpoint("mid-fold")
        store.write_workout(connection, workout, archive, analysis, waiting.received_at)
    else:
        parts = None if is_scattered else [WHOLE, *fresh]
        archived = store.read_parts(connection, workout.id, parts)
        archive = merge_archive(archived, fresh)
        failpoint("mid-fold")
        store.write_checkpoint(connection, workout.id, archive, waiting.received_at)


def _leave(connection: DatabaseConnection, workout: LockedWorkout, waiting: Waiting) -> None:
    """Keep the figures of a ride whose samples were deleted when their time was over.

    From what comes so late nothing could be computed, and its time is over, too.
    """
    store.keep_figures(connection, workout.id)
    if waiting.entries:
        logger.warning(
            "dropped %d late batches of %s: its samples are no longer kept",
            len(waiting.entries),
            workout.id,
        )


def _analyse(
    connection: DatabaseConnection, workout: LockedWorkout, archive: RideArchive
) -> Analysis:
    """The ride's figures; on completion, whether it is there already is looked for first."""
    ride = ride_of(workout, archive)
    if workout.status != "PROCESSING" or workout.duplicate_of:
        athlete = store.athlete_of(connection, workout, ride.timestamps)
        return analyse(workout, ride, athlete, archive.overwritten)
    athlete, candidates = store.read_beside(connection, workout, ride.timestamps)
    if same := find_same(connection, candidates, ride, workout.sport, live=True):
        logger.info("%s is a duplicate of %s: %s", workout.id, same.workout_id, same.why)
        store.note_duplicate(connection, workout.id, same.workout_id)
        workout = replace(workout, duplicate_of=same.workout_id)
    return analyse(workout, ride, athlete, archive.overwritten)


def _are_figures_due(workout: LockedWorkout, fresh: int) -> bool:
    """Whether to compute them: at a checkpoint only once a tenth of the ride is new to them.

    So all checkpoints of a ride together cost a few times what the ride itself does, however long.
    """
    if workout.status not in _UNDER_WAY or workout.stale:
        return True
    new = workout.archived + fresh - workout.summarized
    return _SHARE * new >= workout.summarized


def _workout_of(event: Fields) -> UUID | None:
    try:
        return FoldRequest.from_fields(event).workout_id
    except MalformedEntry:
        return None
