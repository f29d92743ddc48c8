"""Laps and intervals of a ride as tables: a column is there where any of them knows its figure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from api.pages.formats import MISSING, Formats, Shown

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Effort:
    """A row. ``start`` and ``end``, in ms, are what its number shows in the charts."""

    start: int | None
    end: int | None
    cells: list[Shown]


@dataclass(frozen=True)
class EffortTable:
    """``heads``: of the columns, without the first, which numbers the rows."""

    heads: list[str]
    rows: list[Effort]


@dataclass(frozen=True)
class _Column:
    name: str
    member: str
    write: Callable[[Formats, Any], Shown]


def _in(unit: str, digits: int = 0) -> Callable[[Formats, Any], Shown]:
    return lambda formats, value: (formats.number(value, digits), unit)


_TIME: Final = _Column("Time", "duration", lambda formats, value: (formats.duration(value), ""))
_DISTANCE: Final = _Column("Distance", "totalDistance", lambda f, value: f.distance(value, 2))
_SPEED: Final = _Column("Speed", "avgSpeed", Formats.speed)
_POWER: Final = _Column("Power", "avgPower", _in("W"))
_NORMALIZED: Final = _Column("Normalized", "normalizedPower", _in("W"))
_PER_KG: Final = _Column("Per kg", "wattsPerKilogram", _in("W/kg", 2))
_HEART: Final = _Column("Heart rate", "avgHeartrate", _in("bpm"))
_CADENCE: Final = _Column("Cadence", "avgCadence", _in("rpm"))
_CLIMB: Final = _Column("Climb", "totalElevationGain", Formats.height)
_OF_LAPS: Final = (_TIME, _DISTANCE, _SPEED, _POWER, _NORMALIZED, _HEART, _CADENCE, _CLIMB)
_OF_INTERVALS: Final = (_TIME, _POWER, _PER_KG, _HEART, _CADENCE, _SPEED)


def table_of_laps(laps: Sequence[Figures], formats: Formats) -> EffortTable:
    """As the device pressed them. One whose samples are not known yet has no figures."""
    figures = [lap.get("summary") or {} for lap in laps]
    ends = [(lap.get("start"), lap.get("end")) for lap in laps]
    return _table(_OF_LAPS, figures, ends, formats)


def table_of_intervals(intervals: Sequence[Figures], formats: Formats) -> EffortTable:
    """As they were found in the power."""
    ends = [(each["start"], each["start"] + 1000 * each["duration"]) for each in intervals]
    return _table(_OF_INTERVALS, intervals, ends, formats)


def _table(
    columns: Sequence[_Column],
    figures: Sequence[Figures],
    ends: Sequence[tuple[int | None, int | None]],
    formats: Formats,
) -> EffortTable:
    written = {
        each.name: [each.write(formats, of.get(each.member)) for of in figures] for each in columns
    }
    known = {
        name: cells for name, cells in written.items() if any(text != MISSING for text, _ in cells)
    }
    rows = [
        Effort(start, end, [cells[at] for cells in known.values()])
        for at, (start, end) in enumerate(ends)
    ]
    return EffortTable(list(known), rows)
