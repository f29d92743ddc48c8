"""The running figures of rides that somebody watches.

Computed between events and from what is there, without a lock: no fold waits for them, and they
may take up a part of each worker's time only. They are shown, and never stored.
"""

import logging
import time
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

import msgspec
from redis.exceptions import OutOfMemoryError

from shared.connections import Database, DatabaseConnection, Redis, passing_over
from shared.errors import LeaveToNewer, MalformedEntry
from shared.figures import tidy
from shared.redis_keys import FIGURES_FIELD, WATCHED, computed_key, figures_key
from shared.running import RunningBest, RunningFigures
from shared.samples import stream_codec
from shared.samples.archive import split
from worker.metrics.w_prime import w_prime_balance
from worker.rides import store, stream
from worker.rides.analysis import analyse, ride_of
from worker.rides.archive import merge_archive
from worker.rides.asking import reached
from worker.rides.ride import Ride
from worker.rides.store import Analysis, LockedWorkout

_UNDER_WAY: Final = ("ACTIVE", "PAUSED")
_EVERY: Final = 3.0  # seconds between the figures of one ride
_TIMES: Final = 20.0  # or so many times as long as they took, for rides of many samples
_AT_ONCE: Final = 0.2  # seconds of work before the next event has its turn
_REST: Final = 4.0  # times as long as was worked: a fifth of a worker at most
_PATIENCE: Final = 60.0  # seconds until a ride is tried again that cannot be read
_KEPT_FOR: Final = 60  # seconds
logger = logging.getLogger(__name__)


class LiveFigures:
    """Publishes the figures of watched rides in turns, each every few seconds at most.

    ``at_once``: the seconds of work in one go, but for the ride that is begun.
    """

    def __init__(
        self,
        database: Database,
        client: Redis,
        *,
        at_once: float = _AT_ONCE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._redis = client
        self._at_once = at_once
        self._clock = clock
        self._due_at = 0.0
        self._last = UUID(int=0)  # the ride that was looked at last

    def publish_if_due(self) -> None:
        """Publish for a while, unless it is too early."""
        if time.monotonic() >= self._due_at:
            began = time.monotonic()
            self.publish()
            self._due_at = time.monotonic() + _REST * (time.monotonic() - began)

    def publish(self) -> None:
        """Publish the figures that are due, until the time for it is used up."""
        until = time.monotonic() + self._at_once
        for workout_id in reached(self._redis, self._in_turn(), computed_key):
            self._last = workout_id
            with passing_over(self._redis, key=computed_key(workout_id)):
                self._publish_if_old(workout_id)
            if time.monotonic() >= until:
                break

    def _publish_if_old(self, workout_id: UUID) -> None:
        if self._redis.set(computed_key(workout_id), b"", nx=True, px=int(_EVERY * 1000)):
            self._publish_one(workout_id)

    def _in_turn(self) -> list[UUID]:
        """The watched rides, those after the last one first."""
        now = int(self._clock() * 1000)
        members: Any = self._redis.zrange(WATCHED, now, "+inf", byscore=True)
        ids = sorted(UUID(member.decode()) for member in members)
        later = [each for each in ids if each > self._last]
        return later + ids[: len(ids) - len(later)]

    def _publish_one(self, workout_id: UUID) -> None:
        began = time.monotonic()
        try:
            with self._database.connection() as connection:
                figures = running_figures(connection, self._redis, workout_id)
        except (MalformedEntry, LeaveToNewer) as error:
            logger.info("no running figures of %s: %s", workout_id, error)
            self._redis.pexpire(computed_key(workout_id), int(_PATIENCE * 1000))
            return
        if figures:
            self._send(workout_id, figures)
        took = time.monotonic() - began
        if took * _TIMES > _EVERY:
            self._redis.pexpire(computed_key(workout_id), int(took * _TIMES * 1000))

    def _send(self, workout_id: UUID, figures: RunningFigures) -> None:
        """A full Redis refuses them, as it does samples."""
        entry: Any = {FIGURES_FIELD: msgspec.json.encode(figures)}
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.xadd(figures_key(workout_id), entry, maxlen=1, approximate=False)
                pipe.expire(figures_key(workout_id), _KEPT_FOR)
                pipe.execute()
        except OutOfMemoryError:
            logger.warning("Redis is too full for the running figures of %s", workout_id)


def running_figures(
    connection: DatabaseConnection, redis: Redis, workout_id: UUID
) -> RunningFigures | None:
    """The figures of a ride under way, from its archive and what waits; None if it is over.

    Raises MalformedEntry, LeaveToNewer.
    """
    # The stream first: a fold in between moves samples to the archive, and they are merged.
    entries = stream.read_waiting(redis, workout_id).entries
    workout = store.peek_workout(connection, workout_id)
    if workout is None or workout.status not in _UNDER_WAY:
        return None
    return _figures(connection, workout, entries)


def _figures(
    connection: DatabaseConnection, workout: LockedWorkout, entries: list[bytes]
) -> RunningFigures:
    fresh = dict(split(stream_codec.decode(entries).outside(workout.removed)))
    archive = merge_archive(store.read_parts(connection, workout.id), fresh)
    ride = ride_of(workout, archive.without(workout.removed))
    athlete = store.athlete_of(connection, workout, ride.timestamps)
    analysis = analyse(workout, ride, athlete, archive.overwritten)
    times = analysis.timestamps
    return RunningFigures(
        through=int(times[-1]) if len(times) else None,
        summary=analysis.summary,
        bests=_bests(analysis),
        w_prime_balance=_w_prime_left(ride, analysis),
    )


def _bests(analysis: Analysis) -> tuple[RunningBest, ...]:
    return tuple(
        RunningBest(metric, each.duration, round(each.value, 3), each.started * 1000)
        for metric, efforts in sorted(analysis.efforts.bests.items())
        for each in efforts
    )


def _w_prime_left(ride: Ride, analysis: Analysis) -> float | None:
    """Kilojoules."""
    known = analysis.summary.parameters
    critical_power, w_prime = known.critical_power, known.w_prime
    if not (len(ride.power) and critical_power and w_prime):
        return None
    return tidy(float(w_prime_balance(ride.power, critical_power, w_prime)[-1]) / 1000)
