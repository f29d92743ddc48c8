"""Rides as files of our own making."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from ops.demo.ride_simulator import simulate_ride
from shared.files.fit_writer import write_fit
from shared.files.recording import Device, Figures, Lap, Recording
from shared.samples.columns import Samples

T0: Final = 1_700_000_000_000
_CHANNELS: Final = (
    *("power", "cadence", "heartrate", "speed", "distance", "altitude", "lat", "lng"),
)


def hour_of_riding(start: int = T0, *, repeats: int = 1) -> bytes:
    """A FIT file of a ride with a café, a drop-out, two laps and a lone spike of 1,900 W.

    ``repeats``: how many hours it is repeated for.
    """
    rows = [row for hour in range(repeats) for row in simulate_ride(start + hour * 3_600_000)]
    rows[1000] = {**rows[1000], "power": 1900}
    times = np.array([row["timestamp"] for row in rows], np.int64)
    columns = {name: np.array([row.get(name, np.nan) for row in rows]) for name in _CHANNELS}
    return write_fit(_recording(Samples(times, columns), times.tolist()))


def _recording(samples: Samples, times: Sequence[int]) -> Recording:
    middle = times[len(times) // 2]
    return Recording(
        samples,
        sport="cycling",
        laps=(Lap(times[0], middle), Lap(middle, times[-1] + 1000)),
        device=Device(maker="Garmin", product="Edge 530"),
        figures=Figures(normalized_power=215.0, avg_power=190.0, total_distance=29_000.0),
    )
