"""Samples for properties, and what makes two of them the same."""

import math
from typing import Any, Final

import numpy as np
from hypothesis import strategies as st

from shared.samples.channels import CHANNEL_NAMES, CHANNELS, Channel
from shared.samples.columns import Samples

NAN: Final = math.nan
Reading = tuple[int, dict[str, float]]  # a timestamp in ms, and what was measured then

int64 = st.integers(-(2**63), 2**63 - 1)


def values_of(channel: Channel) -> st.SearchStrategy[float]:
    """Any finite float, what devices send, or NaN."""
    scale = 10**channel.decimals
    decimals = st.integers(int(channel.minimum * scale), int(channel.maximum * scale))
    return st.one_of(
        st.floats(allow_nan=False, allow_infinity=False),
        decimals.map(lambda whole: whole / scale),
        st.just(NAN),
    )


@st.composite
def any_samples(draw: st.DrawFn, smallest: int = 1, largest: int = 20) -> Samples:
    """Samples of any channels and timestamps, in any order."""
    count = draw(st.integers(smallest, largest))
    times = draw(st.lists(int64, min_size=count, max_size=count))
    channels = draw(st.sets(st.sampled_from(CHANNELS)))
    columns = {
        channel.name: draw(st.lists(values_of(channel), min_size=count, max_size=count))
        for channel in sorted(channels, key=CHANNELS.index)
    }
    return samples_of(times, **columns)


def samples_of(times: list[int], **columns: list[float]) -> Samples:
    channels = {name: np.array(values, np.float64) for name, values in columns.items()}
    return Samples(np.array(times, np.int64), channels)


def samples_from(readings: list[Reading]) -> Samples:
    """Readings as columns; what was not measured is NaN."""
    columns = {
        name: [values.get(name, NAN) for _, values in readings]
        for name in CHANNEL_NAMES
        if any(name in values for _, values in readings)
    }
    return samples_of([time for time, _ in readings], **columns)


def readings_of(samples: Samples) -> list[Reading]:
    """The inverse: a tuple a sample, without what was not measured."""
    return [
        (
            time,
            {
                name: float(values[at])
                for name, values in samples.channels.items()
                if not math.isnan(values[at])
            },
        )
        for at, time in enumerate(samples.timestamps.tolist())
    ]


def exactly(samples: Samples) -> list[Any]:
    """Readings to compare bit by bit: 0.0 is not -0.0."""
    return [
        (time, {name: value.hex() for name, value in sorted(values.items())})
        for time, values in readings_of(samples)
    ]
