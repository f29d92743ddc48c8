"""A batch: the types it may be sent in, made from the table of channels, and what parsing gives."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta, Struct

from api.web.problems import Fault
from shared.allowed import in_words
from shared.samples.channels import CHANNELS, MAX_CLOCK_LEAD, Channel
from shared.samples.columns import IntArray, Samples

NDJSON: Final = "application/x-ndjson"


def _column_of(channel: Channel) -> Any:
    return list[_bounded(channel) | None] | None  # type: ignore[misc]


def _bounded(channel: Channel) -> Any:
    about = f"{channel.name} in {channel.unit}; null or absent: not measured"
    return Annotated[float, Meta(ge=channel.minimum, le=channel.maximum, description=about)]


Timestamp = Annotated[
    int | float | Annotated[datetime, Meta(tz=True)],
    Meta(
        description="Unix epoch in milliseconds, or RFC 3339 with an offset; from the year 2000",
        examples=[1_700_000_000_000, "2023-11-14T22:13:20Z"],
        extra=in_words("Unix milliseconds, or a time as in RFC 3339 with an offset"),
    ),
]
# Made from the table of channels, so that the bounds checked are the bounds published.
Sample: Any = msgspec.defstruct(
    "Sample",
    [
        ("timestamp", Timestamp),
        *[(channel.name, _bounded(channel) | None, None) for channel in CHANNELS],
    ],
    namespace={
        "__doc__": "One reading of a device. Other members are ignored, but a sample needs one of"
        " these, or none at all. Mind that channels are in lower case: `heartrate`."
    },
    gc=False,  # it cannot be part of a cycle, and there are very many
)
Batch: Any = msgspec.defstruct(
    "Batch",
    [
        ("samples", list[Sample] | None, None),
        ("timestamp", list[Timestamp] | None, None),
        *[(channel.name, _column_of(channel), None) for channel in CHANNELS],
    ],
    namespace={"__doc__": "Either `samples`, or columns of equal lengths, `timestamp` among them."},
)


class Limits(Struct, frozen=True):
    """``latest``: the newest timestamp to believe, in ms; ``samples``: the most of a batch.

    ``removed``: where ranges begin and end, in turn and in order, that the rider has removed.
    """

    latest: int
    samples: int
    removed: Sequence[int] = ()

    @classmethod
    def at(cls, now_ms: int, samples: int, removed: Sequence[int] = ()) -> "Limits":
        """The limits that hold now: a device's clock may run ahead by a day."""
        return cls(now_ms + MAX_CLOCK_LEAD, samples, removed)

    def is_removed(self, time: int) -> bool:
        """Whether a timestamp lies in a range that the rider has removed."""
        return bisect_right(self.removed, time) % 2 == 1


class PackedBatch(NamedTuple):
    """A batch in its stream form, which is empty without samples, and what was left out of it."""

    entry: bytes
    samples: int
    latest: int | None  # the latest timestamp
    dropped: Sequence[Fault] = ()

    @property
    def most_bytes(self) -> int:
        """Of the entry."""
        return len(self.entry)


@dataclass(frozen=True)
class ParsedBatch:
    """The samples to store, in the order sent, and what was left out of them (leniently)."""

    samples: Samples
    dropped: list[Fault]

    @property
    def has_bare(self) -> bool:
        """Whether some sample has no value of any channel."""
        columns = self.samples.channels.values()
        if not len(self.samples):
            return False
        bare = np.ones(len(self.samples), dtype=bool)
        for column in columns:
            bare &= np.isnan(column)
        return bool(bare.any())


def milliseconds(times: Sequence[int | float | datetime]) -> IntArray:
    """int64 ms since the epoch. Raises ValueError for a number that int64 cannot hold."""
    whole = [time if type(time) is int else _to_milliseconds(time) for time in times]
    try:
        return np.array(whole, dtype=np.int64)
    except OverflowError as error:
        raise ValueError("a timestamp is out of range") from error


def _to_milliseconds(time: float | datetime) -> int:
    return round(time.timestamp() * 1000 if isinstance(time, datetime) else time)
