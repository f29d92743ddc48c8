"""Short ways to write down a ride."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from hypothesis import strategies as st

from shared.samples.columns import FloatArray, IntArray, Samples
from worker.metrics.series import Series, resample

T0 = 1_700_000_000_000
Readings = list[tuple[int, float | None]]  # ms and a value; None: not measured


def ride(*samples: dict[str, float], start: int = T0) -> Samples:
    """Samples as a device sends them, with ``t`` in seconds from the start."""
    names = {name: None for sample in samples for name in sample if name != "t"}
    return Samples(
        np.array([start + round(sample["t"] * 1000) for sample in samples], np.int64),
        {name: np.array([sample.get(name, np.nan) for sample in samples]) for name in names},
    )


def steady(seconds: int, begin: int = 0, **values: float) -> Samples:
    """A second-by-second ride on which nothing changes."""
    return ride(*({"t": t, **values} for t in range(begin, begin + seconds)))


def columns(readings: Readings) -> tuple[IntArray, FloatArray]:
    """What the metrics take: timestamps, and values with NaN."""
    times = np.array([time for time, _ in readings], np.int64)
    return times, np.array([np.nan if value is None else value for _, value in readings])


def at_1hz(values: Sequence[float | None]) -> Series:
    """One reading a second."""
    return resample(*columns([(T0 + 1000 * t, value) for t, value in enumerate(values)]))


def at_seconds(readings: dict[float, float | None]) -> Series:
    """Readings at given seconds."""
    return resample(*columns([(T0 + round(1000 * t), value) for t, value in readings.items()]))


def _from_steps(steps: list[tuple[int, float | None]]) -> Readings:
    times = accumulate((step for step, _ in steps), initial=T0)
    return [(time, value) for time, (_, value) in zip(times, steps, strict=False)]


def readings_of(highest: float, lowest: float = 0) -> st.SearchStrategy[Readings]:
    """Rides with every kind of step: within a second, of a second, filled, and too long to fill.

    Dense ones mostly, and some so sparse that more seconds are filled. ``lowest``: that is not 0.
    """
    steps = st.just(1000) | st.integers(1, 1500) | st.integers(1000, 13_000)
    steps |= st.integers(10_000, 120_000)
    values = st.just(0.0) | st.floats(lowest, highest).map(lambda value: round(value, 1))
    return st.lists(st.tuples(steps, st.none() | values), max_size=80).map(_from_steps)


@st.composite
def rides(draw: st.DrawFn) -> Samples:
    """Whole rides with distinct timestamps, up to four readings a second."""
    quarters = draw(st.lists(st.integers(0, 600), min_size=1, max_size=80, unique=True))
    beats = st.none() | st.integers(0, 220)
    samples = []
    for quarter in sorted(quarters):
        sample: dict[str, float] = {"t": quarter / 4, "power": draw(st.integers(0, 1500))}
        if beat := draw(beats):
            sample["heartrate"] = beat
        samples.append(sample)
    return ride(*samples)
