"""Samples as JSON or CSV, in pieces of some samples: nothing is ever rendered whole. Pure."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from api.workouts.selection import View
from shared.samples.archive import TIMESTAMP
from shared.samples.columns import FloatArray, Samples

_ROWS_AT_ONCE: Final = 250


def json_rows(view: View) -> Iterator[bytes]:
    """JSON objects with commas between: a sample as it was uploaded.

    Without the members that were not measured.
    """
    whole = view.outline.whole
    windows = view.windows(list(whole))
    yield from _joined(_listed(_to_rows(window, whole)) for window in windows)


def json_columns(view: View) -> Iterator[bytes]:
    """A JSON object of columns of equal lengths; null where a value was not measured."""
    yield b'{"timestamp":['
    yield from _joined(_listed(each.timestamps.tolist()) for each in view.windows([]))
    for name, whole in view.outline.whole.items():
        yield b'],"%s":[' % name.encode()
        columns = (each.channels[name] for each in view.windows([name]))
        yield from _joined(_listed(plain_numbers(values, whole)) for values in columns)
    yield b"]}"


def csv_lines(view: View) -> Iterator[bytes]:
    """Lines of CSV with a header; an empty field where a value was not measured."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    whole = view.outline.whole
    writer.writerow([TIMESTAMP, *whole])
    for window in view.windows(list(whole)):
        for start in range(0, len(window), _ROWS_AT_ONCE):
            rows = window.select(slice(start, start + _ROWS_AT_ONCE))
            columns = [plain_numbers(values, whole[name]) for name, values in rows.channels.items()]
            # All at once would hold up every other thread.
            writer.writerows(zip(rows.timestamps.tolist(), *columns, strict=True))
        yield _taken(text)
    yield _taken(text)


def plain_numbers(values: FloatArray, whole: bool) -> Sequence[int | float | None]:
    """As whole numbers or not; None for NaN."""
    missing = np.isnan(values)
    filled = np.where(missing, 0, values)
    numbers = (filled.astype(np.int64) if whole else filled).tolist()
    for at in np.flatnonzero(missing):
        numbers[at] = None
    return list(numbers)


def _to_rows(samples: Samples, whole: Mapping[str, bool]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [{TIMESTAMP: time} for time in samples.timestamps.tolist()]
    for name, values in samples.channels.items():
        for row, value in zip(rows, plain_numbers(values, whole[name]), strict=True):
            if value is not None:
                row[name] = value
    return rows


def _listed(values: Sequence[object]) -> bytes:
    """The values as in a JSON array, without its brackets."""
    return msgspec.json.encode(values)[1:-1]


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    comma = b""
    for piece in pieces:
        yield comma + piece
        comma = b","


def _taken(text: io.StringIO) -> bytes:
    """What was written since the last time."""
    taken = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return taken
