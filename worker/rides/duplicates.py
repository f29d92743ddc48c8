"""Two recordings of one ride: a head unit's and a watch's, or one file by way of two programs."""

from datetime import UTC, datetime
from typing import Final

import numpy as np

from worker.metrics.coverage import Stretches, recorded_time
from worker.metrics.series import Series
from worker.rides.ride import Ride

# Of what the shorter recording has recorded, so much is within the other one; and the time from
# start to end that both share is so much of the longer one's. So a part of a ride is not the ride,
# and of two devices one may have been started late, or have stopped the clock at every light.
SHARED_OF_RECORDED: Final = 0.9
SHARED_OF_ELAPSED: Final = 0.75
MOST_DIFFERENCE: Final = 0.15  # of the means of a channel


def sameness(one: Ride, other: Ride) -> str | None:
    """Why the two are taken for recordings of the same ride; None where they are not."""
    if not len(one.timestamps) or not len(other.timestamps):
        return None
    shorter = min(recorded_time(one.recorded), recorded_time(other.recorded))
    shared = _shared_seconds(one.recorded, other.recorded) / shorter
    if shared < SHARED_OF_RECORDED or _shared_of_elapsed(one, other) < SHARED_OF_ELAPSED:
        return None
    began = datetime.fromtimestamp(int(other.timestamps[0]) // 1000, UTC)
    return (
        f"{shared:.0%} of it was recorded at the same time as the workout that began"
        f" {began:%Y-%m-%d %H:%M:%S} UTC"
    )


def contradict(one: Ride, other: Ride) -> bool:
    """Whether the two measured different things in the seconds that both have recorded.

    Two meters on one bicycle may differ by some percent, and so may a strap and a watch.
    """
    return _differ(one.power, other.power) or _differ(one.heartrate, other.heartrate)


def _differ(one: Series, other: Series) -> bool:
    """By the means of a channel; not if it has no seconds in common."""
    _, at, there = np.intersect1d(
        one.seconds, other.seconds, assume_unique=True, return_indices=True
    )
    if not len(at):
        return False
    mean, others = float(one.values[at].mean()), float(other.values[there].mean())
    return abs(mean - others) > MOST_DIFFERENCE * max(mean, others)


def _shared_seconds(one: Stretches, other: Stretches) -> int:
    """Seconds recorded in both; the stretches of each are ascending and apart."""
    firsts = np.concatenate((one[0], other[0]))
    ends = np.concatenate((one[1], other[1])) + 1
    moments = np.concatenate((firsts, ends))
    changes = np.concatenate((np.ones(len(firsts), int), -np.ones(len(ends), int)))
    order = np.argsort(moments, kind="stable")
    running = np.cumsum(changes[order])[:-1]
    return int(np.sum(np.diff(moments[order])[running == 2]))


def _shared_of_elapsed(one: Ride, other: Ride) -> float:
    (start, end), (begin, stop) = one.timestamps[[0, -1]], other.timestamps[[0, -1]]
    longer = max(end - start, stop - begin, 1)
    return max(float(min(end, stop) - max(start, begin)), 0.0) / float(longer)
