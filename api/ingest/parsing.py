"""The bytes of a batch → samples. Pure: no I/O, no clock.

The fast way decodes into typed structs, bounds checked by msgspec on the way. Whatever it refuses
is looked at again, member by member, to say exactly what is wrong (or, leniently, to keep what is
right); so a bad batch costs more, and the usual one nothing.
"""

from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, Final

import msgspec
import numpy as np

from api.ingest.batch import (
    NDJSON,
    Batch,
    FewSamples,
    Limits,
    ParsedBatch,
    Sample,
    milliseconds,
)
from api.ingest.inspection import inspect
from api.ingest.unknown import has_sample_without_channel
from api.web.body import JSON, require_text
from api.web.problems import TooLarge, UnsupportedMediaType
from shared.samples.channels import CHANNEL_NAMES, EARLIEST_TIMESTAMP
from shared.samples.columns import IntArray, Samples, no_samples

_FEW: Final = 20
_decode_any: Final = msgspec.json.Decoder(list[Sample] | Batch).decode
_decode_lines: Final = msgspec.json.Decoder(Sample).decode_lines
_times_of: Final = attrgetter("timestamp")
_NOTHING: Final = (None,) * len(CHANNEL_NAMES)
_channels_of: Final = attrgetter(*CHANNEL_NAMES)


def parse_batch(
    body: bytes, media_type: str, limits: Limits, *, lenient: bool = False
) -> FewSamples | ParsedBatch:
    """The samples of a batch.

    Raises BadRequest for what cannot be read at all, TooLarge for too many samples,
    UnsupportedMediaType, and Unprocessable naming the first bad samples by index and member;
    ``lenient`` drops those instead.
    """
    return parse_fast(body, media_type, limits) or inspect(body, media_type, limits, lenient)


def parse_fast(body: bytes, media_type: str, limits: Limits) -> FewSamples | ParsedBatch | None:
    """The samples of a batch in which nothing is wrong; None for any other.

    A few samples come as plain lists: arrays would cost more than the samples do.
    Raises TooLarge, UnsupportedMediaType, and BadRequest for what is no text.
    """
    decoded = _decode(body, media_type)
    has_unknown = partial(has_sample_without_channel, body, media_type)
    if few := _few(decoded, limits, has_unknown):
        return few
    many = _many(decoded, limits)
    return None if many and many.has_bare and has_unknown() else many


def _decode(body: bytes, media_type: str) -> Any:
    """The samples, or the batch, if every one of them is right; None if not."""
    if media_type not in (JSON, NDJSON):
        raise UnsupportedMediaType(f"send {JSON} or {NDJSON}, not {media_type}")
    require_text(body)
    try:
        return _decode_lines(body) if media_type == NDJSON else _decode_any(body)
    except (msgspec.DecodeError, RecursionError):
        return None


def _few(decoded: Any, limits: Limits, has_unknown: Callable[[], bool]) -> FewSamples | None:
    """None for what is not in rows, or many, or not right in every way."""
    rows = decoded
    if isinstance(decoded, Batch):
        rows = decoded.samples if decoded.timestamp is None else None
    if not rows or len(rows) > min(_FEW, limits.samples):
        return None
    times = [row.timestamp for row in rows]
    if any(type(time) is not int for time in times):
        return None
    if min(times) < EARLIEST_TIMESTAMP or max(times) > limits.latest:
        return None
    if limits.removed and any(map(limits.is_removed, times)):
        return None
    values = list(map(_channels_of, rows))
    if _NOTHING in values and has_unknown():
        return None
    return FewSamples(times, list(zip(*values, strict=True)))


def _many(decoded: Any, limits: Limits) -> ParsedBatch | None:
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
    table = np.array([_channels_of(row) for row in rows], dtype=np.float64)  # None → NaN
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
