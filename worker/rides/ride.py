"""A ride's samples, and the 1 Hz series that its figures share: each made once, when needed."""

from functools import cached_property

import numpy as np

from shared.samples.columns import BoolArray, FloatArray, IntArray, Samples
from worker.metrics.heartrate import without_contact_missing
from worker.metrics.series import Series, resample
from worker.metrics.spikes import find_spikes


class Ride:
    """``samples`` are in order of time."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    @property
    def timestamps(self) -> IntArray:
        """(n,) ms since the Unix epoch."""
        return self.samples.timestamps

    @cached_property
    def beats(self) -> FloatArray:
        """Heart rate in bpm, NaN where the strap had no contact."""
        return without_contact_missing(self.samples.channel("heartrate"))

    @cached_property
    def spikes(self) -> BoolArray:
        """Which samples have a power that no athlete produces."""
        return find_spikes(self.timestamps, self.samples.channel("power"))

    @cached_property
    def power(self) -> Series:
        """Watts."""
        return self._series("power")

    @cached_property
    def heartrate(self) -> Series:
        """Beats a minute."""
        return resample(self.timestamps, self.beats)

    @cached_property
    def cadence(self) -> Series:
        """Revolutions a minute."""
        return self._series("cadence")

    @cached_property
    def speed(self) -> Series:
        """Metres a second."""
        return self._series("speed")

    @cached_property
    def altitude(self) -> Series:
        """Metres."""
        return self._series("altitude")

    @cached_property
    def recorded_time(self) -> int:
        """Seconds within segments, whatever was measured in them."""
        return len(resample(self.timestamps, np.zeros(len(self.samples))))

    def _series(self, channel: str) -> Series:
        return resample(self.timestamps, self.samples.channel(channel))
