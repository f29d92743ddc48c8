"""`make bench`: measure everything beside its limit, and beside the last run that was kept."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from rich.console import Console
from rich.markdown import Markdown

from bench import (
    coaching,
    completion,
    fairness,
    files,
    folds,
    history,
    live,
    partitions,
    recompute,
    redis_memory,
    riders,
    scaling,
    uploads,
    websocket,
)
from bench.figures import Figure
from bench.peer import Peer
from bench.report import Report, read_kept, this_machine, to_table, update_document
from bench.system import Options, System, running_system
from ops.variables import Address, run_in_words, variable

MEASUREMENTS: Final[dict[str, Callable[[System, Options], Iterable[Figure]]]] = {
    "upload": uploads.measure,
    "websocket": websocket.measure,
    "riders": riders.measure,
    "redis": redis_memory.measure,
    "fold": folds.measure,
    "latency": completion.measure,
    "files": files.measure,
    "scaling": scaling.measure,
    "recompute": recompute.measure,
    "history": history.measure,
    "fairness": fairness.measure,
    "live": live.measure,
    "coaching": coaching.measure,
    "partitions": partitions.measure,
}
_DOCUMENT: Final = Path(__file__).resolve().parents[1] / "docs" / "performance.md"


@click.command()
@variable("--runs", envvar="RUNS", default=3, show_default=True, type=click.IntRange(1))
@variable("--seconds", envvar="SECONDS", default=3.0, type=click.FloatRange(0.1), help="A load.")
@variable("--rides", envvar="RIDES", default=40, show_default=True, type=click.IntRange(2))
@variable("--only", envvar="ONLY", default=",".join(MEASUREMENTS), show_default=True)
@variable("--peer-url", envvar="PEER_URL", type=Address(), help="A server of the original design.")
@variable("--peer-key", envvar="PEER_KEY", default="", help="An API key of its own.")
@variable("--json", "path", envvar="JSON", type=click.Path(path_type=Path))
@variable("--keep", envvar="KEEP", is_flag=True, help="Write docs/performance.md.")
def main(
    only: str,
    peer_url: str | None,
    peer_key: str,
    path: Path | None,
    *,
    keep: bool,
    **amounts: Any,
) -> None:
    """Measure; a run of everything may be kept, as the measured part of docs/performance.md."""
    options = Options(**amounts, peer=Peer(peer_url, peer_key) if peer_url else None)
    chosen = only.split(",")
    if unknown := set(chosen) - set(MEASUREMENTS):
        raise click.BadParameter(f"no measurement is called {', '.join(sorted(unknown))}")
    if keep and set(chosen) != set(MEASUREMENTS):
        raise click.BadParameter("a run is kept whole: leave ONLY out, or KEEP")
    date, machine = datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"), this_machine()
    report = Report(date, machine, list(_measure(chosen, options)))
    console = Console(highlight=False)
    console.width = max(console.width, 160)  # in a file or a pipe, too
    kept = read_kept(_DOCUMENT)
    click.echo(f"The last run kept: {kept.told or 'none'}")
    console.print(Markdown(to_table(report.figures, kept)))
    if path:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))
    if keep:
        update_document(_DOCUMENT, report)


def _measure(chosen: list[str], options: Options) -> Iterator[Figure]:
    with running_system() as system:
        for name in chosen:
            click.echo(f"measuring: {name} …", err=True)
            for figure in MEASUREMENTS[name](system, options):
                yield msgspec.structs.replace(figure, section=name)


if __name__ == "__main__":
    run_in_words(main)
