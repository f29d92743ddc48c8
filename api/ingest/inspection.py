"""The slow, exact look at a batch in which something is wrong: plain objects, check by check."""

import io
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import numpy as np

from api.ingest.batch import NDJSON, Limits, ParsedBatch, Timestamp, milliseconds
from api.ingest.unknown import without_channel
from api.web.problems import BadRequest, BadSamples, Fault, TooLarge, Unprocessable, about
from api.web.syntax import json_fault
from shared.samples.channels import CHANNEL_NAMES, CHANNELS, EARLIEST_TIMESTAMP, Channel
from shared.samples.columns import FloatArray, Samples

_MAX_FAULTS: Final = 20

Row = tuple[int, Any]  # the index of a sample in the batch, and what stands there
GoodSample = tuple[int, dict[str, float]]  # a good timestamp in ms, and the good values by channel


def inspect(body: bytes, media_type: str, limits: Limits, lenient: bool) -> ParsedBatch:
    """The good samples of a batch, and what is wrong with the others.

    Raises BadRequest, TooLarge, and, unless ``lenient``, Unprocessable for the first bad samples.
    """
    faults: list[Fault] = []
    if media_type == NDJSON:
        rows = _plain_lines(body, limits, lenient, faults)
    else:
        rows = _plain_rows(body)
        _require_few(len(rows), limits)
    good = []
    for index, row in rows:
        sample = _inspect_row(index, row, limits, faults)
        if sample is not None:
            good.append(sample)
        if len(faults) >= _MAX_FAULTS and not lenient:
            break
    if faults and not lenient:
        raise BadSamples(f"{_where(faults[0])}; nothing was stored", faults)
    return ParsedBatch(_to_samples(good), faults)


def _where(fault: Fault) -> str:
    member = f"{fault.member} of " if fault.member else ""
    verb = "" if fault.detail.startswith(("is ", "has ", "lies ")) else "is wrong: "
    return f"{member}sample {fault.index} {verb}{fault.detail}"


def _plain_rows(body: bytes) -> list[Row]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {json_fault(error)}") from None
    rows = document
    if isinstance(document, dict):
        rows = document.get("samples")
        if rows is None:
            rows = _transpose(document)
        elif document.get("timestamp") is not None:
            detail = "send `samples` or columns, not both"
            raise Unprocessable(detail, about(detail, "samples", "timestamp"))
    if not isinstance(rows, list):
        detail = "send `samples`, an array of samples, or columns"
        raise Unprocessable(detail, about(detail, "samples"))
    return list(enumerate(rows))


def _transpose(columns: dict[str, Any]) -> list[dict[str, Any]]:
    sent = {
        name: values
        for name, values in columns.items()
        if name in ("timestamp", *CHANNEL_NAMES) and values is not None
    }
    if "timestamp" not in sent:
        raise Unprocessable(
            "send `samples`, an array of samples, or columns with `timestamp` among them",
            [Fault("is missing", "timestamp")],
        )
    if wrong := without_channel(columns):
        raise BadSamples(f"the batch {wrong}; nothing was stored", [Fault(wrong)])
    for name, values in sent.items():
        if not isinstance(values, list):
            raise Unprocessable(f"the column {name} is not an array", [Fault("not an array", name)])
    for name, values in sent.items():
        if len(values) != len(sent["timestamp"]):
            detail = f"{len(values)} values for {len(sent['timestamp'])} timestamps"
            raise Unprocessable(f"the column {name} has {detail}", [Fault(detail, name)])
    return [dict(zip(sent, row, strict=True)) for row in zip(*sent.values(), strict=True)]


def _plain_lines(body: bytes, limits: Limits, lenient: bool, faults: list[Fault]) -> list[Row]:
    rows: list[Row] = []
    for index, line in enumerate(line for line in io.BytesIO(body) if line.strip()):
        _require_few(index + 1, limits)
        try:
            rows.append((index, msgspec.json.decode(line)))
        except (msgspec.DecodeError, RecursionError) as error:
            wrong = f"not a line of JSON: {json_fault(error)}"
            if not lenient:
                raise BadRequest(f"sample {index} is {wrong}") from None
            faults.append(Fault(wrong, index=index))
    return rows


def _require_few(count: int, limits: Limits) -> None:
    if count > limits.samples:
        raise TooLarge(f"over {limits.samples} samples; send at most {limits.samples} at a time")


def _inspect_row(index: int, row: Any, limits: Limits, faults: list[Fault]) -> GoodSample | None:
    """What is good in one sample, if its timestamp is; what is wrong is added to ``faults``."""
    if not isinstance(row, dict):
        faults.append(Fault("is not an object", index=index))
        return None
    if wrong := without_channel(row):
        faults.append(Fault(wrong, index=index))
        return None
    time, wrong = _inspect_time(row.get("timestamp"), limits)
    if wrong:
        faults.append(Fault(wrong, "timestamp", index))
    values = {}
    for channel in CHANNELS:
        value = row.get(channel.name)
        if value is None:
            continue
        if wrong := _wrong_value(channel, value):
            faults.append(Fault(wrong, channel.name, index))
        else:
            values[channel.name] = float(value)
    return None if time is None else (time, values)


def _inspect_time(value: Any, limits: Limits) -> tuple[int | None, str | None]:
    if value is None:
        return None, "is missing"
    try:
        time = int(milliseconds([msgspec.convert(value, Timestamp)])[0])
    except (msgspec.ValidationError, ValueError):
        return None, "is neither Unix milliseconds nor RFC 3339 with an offset"
    if time < EARLIEST_TIMESTAMP:
        return None, "is before the year 2000; the unit is milliseconds"
    if time > limits.latest:
        return None, "is more than a day ahead"
    if limits.is_removed(time):
        return None, "lies where samples were removed for good"
    return time, None


def _wrong_value(channel: Channel, value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "is not a number"
    if not channel.minimum <= value <= channel.maximum:
        bounds = f"{channel.minimum:g} to {channel.maximum:g} {channel.unit}"
        return f"{value!s:.20} is outside {bounds}"  # an integer may have 4,000 digits
    return None


def _to_samples(good: list[GoodSample]) -> Samples:
    def column(name: str) -> Iterator[float]:
        return (values.get(name, np.nan) for _, values in good)

    channels: dict[str, FloatArray] = {
        name: np.fromiter(column(name), np.float64, len(good))
        for name in CHANNEL_NAMES
        if any(name in values for _, values in good)
    }
    return Samples(np.array([time for time, _ in good], np.int64), channels)
