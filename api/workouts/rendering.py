"""Samples as rows: JSON objects or lines of CSV. Pure."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from shared.samples.columns import FloatArray, Samples

_ROWS_AT_ONCE: Final = 250


def to_rows(samples: Samples) -> list[dict[str, Any]]:
    """An object a sample, as it was uploaded: without the members that were not measured."""
    columns = {name: plain_numbers(values) for name, values in samples.channels.items()}
    rows: list[dict[str, Any]] = [{"timestamp": time} for time in samples.timestamps.tolist()]
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            if value is not None:
                row[name] = value
    return rows


def to_columns(samples: Samples) -> dict[str, list[Any]]:
    """Columns of equal lengths; null where a value was not measured."""
    columns = {name: plain_numbers(values) for name, values in samples.channels.items()}
    return {"timestamp": samples.timestamps.tolist(), **columns}


def to_csv(samples: Samples) -> str:
    """Lines of CSV with a header; an empty field where a value was not measured."""
    return "".join(csv_parts(samples))


def csv_parts(samples: Samples) -> Iterator[str]:
    """The same in parts of some rows: all at once would hold up every other thread."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["timestamp", *samples.channels])
    whole = {name: _are_whole(values) for name, values in samples.channels.items()}
    for start in range(0, len(samples), _ROWS_AT_ONCE):
        rows = samples.select(slice(start, start + _ROWS_AT_ONCE))
        columns = [_plain(values, whole[name]) for name, values in rows.channels.items()]
        writer.writerows(zip(rows.timestamps.tolist(), *columns, strict=True))
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()


def plain_numbers(values: FloatArray) -> Sequence[int | float | None]:
    """Whole numbers where all of a channel are whole; None for NaN."""
    return _plain(values, _are_whole(values))


def _are_whole(values: FloatArray) -> bool:
    return bool(np.all(np.isnan(values) | (values == np.rint(values))))


def _plain(values: FloatArray, whole: bool) -> Sequence[int | float | None]:
    missing = np.isnan(values)
    filled = np.where(missing, 0, values)
    numbers = (filled.astype(np.int64) if whole else filled).tolist()
    for at in np.flatnonzero(missing):
        numbers[at] = None
    return list(numbers)
