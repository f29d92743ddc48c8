"""`make bench`: measure everything beside its limit; a table, a JSON file and the document."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console

from bench import completion, folds, redis_memory, scaling, uploads
from bench.figures import Figure, Report
from bench.machine import this_machine
from bench.options import Options
from bench.peer import Peer
from bench.report import to_table, update_document
from bench.system import System, running_system

SECTIONS: Final[dict[str, Callable[[System, Options], list[Figure]]]] = {
    each.SECTION: each.measure for each in (uploads, redis_memory, folds, completion, scaling)
}
_DOCUMENT: Final = Path(__file__).resolve().parents[1] / "docs" / "performance.md"


@click.command()
@click.option("--runs", envvar="RUNS", default=3, show_default=True, type=click.IntRange(1))
@click.option(
    "--seconds", envvar="SECONDS", default=3.0, type=click.FloatRange(0.1), help="A load."
)
@click.option("--rides", envvar="RIDES", default=40, show_default=True, type=click.IntRange(2))
@click.option("--only", envvar="ONLY", default=",".join(SECTIONS), show_default=True)
@click.option("--peer-url", envvar="PEER_URL", help="A server of the original design.")
@click.option("--peer-key", envvar="PEER_KEY", default="", help="An API key of its own.")
@click.option("--json", "path", envvar="JSON", type=click.Path(path_type=Path))
def main(
    runs: int,
    seconds: float,
    rides: int,
    only: str,
    peer_url: str | None,
    peer_key: str,
    path: Path | None,
) -> None:
    """Measure; a run of every section becomes the measured part of docs/performance.md."""
    peer = Peer(peer_url, peer_key) if peer_url else None
    options = Options(runs, seconds, rides, peer)
    chosen = only.split(",")
    if unknown := set(chosen) - set(SECTIONS):
        raise click.BadParameter(f"no section is called {', '.join(sorted(unknown))}")
    report = _measure(chosen, options)
    console = Console(highlight=False)
    console.width = max(console.width, 160)  # in a file or a pipe, too
    console.print(to_table(report.figures))
    if path:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))
    if set(chosen) == set(SECTIONS):
        update_document(_DOCUMENT, report)


def _measure(chosen: list[str], options: Options) -> Report:
    date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ")
    machine, figures = this_machine(), list[Figure]()
    with running_system() as system:
        for section in chosen:
            click.echo(f"measuring: {section} …", err=True)
            figures += SECTIONS[section](system, options)
    return Report(date, machine, figures)


if __name__ == "__main__":
    main()
