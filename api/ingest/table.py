"""Rows of one shape → columns, by way of msgpack: no other way copies their numbers as fast.

Where every row has the same channels, each is encoded to equally many bytes, with every number at
its place: numpy reads columns out of that without a Python object for each number.
"""

from collections.abc import Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from api.ingest.batch import Sample
from shared.samples.channels import CHANNEL_NAMES
from shared.samples.columns import FloatArray, IntArray, Samples

channels_of: Final = attrgetter(*CHANNEL_NAMES)
_encode: Final = msgspec.msgpack.Encoder().encode
# What msgpack puts before a whole number of 64 bits, before a float, and in place of a null.
_WHOLE, _FLOAT, _NULL = 0xCF, 0xCB, 0xC0
_BEFORE_ROWS: Final = ((16, 1), (65_536, 3), (2**32, 5))  # bytes that say how many there are


class Table(NamedTuple):
    """``codes``: which channels, in order. ``values``: (channels, n), none missing."""

    timestamps: IntArray
    codes: tuple[int, ...]
    values: FloatArray

    def samples(self) -> Samples:
        """The same, by name."""
        names = (CHANNEL_NAMES[code] for code in self.codes)
        return Samples(self.timestamps, dict(zip(names, self.values, strict=True)))


class _Shape(NamedTuple):
    """Rows of the same channels, encoded: what is where in each of them.

    ``numbers``: the bytes of the time and the values, the lowest of each first. ``tags``: what
    announces them, and in place of the others a null.
    """

    width: int
    numbers: NDArray[np.intp]
    places: NDArray[np.intp]
    tags: bytes
    codes: tuple[int, ...]


def table_of(rows: Sequence[Any]) -> Table | None:
    """None for rows of different channels, or with a time that is not in whole milliseconds."""
    shape = _shape_of(tuple([value is not None for value in channels_of(rows[0])]))
    try:
        encoded = _encode(rows)
    except OverflowError:  # a time that msgpack cannot hold
        return None
    count, width = len(rows), shape.width
    start = next(length for most, length in _BEFORE_ROWS if count < most)
    if len(encoded) != start + count * width:
        return None
    # Where a row first differs in shape, its tag differs: equal tags say that all shapes are equal.
    cells = np.frombuffer(encoded, np.uint8, offset=start).reshape(count, width)
    if cells.take(shape.places, axis=1).tobytes() != shape.tags * count:
        return None
    numbers = cells.take(shape.numbers, axis=1)
    times, values = numbers.view("<i8")[:, 0], numbers.view("<f8")[:, 1:]
    return Table(times, shape.codes, np.ascontiguousarray(values.T))


@lru_cache(1024)
def _shape_of(measured: tuple[bool, ...]) -> _Shape:
    tags = [_WHOLE, *(_FLOAT if each else _NULL for each in measured)]
    at = _encode(Sample(0)).index(_encode("timestamp"))
    places, numbers = list[int](), list[int]()
    for name, tag in zip(("timestamp", *CHANNEL_NAMES), tags, strict=True):
        at += len(_encode(name))
        places.append(at)
        if tag != _NULL:
            numbers += range(at + 8, at, -1)
        at += 1 if tag == _NULL else 9
    codes = tuple(code for code, each in enumerate(measured) if each)
    return _Shape(at, np.array(numbers), np.array(places), bytes(tags), codes)
