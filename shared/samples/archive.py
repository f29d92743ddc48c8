"""A ride's samples for PostgreSQL: in parts of four hours, one compressed column a channel.

So power is read without the rest, and new samples rewrite the parts they belong to and no other.

Encoding ``pco1``: decimals u8 (255: plain floats), length of the mask u32, the mask (zlib of the
presence bits; empty where every sample has a value), then the present values by pcodec.

Another encoding with a name of this form, and another channel than those of CHANNELS, are a newer
version's. Readers leave such a channel out. Whoever merges new samples into its part must not: the
channel would then lack the new timestamps.
"""

import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pcodec import ChunkConfig, standalone

from shared.errors import LeaveToNewer, MalformedEntry
from shared.samples.channels import CHANNEL, CHANNEL_NAMES
from shared.samples.columns import BoolArray, FloatArray, IntArray, Samples, concatenate
from shared.samples.decimals import from_whole, to_whole

ENCODING: Final = "pco1"
TIMESTAMP: Final = "timestamp"
WHOLE: Final = 0
_PART: Final = 4 * 3600 * 1000  # ms
_PLAIN_FLOATS: Final = 255
_HEAD: Final = struct.Struct("<BI")
# By default (8) the archive is 2 % smaller, and takes half as long again to encode.
_CONFIG: Final = ChunkConfig(compression_level=6)
_ENCODING_NAME: Final = re.compile("[a-z]{2,16}[0-9]{1,4}")


class ArchivedChannel(NamedTuple):
    """A row of workout_channels. ``samples`` counts the measured values.

    ``part`` counts stretches of four hours since the epoch; 0 is a whole ride: one of an older
    version, or one scattered over more parts than are worth keeping apart.
    """

    channel: str
    encoding: str
    samples: int
    data: bytes
    part: int = WHOLE


def split(samples: Samples) -> Iterator[tuple[int, Samples]]:
    """The samples of each part, with its number, in the order they are in."""
    numbers = samples.timestamps // _PART
    order = np.argsort(numbers, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(numbers[order])) + 1, len(order))
    start = 0
    for end in ends.tolist():
        if end > start:
            yield int(numbers[order[start]]), samples.select(order[start:end])
        start = end


def encode(samples: Samples, part: int = WHOLE) -> list[ArchivedChannel]:
    """The timestamps and every channel that has a value. Every value comes back exactly.

    No samples make no rows.
    """
    if not len(samples):
        return []
    times = samples.timestamps
    encoded = _encode_whole(times, 0, b"")
    rows = [ArchivedChannel(TIMESTAMP, ENCODING, len(times), encoded, part)]
    for name, values in samples.channels.items():
        measured = ~np.isnan(values)
        count = int(np.count_nonzero(measured))
        if count:
            data = _encode_values(values, measured, count, CHANNEL[name].decimals)
            rows.append(ArchivedChannel(name, ENCODING, count, data, part))
    return rows


def decode(rows: Iterable[ArchivedChannel]) -> Samples:
    """The samples of archived rows, part after part: in order of time, as each part is.

    Without the channels that only a newer version knows. Raises MalformedEntry where a row cannot
    be decoded, LeaveToNewer where its encoding is a newer version's.
    """
    parts = decode_parts(row for row in rows if _is_known(row))
    return concatenate([parts[number] for number in sorted(parts)])


def decode_parts(rows: Iterable[ArchivedChannel]) -> dict[int, Samples]:
    """The samples of each part; the timestamps' row of each must be among the rows.

    Raises MalformedEntry where a row cannot be decoded, LeaveToNewer where its channel or encoding
    is a newer version's.
    """
    parts: dict[int, dict[str, bytes]] = {}
    for row in rows:
        parts.setdefault(row.part, {})[row.channel] = _checked(row)
    return {number: _decode_part(data) for number, data in parts.items()}


def _decode_part(data: dict[str, bytes]) -> Samples:
    if TIMESTAMP not in data:
        raise MalformedEntry("archived channels without their timestamps")
    times = _decode_times(data.pop(TIMESTAMP))
    names = [name for name in CHANNEL_NAMES if name in data]
    return Samples(times, {name: _decode_values(data[name], len(times)) for name in names})


def _encode_values(values: FloatArray, measured: BoolArray, count: int, decimals: int) -> bytes:
    mask = b""
    if count < len(values):
        mask = zlib.compress(np.packbits(measured).tobytes())
        values = values[measured]
    whole, (exact,) = to_whole(values[None], decimals)
    if not exact:
        return _HEAD.pack(_PLAIN_FLOATS, len(mask)) + mask + _compress(values)
    return _encode_whole(whole[0], decimals, mask)


def _encode_whole(whole: IntArray, decimals: int, mask: bytes) -> bytes:
    narrow = whole.astype(np.int32)
    packed = _compress(narrow if np.array_equal(narrow, whole) else whole)
    return _HEAD.pack(decimals, len(mask)) + mask + packed


def _compress(values: NDArray[Any]) -> bytes:
    return bytes(standalone.simple_compress(values, _CONFIG))


def _checked(row: ArchivedChannel) -> bytes:
    if not _is_known(row):
        raise LeaveToNewer(f"an archived channel {row.channel}")
    if row.encoding != ENCODING:
        problem = f"channel {row.channel} has the unknown encoding {row.encoding}"
        newer = _ENCODING_NAME.fullmatch(row.encoding)
        raise LeaveToNewer(problem) if newer else MalformedEntry(problem)
    return row.data


def _is_known(row: ArchivedChannel) -> bool:
    return row.channel == TIMESTAMP or row.channel in CHANNEL


def _decompress(data: bytes) -> tuple[int, bytes, FloatArray | IntArray]:
    """Decimals, mask and numbers of one column."""
    try:
        decimals, length = _HEAD.unpack_from(data)
        mask = zlib.decompress(data[_HEAD.size :][:length]) if length else b""
        numbers = standalone.simple_decompress(data[_HEAD.size + length :])
    except (struct.error, zlib.error, RuntimeError) as error:
        raise MalformedEntry(f"an archived channel cannot be decompressed: {error}") from error
    if numbers is None or (numbers.dtype.kind == "f") != (decimals == _PLAIN_FLOATS):
        raise MalformedEntry("an archived channel holds no numbers of the kind it says")
    return decimals, mask, numbers


def _decode_times(data: bytes) -> IntArray:
    return np.asarray(_decompress(data)[2], dtype=np.int64)


def _decode_values(data: bytes, length: int) -> FloatArray:
    decimals, mask, numbers = _decompress(data)
    values = (
        np.asarray(numbers, np.float64)
        if decimals == _PLAIN_FLOATS
        else from_whole(np.asarray(numbers, np.int64), decimals)
    )
    measured = np.ones(length, bool)
    if mask:
        measured = np.unpackbits(np.frombuffer(mask, np.uint8), count=length).astype(bool)
    expected = int(np.count_nonzero(measured))
    if len(values) != expected:
        raise MalformedEntry(f"{expected} archived values expected, {len(values)} found")
    spread = np.full(length, np.nan)
    spread[measured] = values
    return spread
