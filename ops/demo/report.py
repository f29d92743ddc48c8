"""What a ride's figures look like in a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ops.demo.ride_file import Imported

_MOST_SHOWN: Final = 20
_DURATIONS: Final = {"5 s": 5, "1 min": 60, "5 min": 300, "20 min": 1200}
Workout = dict[str, Any]
Efforts = Mapping[int, float]
_NO_EFFORTS: Final[Efforts] = {}


def show(console: Console, imported: Imported, efforts: Efforts = _NO_EFFORTS) -> None:
    """All figures of one ride, or a line each of several; and what there is to remark.

    ``efforts``: of one ride, seconds → the highest mean power in watts.
    """
    workouts, remarks = imported.workouts, imported.remarks
    if workouts:
        console.print(_table(workouts[0], efforts) if len(workouts) == 1 else _list(workouts))
    _print_some(console, remarks)


def _print_some(console: Console, remarks: Sequence[str]) -> None:
    for remark in remarks[:_MOST_SHOWN]:
        console.print(remark, soft_wrap=True, markup=False)
    if len(remarks) > _MOST_SHOWN:
        console.print(f"… and {len(remarks) - _MOST_SHOWN} remarks more")


def _list(workouts: Sequence[Workout]) -> Table:
    shown = workouts[:_MOST_SHOWN]
    of = f", of which {len(shown)} are shown" if len(workouts) > len(shown) else ""
    table = Table(title=f"{len(workouts)} rides{of}")
    for name in ("Start (UTC)", "Title", "Recorded", "Distance", "Normalized power", "Work"):
        table.add_column(name, justify="left" if name in ("Start (UTC)", "Title") else "right")
    for workout in shown:
        figures = dict(_figures(workout["summary"]))
        names = ("Recorded time", "Distance", "Normalized power", "Work")
        table.add_row(_start(workout), escape(workout["title"]), *(figures[name] for name in names))
    return table


def _table(workout: Workout, efforts: Efforts) -> Table:
    heading = f"{workout['title']}, {_start(workout)} UTC: {workout['status']}"
    table = Table(title=escape(heading), min_width=len(heading))
    table.add_column("Figure")
    table.add_column("Value", justify="right")
    for name, value in _figures(workout["summary"]):
        table.add_row(name, value)
    for name, seconds in _DURATIONS.items():
        if seconds in efforts:
            table.add_row(f"Best {name}", f"{efforts[seconds]:,.0f} W")
    for name, member in (("Power", "powerZones"), ("Heart rate", "heartrateZones")):
        for zone, seconds in enumerate(workout["summary"][member] or (), start=1):
            table.add_row(f"{name} zone {zone}", _duration(seconds))
    return table


def _duration(seconds: int) -> str:
    return f"{seconds // 60} min {seconds % 60:02d} s"


def _start(workout: Workout) -> str:
    return f"{datetime.fromisoformat(workout['startTime']).astimezone(UTC):%Y-%m-%d %H:%M}"


def _figures(summary: dict[str, Any]) -> Iterator[tuple[str, str]]:
    def figure(member: str, unit: str, scale: float = 1, digits: int = 0) -> str:
        value = summary[member]
        return "–" if value is None else f"{value * scale:,.{digits}f} {unit}".strip()

    yield "Recorded time", _duration(summary["recordedTime"])
    yield "Distance", figure("totalDistance", "km", 0.001, 2)
    yield "Average speed", figure("avgSpeed", "km/h", 3.6, 1)
    yield "Average power", figure("avgPower", "W")
    yield "Normalized power", figure("normalizedPower", "W")
    yield "Maximum power", figure("maxPower", "W")
    yield "Work", figure("totalEnergy", "kJ")
    yield "Intensity", figure("intensityFactor", "", digits=2)
    yield "Training stress (TSS)", figure("trainingStressScore", "")
    yield "Average heart rate", figure("avgHeartrate", "bpm")
    yield "Average cadence", figure("avgCadence", "rpm")
    yield "Samples", figure("sampleCount", "")
