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
from msgspec import Struct
from numpy.typing import NDArray

from api.ingest.batch import Sample
from shared.samples.channels import CHANNEL_NAMES
from shared.samples.columns import FloatArray, IntArray, Samples

channels_of: Final = attrgetter(*CHANNEL_NAMES)
_encode: Final = msgspec.msgpack.Encoder().encode
# What msgpack puts before a whole number of 64 bits, before a float, and in place of a null.
_WHOLE, _FLOAT, _NULL = 0xCF, 0xCB, 0xC0
# Up to so many rows, the first byte says how many there are; of more, two or four further ones.
_FEW, _MANY = 15, 65_535


class Rows(Struct):
    """The rows of a batch, encoded: as long as they are if all have the channels of the first.

    ``single``: the time and the values of a batch of one. ``entry`` and ``latest``: its stream form
    and its latest timestamp, once it is packed.
    """

    samples: int
    shape: "_Shape"
    encoded: bytes
    single: tuple[int, Sequence[Any]] | None
    entry: bytes = b""
    latest: int = 0

    @property
    def most_bytes(self) -> int:
        """More than an entry of them has."""
        return 16 + (2 + 8 * self.samples) * (1 + len(self.shape.codes))


class Table(NamedTuple):
    """Batches of the same channels and as many samples each, none of them missing.

    ``timestamps``: (batches, n). ``codes``: which channels, in order. ``values``: (channels,
    batches, n).
    """

    timestamps: IntArray
    codes: tuple[int, ...]
    values: FloatArray

    def samples(self, batch: int) -> Samples:
        """One of them, by name."""
        names = (CHANNEL_NAMES[code] for code in self.codes)
        return Samples(self.timestamps[batch], dict(zip(names, self.values[:, batch], strict=True)))


class _Shape(NamedTuple):
    """Rows of the same channels, encoded: what is where in each of them.

    ``tags``: what announces a number, and in place of the others a null; at ``places``.
    """

    row: np.dtype[np.void]
    width: int
    places: NDArray[np.intp]
    tags: bytes
    names: tuple[str, ...]
    codes: tuple[int, ...]


def rows_of(rows: Sequence[Any]) -> Rows | None:
    """None for rows of different channels, or with a time that is not in whole milliseconds."""
    values, count = channels_of(rows[0]), len(rows)
    shape = _shape_of(tuple([value is not None for value in values]))
    try:
        encoded = _encode(rows)
    except OverflowError:  # a time that msgpack cannot hold
        return None
    start, time = 1 if count <= _FEW else 3 if count <= _MANY else 5, rows[0].timestamp
    if len(encoded) != start + count * shape.width or type(time) is not int:
        return None
    return Rows(count, shape, encoded[start:], (time, values) if count == 1 else None)


def table_of(batches: Sequence[Rows]) -> Table | None:
    """Of batches of one shape and length; None if that is not so of all of their rows."""
    shape, count = batches[0].shape, batches[0].samples
    encoded = b"".join([batch.encoded for batch in batches])
    # Where a row first differs in shape, its tag differs: equal tags say that all shapes are equal.
    cells = np.frombuffer(encoded, np.uint8).reshape(-1, shape.width)
    if cells.take(shape.places, axis=1).tobytes() != shape.tags * len(cells):
        return None
    columns = np.frombuffer(encoded, shape.row)
    values = np.empty((len(shape.names), len(columns)))
    for at, name in enumerate(shape.names):
        values[at] = columns[name]
    times = columns["timestamp"].astype(np.int64)
    whole = (len(batches), count)
    return Table(times.reshape(whole), shape.codes, values.reshape(-1, *whole))


@lru_cache(1024)
def _shape_of(measured: tuple[bool, ...]) -> _Shape:
    tags = [_WHOLE, *(_FLOAT if each else _NULL for each in measured)]
    at = _encode(Sample(0)).index(_encode("timestamp"))
    places, numbers = list[int](), dict[str, int]()
    for name, tag in zip(("timestamp", *CHANNEL_NAMES), tags, strict=True):
        at += len(_encode(name))
        places.append(at)
        if tag != _NULL:
            numbers[name] = at + 1
        at += 1 if tag == _NULL else 9
    formats = [">u8", *[">f8"] * (len(numbers) - 1)]
    fields: Any = {"names": [*numbers], "formats": formats, "offsets": [*numbers.values()]}
    fields["itemsize"] = at
    row = np.dtype(fields)
    codes = tuple(code for code, each in enumerate(measured) if each)
    return _Shape(row, at, np.array(places), bytes(tags), (*numbers,)[1:], codes)
