"""What viewers are sent, as server-sent events; made once for all who asked for the same. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec
import numpy as np

from api.live.position import Position
from api.workouts.rendering import plain_numbers
from api.workouts.selection import are_whole
from shared.samples.columns import BoolArray, IntArray, Samples

_SAMPLES_AT_ONCE: Final = 1000
HEARTBEAT: Final = b": still here\n\n"


class Lens(Protocol):
    """What a kind of viewer may see of a ride; it may remember what it has seen.

    ``holds_back``: whether it may show later what it did not show when it came.
    """

    holds_back: bool

    def samples(self, samples: Samples, /) -> Samples:
        """Of further samples, in order of time, what may be shown now."""

    def figures(self, figures: Any, /) -> Any:
        """Of figures that are shown while the ride goes on, or of its final ones."""


class Plain:
    """Shows everything: for the rider."""

    holds_back = False

    def samples(self, samples: Samples) -> Samples:
        """All of them."""
        return samples

    def figures(self, figures: Any) -> Any:
        """All of them."""
        return figures


@dataclass(frozen=True)
class Wish:
    """``channels``: those to send, or None for all; ``every``: a sample in so many seconds."""

    channels: tuple[str, ...] | None
    every: int


class Feed:
    """The events of viewers with the same wish, who see through the same lens."""

    def __init__(self, wish: Wish, lens: Lens) -> None:
        self.holds_back = lens.holds_back
        self._wish = wish
        self._lens = lens
        self._last: int | None = None  # the latest stretch that a sample was sent of

    def samples(self, samples: Samples, position: Position | None) -> Iterator[bytes]:
        """Samples in order of time, some in an event; the last one says how far they go."""
        shown = self._thinned(self._lens.samples(samples))
        columns = [_columns(each, self._wish.channels) for each in shown.slices(_SAMPLES_AT_ONCE)]
        for each in columns[:-1]:
            yield event("samples", each)
        if columns:
            yield event("samples", columns[-1], None if position is None else str(position))
        elif position is not None:
            yield event_id(str(position))

    def summary(self, figures: Any) -> bytes:
        """The running figures."""
        return event("summary", self._lens.figures(figures))

    def end(self, status: str, summary: Any) -> bytes:
        """The last event of a ride that is over."""
        shown = self._lens.figures({"summary": summary})["summary"]
        return event("end", {"status": status, "summary": shown}, "end")

    def _thinned(self, samples: Samples) -> Samples:
        """The first sample of each stretch of time, but of the one that the last was sent of."""
        stretches = samples.timestamps // (1000 * self._wish.every)
        chosen = _are_first(stretches)
        if self._last is not None:
            chosen &= stretches != self._last
        if len(stretches):
            self._last = max(int(stretches[-1]), self._last or 0)
        return samples if chosen.all() else samples.select(chosen)


def event(name: str, data: Any, id_: str | None = None) -> bytes:
    """An event with JSON data; its id is what a later stream is to go on from."""
    named = "" if id_ is None else f"id: {id_}\n"
    return f"{named}event: {name}\ndata: ".encode() + msgspec.json.encode(data) + b"\n\n"


def event_id(id_: str) -> bytes:
    """An id without an event."""
    return f"id: {id_}\n\n".encode()


def _are_first(stretches: IntArray) -> BoolArray:
    return np.append(True, stretches[1:] != stretches[:-1])[: len(stretches)]


def _columns(samples: Samples, channels: Sequence[str] | None) -> dict[str, Sequence[Any]]:
    """As the telemetry has them: null where a value was not measured, no channel without one."""
    columns: dict[str, Sequence[Any]] = {"timestamp": samples.timestamps.tolist()}
    for name, values in samples.channels.items():
        if (channels is None or name in channels) and not np.isnan(values).all():
            columns[name] = plain_numbers(values, are_whole(values))
    return columns
