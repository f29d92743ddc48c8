"""Samples as rows: JSON objects or lines of CSV. Pure."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.telemetry import FloatArray, Samples


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
    columns = to_columns(samples)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def plain_numbers(values: FloatArray) -> Sequence[int | float | None]:
    """Whole numbers where all of a channel are whole; None for NaN."""
    missing = np.isnan(values)
    filled = np.where(missing, 0, values)
    whole = bool(np.all(filled == np.rint(filled)))
    numbers = (filled.astype(np.int64) if whole else filled).tolist()
    for at in np.flatnonzero(missing):
        numbers[at] = None
    return list(numbers)
