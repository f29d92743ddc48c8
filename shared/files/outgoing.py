"""A ride on its way into a file: what is written of it, whatever the format."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from shared.files.recording import NO_FIGURES, Device, Figures, Lap, Pause, Recording
from shared.samples.columns import Samples, without_marks

PROGRAM: Final = "Bike Power Tracker"
NO_DEVICE: Final = Device()
_AT_ONCE: Final = 1000  # samples


@dataclass(frozen=True, eq=False)
class OutgoingRide:
    """One ride, whose samples need not all be in memory.

    ``read``: the named channels in order of time, a window after the other and anew at each call;
    there is at least one sample, and every window has each of the channels.
    ``laps``, ``pauses``: in order of time. ``utc_offset``: local time less UTC, in seconds.
    """

    read: Callable[[Sequence[str]], Iterator[Samples]]
    channels: tuple[str, ...]
    sport: str | None = None
    title: str | None = None
    description: str | None = None
    laps: tuple[Lap, ...] = ()
    pauses: tuple[Pause, ...] = ()
    device: Device = NO_DEVICE
    figures: Figures = NO_FIGURES
    utc_offset: int | None = None

    @classmethod
    def of(cls, recording: Recording) -> "OutgoingRide":
        """A recording as it is."""
        samples = recording.samples

        def read(names: Sequence[str]) -> Iterator[Samples]:
            columns = {name: samples.channel(name) for name in names}
            return Samples(samples.timestamps, columns).slices(_AT_ONCE)

        return cls(
            read,
            channels=tuple(samples.channels),
            sport=recording.sport,
            title=recording.title,
            description=recording.description,
            laps=recording.laps,
            pauses=recording.pauses,
            device=recording.device,
            figures=recording.figures,
            utc_offset=recording.utc_offset,
        )

    def measured(self, channels: Sequence[str]) -> Iterator[Samples]:
        """The same as ``read``, with the marks of "no value" missing."""
        return (without_marks(window) for window in self.read(channels))

    def parts(
        self, channels: Sequence[str], starts: Sequence[int]
    ) -> Iterator[tuple[int, Samples]]:
        """The measured samples, cut at ``starts`` (ms, in order).

        Each part, never empty, comes with the number of starts at or before it.
        """
        for window in self.measured(channels):
            passed = np.searchsorted(np.array(starts, np.int64), window.timestamps, side="right")
            edges = np.flatnonzero(np.diff(passed, prepend=-1)).tolist()
            for first, last in zip(edges, [*edges[1:], len(window)], strict=True):
                yield int(passed[first]), window.select(slice(first, last))

    @property
    def start(self) -> int:
        """The first sample's time, in ms since the Unix epoch."""
        return self._times[0]

    @property
    def end(self) -> int:
        """The last sample's time, in ms since the Unix epoch."""
        return self._times[1]

    @property
    def in_whole_seconds(self) -> bool:
        """Whether no sample lies between two seconds."""
        return self._times[2]

    @property
    def elapsed(self) -> float:
        """Seconds from the first sample to the last."""
        return (self.end - self.start) / 1000

    @property
    def timed(self) -> float:
        """The same without the pauses."""
        return max(0.0, self.elapsed - sum(one.end - one.start for one in self.pauses) / 1000)

    def laps_or_one(self) -> tuple[Lap, ...]:
        """The laps; a ride without any is a lap of its own, with the figures of the ride."""
        return self.laps or (Lap(self.start, self.end, self.figures),)

    @cached_property
    def _times(self) -> tuple[int, int, bool]:
        first, last, whole = None, 0, True
        for window in self.read([]):
            times = window.timestamps
            if len(times):
                first = int(times[0]) if first is None else first
                last = int(times[-1])
                whole = whole and not bool(np.any(times % 1000))
        return first or last, last, whole
