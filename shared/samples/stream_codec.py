"""A batch of samples as one Redis stream entry: packed columns, absent channels costing nothing.

    layout   version u8, samples u32, columns u8, kind of the time offsets u8,
             then for each column: channel u8, kind u8 (| HAS_MASK where some are missing)
    body     first timestamp i64, time offsets, then for each column: [presence bits] values

Little-endian throughout. Entries with equal layouts have bodies of equal shape, so that many of
them are decoded in one step.

What a newer version may write: a version up to LAST_VERSION, whose layout nobody here knows; or, in
an entry that is right in every other way, a channel with a number beyond CHANNELS. Whatever else
does not decode is malformed. So a new channel needs no new version, and anything else does.
"""

import math
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.errors import LeaveToNewer, MalformedEntry
from shared.samples.channels import CHANNEL_NAMES, CHANNELS
from shared.samples.columns import FloatArray, IntArray, Samples, no_samples
from shared.samples.decimals import from_whole, to_whole

VERSION: Final = 1
LAST_VERSION: Final = 31  # so that no text and few accidents look like an entry of the future
HAS_MASK: Final = 0x80
_FLOAT: Final = 7
# Kind → numpy type. One more, like any other order, needs a new version.
_KINDS: Final = tuple(map(np.dtype, ("<u1", "<i1", "<u2", "<i2", "<u4", "<i4", "<i8", "<f8")))
_HEAD: Final = struct.Struct("<BIBB")
# The kind that holds numbers of so many bits, without their sign.
_UNSIGNED: Final = bytes([0] * 9 + [2] * 8 + [4] * 16 + [6] * 31)
_SIGNED: Final = bytes([1] * 8 + [3] * 8 + [5] * 16 + [6] * 32)
# The most that a kind of so many bytes can hold: one, two and four of them.
_MOST: Final = np.array([0xFF, 0xFFFF, 0xFFFF_FFFF])
_DECIMALS: Final = np.array([[channel.decimals] for channel in CHANNELS])
_FACTORS: Final = tuple(10.0**channel.decimals for channel in CHANNELS)
_TYPES: Final = "BbHhIiqd"  # as struct calls them, in the order of _KINDS
_COLUMN: Final = tuple(
    tuple(bytes((code, kind)) for kind in range(len(_KINDS))) for code in range(len(CHANNELS))
)
_CODE: Final = {name: code for code, name in enumerate(CHANNEL_NAMES)}

Rows = NDArray[np.uint8]


def encode(samples: Samples) -> bytes:
    """The entry of a batch of at least one sample. Every value comes back exactly.

    All channels in each numpy call: a batch is so small that the calls cost more than the numbers.
    """
    first = int(samples.timestamps[0])
    offsets = samples.timestamps - first
    offsets_kind = _narrowest(int(offsets.min()), int(offsets.max()))
    layout = bytearray(_HEAD.pack(VERSION, len(samples), len(samples.channels), offsets_kind))
    body = [
        first.to_bytes(8, "little", signed=True),
        offsets.astype(_KINDS[offsets_kind]).tobytes(),
    ]
    if samples.channels:
        _pack_channels(samples, layout, body)
    return bytes(layout) + b"".join(body)


def encode_one(timestamp: int, values: Iterable[float | None]) -> bytes:
    """As ``encode``, of a single sample: what devices send live, so everything in one go.

    ``values``: of CHANNELS in their order, within their bounds, None where missing.
    """
    layout, numbers = b"", list[float]()
    for columns, factor, value in zip(_COLUMN, _FACTORS, values, strict=False):
        if value is None:
            continue
        whole = round(value * factor)
        if whole > 0 and whole / factor == value:
            layout += columns[_UNSIGNED[whole.bit_length()]]
            numbers.append(whole)
        else:
            kind, number = _seldom(value, whole, factor)
            layout += columns[kind]
            numbers.append(number)
    head, pack = _packer_of(layout)
    return head + pack(timestamp, 0, *numbers)


def _seldom(value: float, whole: int, factor: float) -> tuple[int, float]:
    """The kind of a value that is none above zero with the usual decimals, and what is packed."""
    if whole / factor == value and (whole or math.copysign(1, value) > 0):
        return _narrowest(whole, whole), whole
    return _FLOAT, value


@lru_cache(4096)
def _packer_of(layout: bytes) -> tuple[bytes, Callable[..., bytes]]:
    """Of one sample with these columns: what its entry begins with, and what packs the rest."""
    types = "".join([_TYPES[kind] for kind in layout[1::2]])
    head = _HEAD.pack(VERSION, 1, len(layout) // 2, 0) + layout
    return head, struct.Struct(f"<qB{types}").pack


def encode_tables(
    timestamps: IntArray, codes: tuple[int, ...], values: FloatArray
) -> list[bytes | None]:
    """As ``encode``, of batches of equally many samples and the same channels.

    All of them in each numpy call, for the reason there. ``timestamps``: (batches, n). ``values``:
    (channels, batches, n), within their bounds, none missing. None in place of a batch that has
    values with further decimals than devices send.
    """
    numbers = np.empty((len(codes) + 1, *timestamps.shape), np.int64)
    np.subtract(timestamps, timestamps[:, :1], out=numbers[0])
    factors = _factors_of(codes)
    numbers[1:] = np.rint(values * factors)
    entries = list[bytes | None]([None]) * len(timestamps)
    for kinds, positions in _by_kinds(numbers).items():
        form = _form_of(codes, kinds, timestamps.shape[1])
        for position, entry in zip(
            positions, form.fill(timestamps, numbers, positions), strict=True
        ):
            entries[position] = entry
    # Bit by bit, as a zero below zero is to come back, too.
    back, sent = (numbers[1:] / factors).view(np.int64), values.view(np.int64)
    for position in np.flatnonzero((back != sent).any(axis=(0, 2))).tolist():
        entries[position] = None
    return entries


def decode(entries: Sequence[bytes]) -> Samples:
    """The samples of many entries, in the order of the entries.

    Raises MalformedEntry if any of them is not of this format, LeaveToNewer if one is of a newer.
    """
    groups = _by_layout(entries)
    counts = np.empty(len(entries), np.int64)
    for layout, positions in groups.items():
        counts[positions] = _HEAD.unpack_from(layout)[1]
    starts = np.concatenate(([0], np.cumsum(counts)))
    result = no_samples()
    if len(entries):
        result = Samples(np.empty(starts[-1], np.int64), {})
    for layout, positions in groups.items():
        bodies = b"".join(entries[position][len(layout) :] for position in positions)
        _decode_group(layout, bodies, starts[positions], result)
    ordered = {name: result.channels[name] for name in CHANNEL_NAMES if name in result.channels}
    return Samples(result.timestamps, ordered)


def decode_times(entries: Sequence[bytes]) -> IntArray:
    """The timestamps alone of many entries, in no particular order. Raises as ``decode`` does."""
    times = [
        _times_of(layout, b"".join(entries[each][len(layout) :] for each in positions))
        for layout, positions in _by_layout(entries).items()
    ]
    return np.concatenate(times) if times else np.empty(0, np.int64)


def count(entries: Iterable[bytes]) -> int:
    """How many samples are in some entries. Raises as ``decode`` does."""
    return sum(_HEAD.unpack_from(_layout_of(entry))[1] for entry in entries)


@lru_cache(1024)
def _factors_of(codes: tuple[int, ...]) -> FloatArray:
    """By what the values of channels, (channels, batches, n), are multiplied to be whole."""
    return np.array([_FACTORS[code] for code in codes]).reshape(len(codes), 1, 1)


def _by_kinds(numbers: IntArray) -> dict[bytes, list[int]]:
    """Which batches have their time offsets and their channels in the same kinds."""
    lows, highs = numbers.min(axis=2), numbers.max(axis=2)
    signed = (lows < 0).astype(np.int64)
    spread = np.maximum(highs, ~lows) << signed | signed  # the sign takes a bit
    kinds = np.minimum(2 * np.searchsorted(_MOST, spread) + signed, 6).astype(np.uint8)
    width, every = len(numbers), kinds.T.tobytes()
    groups: dict[bytes, list[int]] = {}
    for position in range(numbers.shape[1]):
        groups.setdefault(every[position * width : (position + 1) * width], []).append(position)
    return groups


class _Form(NamedTuple):
    """What entries of the same layout begin with, and where their columns go.

    ``runs``: those of one kind in a row, by the name of their place.
    """

    dtype: np.dtype[np.void]
    head: Rows
    runs: list[tuple[str, slice]]

    def fill(
        self, timestamps: IntArray, numbers: IntArray, positions: list[int]
    ) -> Iterator[bytes]:
        """The entries of some of the batches."""
        if len(positions) < len(timestamps):
            timestamps, numbers = timestamps[positions], numbers[:, positions]
        entries = np.empty(len(positions), self.dtype)
        entries["head"], entries["first"] = self.head, timestamps[:, 0]
        for name, rows in self.runs:
            entries[name] = numbers[rows].transpose(1, 0, 2)
        every, width = entries.tobytes(), self.dtype.itemsize
        return (every[at : at + width] for at in range(0, len(every), width))


@lru_cache(4096)
def _form_of(codes: tuple[int, ...], kinds: bytes, count: int) -> _Form:
    """``kinds``: of the time offsets, and of the channels."""
    layout = b"".join(_COLUMN[code][kind] for code, kind in zip(codes, kinds[1:], strict=True))
    head = _HEAD.pack(VERSION, count, len(codes), kinds[0]) + layout
    fields: list[Any] = [("head", "u1", len(head)), ("first", "<i8")]
    runs, start = list[tuple[str, slice]](), 0
    for kind, run in groupby(kinds):
        rows = slice(start, start + len(list(run)))
        runs.append((f"from {start}", rows))
        fields.append((f"from {start}", _KINDS[kind], (rows.stop - start, count)))
        start = rows.stop
    return _Form(np.dtype(fields), np.frombuffer(head, np.uint8), runs)


def _pack_channels(samples: Samples, layout: bytearray, body: list[bytes]) -> None:
    """Add each channel to the layout, and its values to the body."""
    codes = [_CODE[name] for name in samples.channels]
    values = np.array(list(samples.channels.values()))
    missing = np.isnan(values)
    has_mask = missing.any(axis=1).tolist()
    if any(has_mask):
        values[missing] = 0.0
    whole, exact = to_whole(values, _DECIMALS[codes])
    lows, highs = whole.min(axis=1).tolist(), whole.max(axis=1).tolist()
    for row, code in enumerate(codes):
        kind = _narrowest(lows[row], highs[row]) if exact[row] else _FLOAT
        layout += bytes((code, kind | HAS_MASK if has_mask[row] else kind))
        if has_mask[row]:
            body.append(np.packbits(~missing[row]).tobytes())
        packed = whole[row] if exact[row] else values[row]
        body.append(packed.astype(_KINDS[kind]).tobytes())


def _narrowest(low: int, high: int) -> int:
    """The kind of whole number with the fewest bytes that holds both."""
    if low < 0:
        return _SIGNED[max(high, ~low).bit_length()]
    return _UNSIGNED[high.bit_length()]


def _by_layout(entries: Sequence[bytes]) -> dict[bytes, list[int]]:
    """The positions of the entries of each layout, every entry as long as its layout says."""
    groups: dict[bytes, list[int]] = {}
    layout: bytes | None = None
    for position, entry in enumerate(entries):
        if layout is None or not entry.startswith(layout):  # most are as the one before
            layout = _layout_of(entry)
        groups.setdefault(layout, []).append(position)
    for layout, positions in groups.items():
        length = len(layout) + _body_width(layout)
        if {len(entries[position]) for position in positions} != {length}:
            raise MalformedEntry(f"a batch of samples is not {length} bytes long")
        _require_known_channels(layout)
    return groups


def _layout_of(entry: bytes) -> bytes:
    if entry and VERSION < entry[0] <= LAST_VERSION:
        raise LeaveToNewer(f"a batch of samples of version {entry[0]}")
    if len(entry) < _HEAD.size or entry[0] != VERSION:
        raise MalformedEntry(f"not a batch of samples of version {VERSION}")
    length = _HEAD.size + 2 * _HEAD.unpack_from(entry)[2]
    if len(entry) < length:
        raise MalformedEntry("a batch of samples ends within its layout")
    return entry[:length]


def _body_width(layout: bytes) -> int:
    """The bytes that follow a layout. Raises MalformedEntry for an unknown kind."""
    _, count, _, offsets_kind = _HEAD.unpack_from(layout)
    if offsets_kind == _FLOAT:
        raise MalformedEntry("a batch of samples with an unknown kind of time")
    width: int = 8 + count * _kind(offsets_kind).itemsize
    return width + sum(_column_width(kind, count) for _, kind in _columns(layout))


def _require_known_channels(layout: bytes) -> None:
    for code, _ in _columns(layout):
        if code >= len(CHANNELS):
            raise LeaveToNewer(f"a batch of samples of channel {code}")


def _columns(layout: bytes) -> list[tuple[int, int]]:
    """Channel and kind of each column."""
    return list(zip(layout[_HEAD.size :: 2], layout[_HEAD.size + 1 :: 2], strict=True))


def _decode_group(layout: bytes, bodies: bytes, starts: IntArray, into: Samples) -> None:
    """Decode bodies of one layout, placing the samples of each at its start in ``into``."""
    _, count, _, offsets_kind = _HEAD.unpack_from(layout)
    rows = np.frombuffer(bodies, np.uint8).reshape(len(starts), -1)
    places = (starts[:, None] + np.arange(count)).ravel()
    times, at = _take_times(rows, offsets_kind, count)
    into.timestamps[places] = times
    for code, kind in _columns(layout):
        values, at = _take_column(rows, at, code, kind, count)
        target = into.channels.setdefault(
            CHANNEL_NAMES[code], np.full(len(into.timestamps), np.nan)
        )
        target[places] = values.ravel()


def _times_of(layout: bytes, bodies: bytes) -> IntArray:
    """The timestamps of bodies of one layout."""
    _, count, _, offsets_kind = _HEAD.unpack_from(layout)
    rows = np.frombuffer(bodies, np.uint8).reshape(-1, _body_width(layout))
    return _take_times(rows, offsets_kind, count)[0]


def _take_times(rows: Rows, offsets_kind: int, count: int) -> tuple[IntArray, int]:
    """The timestamps of each row, one after the other, and where the columns begin."""
    first, at = _take(rows, 0, 6, 1)
    offsets, at = _take(rows, at, offsets_kind, count)
    return (first.astype(np.int64) + offsets.astype(np.int64)).ravel(), at


def _column_width(kind: int, count: int) -> int:
    mask = (count + 7) // 8 if kind & HAS_MASK else 0
    return mask + count * _kind(kind & ~HAS_MASK).itemsize


def _kind(kind: int) -> np.dtype[np.generic]:
    if kind >= len(_KINDS):
        raise MalformedEntry(f"column kind {kind} is unknown")
    return _KINDS[kind]


def _take(rows: Rows, at: int, kind: int, count: int) -> tuple[NDArray[np.generic], int]:
    """The next ``count`` numbers of each row, and where the following ones begin."""
    dtype = _kind(kind)
    end = at + count * dtype.itemsize
    return np.ascontiguousarray(rows[:, at:end]).view(dtype), end


def _take_column(rows: Rows, at: int, code: int, kind: int, count: int) -> tuple[FloatArray, int]:
    mask_end = at + ((count + 7) // 8 if kind & HAS_MASK else 0)
    packed, end = _take(rows, mask_end, kind & ~HAS_MASK, count)
    if kind & ~HAS_MASK == _FLOAT:
        values = packed.astype(np.float64)
    else:
        values = from_whole(packed.astype(np.int64), CHANNELS[code].decimals)
    if kind & HAS_MASK:
        present = np.unpackbits(rows[:, at:mask_end], axis=1, count=count)
        values = np.where(present == 1, values, np.nan)
    return values, end
