"""A run as a table on the terminal, and as the measured part of docs/performance.md."""

from collections.abc import Iterator
from pathlib import Path

from rich.table import Table

from bench.capacity import Assumptions, capacity
from bench.figures import Against, Figure, Report, Target

BEGIN = "<!-- measured: begin -->"
END = "<!-- measured: end -->"
_HEADINGS = ("Figure", "Measured", "Limit", "of limit", "Peer", "of peer", "Target", "")


def to_table(figures: list[Figure]) -> Table:
    """For the terminal."""
    table = Table()
    for heading in _HEADINGS:
        table.add_column(heading, justify="left" if heading in ("Figure", "Target") else "right")
    section = ""
    for figure in figures:
        if figure.section != section:
            table.add_section()
            section = figure.section
        table.add_row(*_cells(figure))
    return table


def to_markdown(report: Report) -> str:
    """The last run, and what it means for a million riders."""
    machine = report.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    lines = [
        f"Measured {report.date} on {machine.cores} cores of {machine.cpu}, "
        f"{machine.memory_gib} GiB, {machine.kernel}, Python {machine.python}; {versions}.",
        f"Medians of all runs; the load average before was {machine.load_average}.",
        "",
        _row(_HEADINGS),
        _row("---" if each in ("Figure", "Target") else "--:" for each in _HEADINGS),
        *(_row(_cells(figure)) for figure in report.figures),
        "",
    ]
    try:
        return "\n".join([*lines, *capacity(report, Assumptions())])
    except KeyError as missing:
        return "\n".join([*lines, f"Not derived: {missing} was not measured."])


def update_document(path: Path, report: Report) -> None:
    """Put a run between the two markers of a document. Raises ValueError if it has none."""
    text = path.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path} has no {BEGIN} … {END}")
    path.write_text(f"{before}{BEGIN}\n\n{to_markdown(report)}\n\n{END}{after}")


def _cells(figure: Figure) -> list[str]:
    def number(value: float | None, digits: int, unit: str = "") -> str:
        return "" if value is None else f"{value:,.{digits}f} {unit}".strip()

    def side(against: Against, named: str = "") -> list[str]:
        other = number(figure.other(against), figure.digits, figure.unit)
        return [
            f"{other} ({named})" if other and named else other,
            number(figure.ratio(against), 3 if (figure.ratio(against) or 1) < 0.1 else 2),
        ]

    verdicts = figure.verdicts()
    return [
        f"{figure.section}: {figure.name}",
        number(figure.median, figure.digits, figure.unit),
        *side(Against.LIMIT, figure.limit),
        *side(Against.PEER),
        ", ".join(_target(each, figure.unit) for each, _ in verdicts),
        ", ".join({True: "met", False: "not met", None: "–"}[met] for _, met in verdicts),
    ]


def _target(target: Target, unit: str) -> str:
    bound = f"{'≥' if target.at_least else '≤'} {target.bound:.3g}"
    other = f"× {target.against}" if target.against else unit
    return f"{bound} {other}"


def _row(cells: Iterator[str] | tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"
