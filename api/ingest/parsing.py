"""The bytes of a batch → its entry in the stream. Pure: no I/O, no clock.

The fast way decodes into typed structs, bounds checked by msgspec on the way. Whatever it refuses
is looked at again, member by member, to say exactly what is wrong (or, leniently, to keep what is
right); so a bad batch costs more, and the usual one nothing.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec
import numpy as np

from api.ingest.batch import (
    NDJSON,
    Batch,
    Limits,
    PackedBatch,
    ParsedBatch,
    Sample,
    milliseconds,
)
from api.ingest.inspection import inspect
from api.ingest.table import Rows, Table, channels_of, rows_of, table_of
from api.ingest.unknown import has_sample_without_channel
from api.web.body import JSON, require_text
from api.web.problems import TooLarge, UnsupportedMediaType
from shared.samples import stream_codec
from shared.samples.channels import CHANNEL_NAMES, EARLIEST_TIMESTAMP
from shared.samples.columns import IntArray, Samples, no_samples

_decode_any: Final = msgspec.json.Decoder(list[Sample] | Batch).decode
_decode_lines: Final = msgspec.json.Decoder(Sample).decode_lines
_times_of: Final = attrgetter("timestamp")
_FEW: Final = 4  # batches of one sample, which cost less one by one


def pack_batch(
    body: bytes, media_type: str, limits: Limits, *, lenient: bool = False
) -> PackedBatch:
    """The entry of a batch.

    Raises BadRequest for what cannot be read at all, TooLarge for too many samples,
    UnsupportedMediaType, and Unprocessable naming the first bad samples by index and member;
    ``lenient`` drops those instead.
    """
    packed = pack_fast(body, media_type, limits)
    return packed or _pack(inspect(body, media_type, limits, lenient))


def pack_fast(body: bytes, media_type: str, limits: Limits) -> PackedBatch | None:
    """The entry of a batch in which nothing is wrong; None for any other.

    Raises TooLarge, UnsupportedMediaType, and BadRequest for what is no text.
    """
    decoded = _decode(body, media_type)
    rows = _rows_in(decoded, limits)
    if rows and _pack_alike([rows], limits):
        return PackedBatch(rows.entry, rows.samples, rows.latest)
    return _pack_any(decoded, body, media_type, limits)


def read_fast(body: bytes, media_type: str, limits: Limits) -> Rows | PackedBatch | None:
    """As ``pack_fast``, but that it leaves rows for ``pack_all``, unless some were removed."""
    if limits.removed:
        return pack_fast(body, media_type, limits)
    decoded = _decode(body, media_type)
    return _rows_in(decoded, limits) or _pack_any(decoded, body, media_type, limits)


def _pack_any(decoded: Any, body: bytes, media_type: str, limits: Limits) -> PackedBatch | None:
    batch = _parse(decoded, limits)
    if batch is None or (batch.has_bare and has_sample_without_channel(body, media_type)):
        return None
    return _pack(batch)


def pack_all(batches: Sequence[Rows], now_ms: int) -> bool:
    """Give each its entry; False if some have none, as something is wrong with them.

    Those that are alike in each numpy call: they come at the same moment, and the calls cost more
    than the numbers.
    """
    alike: dict[tuple[int, int], list[Rows]] = {}
    for rows in batches:
        alike.setdefault((id(rows.shape), rows.samples), []).append(rows)
    limits = Limits.at(now_ms, 0)
    return min((_pack_alike(group, limits) for group in alike.values()), default=True)


def _pack_alike(group: list[Rows], limits: Limits) -> bool:
    """Give entries to rows of one shape and length."""
    if group[0].single and len(group) < _FEW:
        return min(_pack_one(rows, limits) for rows in group)  # not all(), which would end early
    table = table_of(group)
    if table and _timely(table.timestamps, limits):
        _pack_table(group, table)
        return True
    return len(group) > 1 and min(_pack_alike([rows], limits) for rows in group)


def _pack_one(rows: Rows, limits: Limits) -> bool:
    time, values = rows.single or (0, ())
    if not EARLIEST_TIMESTAMP <= time <= limits.latest:
        return False
    if limits.removed and limits.is_removed(time):
        return False
    rows.entry, rows.latest = stream_codec.encode_one(time, values), time
    return True


def _pack_table(group: list[Rows], table: Table) -> None:
    latest, entries = table.timestamps.max(axis=1).tolist(), stream_codec.encode_tables(*table)
    for at, rows in enumerate(group):
        rows.entry = entries[at] or stream_codec.encode(table.samples(at))
        rows.latest = latest[at]


def _pack(batch: ParsedBatch) -> PackedBatch:
    samples = batch.samples
    if not len(samples):
        return PackedBatch(b"", 0, None, batch.dropped)
    latest = int(samples.timestamps.max())
    return PackedBatch(stream_codec.encode(samples), len(samples), latest, batch.dropped)


def _decode(body: bytes, media_type: str) -> Any:
    """The samples, or the batch, if every one of them is right; None if not."""
    if media_type not in (JSON, NDJSON):
        raise UnsupportedMediaType(f"send {JSON} or {NDJSON}, not {media_type}")
    require_text(body)
    try:
        return _decode_lines(body) if media_type == NDJSON else _decode_any(body)
    except (msgspec.DecodeError, RecursionError):
        return None


def _rows_in(decoded: Any, limits: Limits) -> Rows | None:
    """None for what is not in rows, all of the same channels and some."""
    rows = decoded
    if isinstance(decoded, Batch):
        rows = decoded.samples if decoded.timestamp is None else None
    if not rows or len(rows) > limits.samples:
        return None
    found = rows_of(rows)
    return found if found and found.shape.codes else None


def _parse(decoded: Any, limits: Limits) -> ParsedBatch | None:
    """The samples of any batch in which nothing is wrong."""
    try:
        samples = _to_samples(decoded)
    except ValueError:
        return None
    if samples is None or not _timely(samples.timestamps, limits):
        return None
    if len(samples) > limits.samples:
        raise TooLarge(f"{len(samples)} samples; send at most {limits.samples} at a time")
    return ParsedBatch(samples, [])


def _to_samples(decoded: Any) -> Samples | None:
    """None for what is neither rows nor columns. Raises ValueError for an impossible timestamp."""
    if isinstance(decoded, Batch):
        if decoded.samples is None:
            return _from_columns(decoded)
        if decoded.timestamp is not None:
            return None
        decoded = decoded.samples
    return None if decoded is None else _from_rows(decoded)


def _from_rows(rows: Sequence[Any]) -> Samples:
    if not rows:
        return no_samples()
    table = np.array([channels_of(row) for row in rows], dtype=np.float64)  # None → NaN
    matrix = np.ascontiguousarray(table.T)
    measured = ~np.isnan(matrix).all(axis=1)
    channels = {CHANNEL_NAMES[at]: matrix[at] for at in np.flatnonzero(measured)}
    return Samples(milliseconds([_times_of(row) for row in rows]), channels)


def _from_columns(batch: Any) -> Samples | None:
    columns = {name: getattr(batch, name) for name in CHANNEL_NAMES}
    sent = {name: values for name, values in columns.items() if values is not None}
    if batch.timestamp is None or any(len(v) != len(batch.timestamp) for v in sent.values()):
        return None
    arrays = {name: np.array(values, dtype=np.float64) for name, values in sent.items()}
    measured = {name: values for name, values in arrays.items() if not np.isnan(values).all()}
    return Samples(milliseconds(batch.timestamp), measured)


def _timely(times: IntArray, limits: Limits) -> bool:
    if not len(times):
        return True
    if times.min() < EARLIEST_TIMESTAMP or times.max() > limits.latest:
        return False
    if not limits.removed:
        return True
    return not np.any(np.searchsorted(limits.removed, times, side="right") % 2)
