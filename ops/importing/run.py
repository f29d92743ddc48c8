"""`make import`: in parallel, with a progress bar, and a table of what has become of it all."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ops.importing.client import ImportClient, Kind, Outcome
from ops.importing.sources import Found, count_files, files_at, thresholds_at
from ops.processes import ProcessFailed

# Files on their way at a time: enough to keep a few workers busy, and few to wait for others.
IN_FLIGHT: Final = 8
_MOST_LINES: Final = 200  # of the table; beyond it, only how many more
INTERRUPTED: Final = 130
_FOUND: Final = (Kind.DUPLICATE, Kind.FAILED, Kind.FAULT)


@dataclass
class Report:
    """What has become of the files so far. ``kept``: those of interest one by one."""

    counts: Counter[Kind] = field(default_factory=Counter)
    rides: int = 0
    kept: list[Outcome] = field(default_factory=list)
    is_interrupted: bool = False
    broken_off: str = ""

    def add(self, outcome: Outcome) -> None:
        """Count one more."""
        self.counts[outcome.kind] += 1
        if outcome.kind is Kind.NEW:
            self.rides += len(outcome.rides)
        elif outcome.kind in _FOUND:
            self.kept.append(outcome)

    @property
    def exit_code(self) -> int:
        """Not 0 only if something failed that is no fault of the files."""
        if self.is_interrupted:
            return INTERRUPTED
        return 1 if self.counts[Kind.FAULT] or self.broken_off else 0


def run(client: ImportClient, paths: Sequence[Path], console: Console) -> int:
    """Import everything at the paths, and say what has become of it; the exit code."""
    report = Report()
    total = count_files(paths)
    with _progress(console) as progress:
        task = progress.add_task("Importing", total=total)
        try:
            _give_thresholds(client, paths, console)
            for outcome in import_all(client, files_at(paths)):
                report.add(outcome)
                done = sum(report.counts.values())
                progress.update(task, completed=done, total=max(done, total))
        except KeyboardInterrupt:
            report.is_interrupted = True
        except ProcessFailed as error:
            report.broken_off = str(error)
        progress.update(task, total=sum(report.counts.values()))
    console.print(table_of(report))
    if report.is_interrupted:
        console.print("Interrupted. What was sent whole goes in; the same command does the rest.")
    if report.broken_off:
        console.print(f"Broken off: {report.broken_off}. The same command does the rest.")
    return report.exit_code


def import_all(client: ImportClient, files: Iterable[Found]) -> Iterator[Outcome]:
    """Import the files, a few at a time, in the order in which they are done.

    Those that are known to record a ride a second time come last, after its first recording.
    """
    seconds = list[Found]()
    yield from _in_parallel(client, _without_seconds(files, seconds))
    yield from _in_parallel(client, seconds)


def _without_seconds(files: Iterable[Found], seconds: list[Found]) -> Iterator[Found]:
    for found in files:
        if found.file.is_second:
            seconds.append(found)
        else:
            yield found


def _in_parallel(client: ImportClient, files: Iterable[Found]) -> Iterator[Outcome]:
    """Never more than so many files are in memory, at the API, or before the workers."""
    pending = set[Future[Outcome]]()
    pool = ThreadPoolExecutor(IN_FLIGHT)
    try:
        for found in files:
            pending.add(pool.submit(_import_one, client, found))
            if len(pending) >= IN_FLIGHT:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (each.result() for each in done)
        for each in pending:
            yield each.result()
    except BaseException:  # Ctrl-C too: no thread may wait or try again
        client.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _import_one(client: ImportClient, found: Found) -> Outcome:
    file = found.file
    if file.problem:
        return Outcome(file.name, Kind.FAULT if found.is_ours else Kind.FAILED, file.problem)
    if not file.data:
        return Outcome(file.name, Kind.FAILED, "the file is empty")
    return client.import_file(file)


def _give_thresholds(client: ImportClient, paths: Sequence[Path], console: Console) -> None:
    """Before the rides, which are judged by them."""
    for path in paths:
        data = thresholds_at(path)
        if data:
            count = client.give_thresholds(msgspec.json.decode(data)["thresholds"])
            console.print(f"{path.name}: figures of {count} days given")


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console)


def table_of(report: Report) -> Table:
    """How many of each kind; then each duplicate and failure with its reason."""
    total = sum(report.counts.values())
    new = "1 ride is new" if report.rides == 1 else f"{report.rides} rides are new"
    table = Table(title=f"{_files(total)}: {new}", title_justify="left")
    table.add_column("What became of it")
    table.add_column("File", overflow="fold")
    table.add_column("Why", overflow="fold")
    for kind in Kind:
        if report.counts[kind]:
            table.add_row(kind.value, _files(report.counts[kind]), "")
    table.add_section()
    for outcome in sorted(report.kept, key=lambda each: (each.kind.value, each.name))[:_MOST_LINES]:
        table.add_row(outcome.kind.value, escape(outcome.name), escape(_why(outcome)))
    if len(report.kept) > _MOST_LINES:
        table.add_row("", f"and {len(report.kept) - _MOST_LINES} more", "")
    return table


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _why(outcome: Outcome) -> str:
    of = f" (workout {outcome.rides[0]})" if outcome.kind is Kind.DUPLICATE else ""
    return outcome.detail + of
