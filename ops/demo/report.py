"""What a ride's figures look like in a terminal."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ops.demo.ride_file import Imported

_MOST_SHOWN: Final = 20
Workout = dict[str, Any]


def show(console: Console, imported: Imported) -> None:
    """All figures of one ride, or a line each of several; and what there is to remark."""
    workouts, remarks = imported.workouts, imported.remarks
    if workouts:
        console.print(_table(workouts[0]) if len(workouts) == 1 else _list(workouts))
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


def _table(workout: Workout) -> Table:
    heading = f"{workout['title']}, {_start(workout)} UTC: {workout['status']}"
    table = Table(title=escape(heading), min_width=len(heading))
    table.add_column("Figure")
    table.add_column("Value", justify="right")
    for name, value in _figures(workout["summary"]):
        table.add_row(name, value)
    return table


def _start(workout: Workout) -> str:
    return f"{datetime.fromisoformat(workout['startTime']).astimezone(UTC):%Y-%m-%d %H:%M}"


def _figures(summary: dict[str, Any]) -> Iterator[tuple[str, str]]:
    def figure(member: str, unit: str, scale: float = 1, digits: int = 0) -> str:
        value = summary[member]
        return "–" if value is None else f"{value * scale:,.{digits}f} {unit}".strip()

    minutes, seconds = divmod(summary["recordedTime"], 60)
    yield "Recorded time", f"{minutes} min {seconds:02d} s"
    yield "Distance", figure("totalDistance", "km", 0.001, 2)
    yield "Average speed", figure("avgSpeed", "km/h", 3.6, 1)
    yield "Average power", figure("avgPower", "W")
    yield "Normalized power", figure("normalizedPower", "W")
    yield "Maximum power", figure("maxPower", "W")
    yield "Work", figure("totalEnergy", "kJ")
    yield "Average heart rate", figure("avgHeartrate", "bpm")
    yield "Average cadence", figure("avgCadence", "rpm")
    yield "Samples", figure("sampleCount", "")
