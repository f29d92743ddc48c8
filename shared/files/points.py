"""Points of TCX and GPX files: texts by their names, made into columns."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import numpy as np

from shared.files.recording import Pause, plausible_offset
from shared.samples.columns import FloatArray, IntArray

Point = dict[str, str]  # what a point says, by the elements' names
NO_ZONE: Final = "the times name no zone: they are taken for UTC"


class Moment(NamedTuple):
    """A time in ms since the Unix epoch, and the offset it was written with, in seconds."""

    ms: int
    offset: int | None


class Columns(NamedTuple):
    """The points that have a time, in the order of the file."""

    times: IntArray
    channels: dict[str, FloatArray]
    utc_offset: int | None
    warnings: tuple[str, ...]


def columns_of(points: Sequence[Point], fields: Mapping[str, Sequence[str]]) -> Columns:
    """``fields``: channel → the names of elements that hold it, the better first.

    A point without a time is left out.
    """
    moments = [moment_of(point.get("time")) for point in points]
    timed = [(moment, point) for moment, point in zip(moments, points, strict=True) if moment]
    channels = {
        channel: np.array([_first(point, names) for _, point in timed], np.float64)
        for channel, names in fields.items()
    }
    offsets = {moment.offset for moment, _ in timed}
    local = offsets - {None, 0}
    return Columns(
        np.array([moment.ms for moment, _ in timed], np.int64),
        channels,
        plausible_offset(local.pop() or 0) if len(local) == 1 else None,
        (NO_ZONE,) if None in offsets else (),
    )


def times_of(points: Iterable[Point]) -> IntArray:
    """The times of the points that have one, in ms since the Unix epoch."""
    moments = (moment_of(point.get("time")) for point in points)
    return np.array([moment.ms for moment in moments if moment], np.int64)


def moment_of(text: str | None) -> Moment | None:
    """ISO 8601 with or without fractions and offset; None where it is no time."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    offset = moment.utcoffset()
    if offset is None:
        return Moment(_ms(moment.replace(tzinfo=UTC)), None)
    return Moment(_ms(moment), round(offset.total_seconds()))


def pause_between(earlier: Sequence[Point], later: Sequence[Point]) -> Iterator[Pause]:
    """The pause from the end of one stretch of points to the next one's start, if there is any."""
    if not earlier or not later:
        return
    stop, start = moment_of(earlier[-1].get("time")), moment_of(later[0].get("time"))
    if stop is not None and start is not None and stop.ms < start.ms:
        yield Pause(stop.ms, start.ms)


def number_of(text: str | None) -> float:
    """A number with a point or a comma; NaN where it is none."""
    if not text:
        return math.nan
    try:
        return float(text)
    except ValueError:
        return _with_comma(text)


def figure_of(text: str | None) -> float | None:
    """The same for a figure of the device: None where there is none, or none that can be."""
    value = number_of(text)
    return round(value, 3) if math.isfinite(value) and value >= 0 else None


def _with_comma(text: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return math.nan


def _first(point: Point, names: Sequence[str]) -> float:
    for name in names:
        if name in point:
            value = number_of(point[name])
            if not math.isnan(value):
                return value
    return math.nan


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
