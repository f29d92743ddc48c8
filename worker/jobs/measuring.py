"""The figures of a part of a ride, for somebody who has selected it and looks at the screen."""

import logging
from typing import ClassVar, Final

import msgspec
import numpy as np

from shared.connections import Database, DatabaseConnection, Redis
from shared.events import Announcement, Fields, MeasureRequest
from shared.measured import MOST_POINTS, Balance, Measured
from shared.redis_keys import measured_key
from shared.samples import stream_codec
from shared.samples.archive import split
from worker.jobs.announcing import announce
from worker.metrics.series import Series
from worker.metrics.w_prime import w_prime_balance
from worker.queue.dead_letters import DeadLetter
from worker.rides import store, stream
from worker.rides.analysis import ride_of
from worker.rides.archive import merge_archive
from worker.rides.laps import figures_between
from worker.rides.ride import Ride
from worker.rides.store import LockedWorkout

_KEPT_FOR: Final = 60  # seconds
logger = logging.getLogger(__name__)


class MeasureJob:
    """Answers with figures that are shown once, and never stored."""

    kind: ClassVar = MeasureRequest.KIND

    def __init__(self, database: Database, redis: Redis) -> None:
        self._database = database
        self._redis = redis

    def subject_of(self, event: Fields) -> bytes | None:
        """The answer's id: a ride whose figures cannot be told may well be folded."""
        return event.get(b"answer")

    def run(self, event: Fields) -> bool:
        """Measure. Raises MalformedEntry, LeaveToNewer."""
        request = MeasureRequest.from_fields(event)
        with self._database.connection() as connection:
            measured = measure(connection, self._redis, request)
        if measured is None:
            return False
        answer = msgspec.json.encode(measured)
        self._redis.set(measured_key(request.answer_id), answer, ex=_KEPT_FOR)
        announce(self._redis, Announcement(self.kind, request.answer_id, "MEASURED"))
        return True

    def give_up(self, letter: DeadLetter) -> None:
        """Write no letter: whoever asked has long been told to ask again."""
        logger.warning("gave up on figures: %s", letter.reason)


def measure(
    connection: DatabaseConnection, redis: Redis, request: MeasureRequest
) -> Measured | None:
    """The figures, from the archive and what waits; None without the ride.

    Raises MalformedEntry, LeaveToNewer.
    """
    # The stream first: a fold in between moves samples to the archive, and they are merged.
    entries = stream.read_waiting(redis, request.workout_id).entries
    workout = store.peek_workout(connection, request.workout_id)
    if workout is None:
        return None
    fresh = dict(split(stream_codec.decode(entries).outside(workout.removed)))
    archive = merge_archive(store.read_parts(connection, workout.id), fresh)
    ride = ride_of(workout, archive.without(workout.removed))
    start, end = _ends(ride, request)
    balance = _balance(connection, workout, ride)
    thinned = _thinned(balance, start // 1000, end // 1000) if balance else None
    return Measured(figures_between(ride, start, end), thinned)


def _ends(ride: Ride, request: MeasureRequest) -> tuple[int, int]:
    """From when to before when (ms). With an open end the part is within the ride, or empty."""
    if request.start is not None and request.end is not None:
        return request.start, request.end
    times = ride.timestamps
    first, past = (int(times[0]), int(times[-1]) + 1000) if len(times) else (0, 0)
    start = first if request.start is None else max(request.start, first)
    end = past if request.end is None else min(request.end, past)
    return (min(start, end), end) if request.start is None else (start, max(start, end))


def _balance(connection: DatabaseConnection, workout: LockedWorkout, ride: Ride) -> Series | None:
    """W′ balance of the whole ride, in kJ."""
    athlete = store.athlete_on(connection, workout.user_id, workout.family, workout.start_time)
    critical_power, w_prime, power = athlete.critical_power, athlete.w_prime, ride.power
    if not (len(power) and critical_power and w_prime):
        return None
    left = w_prime_balance(power, critical_power, w_prime) / 1000
    return Series(power.seconds, left, power.segments)


def _thinned(balance: Series, start: int, end: int) -> Balance:
    """The lowest of each stretch between two seconds."""
    first, last = np.searchsorted(balance.seconds, [start, end])
    seconds, values = balance.seconds[first:last], balance.values[first:last]
    step = max(-(-(end - start) // MOST_POINTS), 1)
    lowest = np.full(-(-(end - start) // step), np.inf)
    np.minimum.at(lowest, (seconds - start) // step, values)
    shown = [None if np.isinf(each) else round(float(each), 2) for each in lowest]
    return Balance(start * 1000, step * 1000, shown)
