"""`make simulate` from its options to its exit code."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Final

from rich.console import Console

from ops.admin import migrations
from ops.demo.run import start_service
from ops.embedded.servers import servers
from ops.live.command import running_service
from ops.simulation.accounts import Keys, keys_by_database, keys_by_service
from ops.simulation.riders import SimulatedRider, make_riders
from ops.simulation.run import Service, Wanted, run
from ops.simulation.table import show_result

INTERRUPTED: Final = 130


def simulate(wanted: Wanted, environ: Mapping[str, str], data_dir: Path) -> int:
    """Ride, and say what has become of it; the exit code. Raises RideRefused, ProcessFailed."""
    console = Console(highlight=False)
    for how in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C
        signal.signal(how, signal.default_int_handler)
    riders = make_riders(wanted.riders, wanted.seed)
    try:
        named = _named(wanted, riders)
        with named or _of_this_checkout(riders, console, environ, data_dir) as service:
            result = run(wanted, riders, service, console)
            show_result(console, result)
    except KeyboardInterrupt:  # while servers start or end
        console.print("Interrupted.")
        return INTERRUPTED
    return INTERRUPTED if result.left else int(bool(result.wrong))


def _named(wanted: Wanted, riders: list[SimulatedRider]) -> nullcontext[Service] | None:
    """The service that is asked for by its URL, or none."""
    if not wanted.url:
        return None
    url = wanted.url.rstrip("/")
    keys: Keys = [wanted.key] * len(riders) if wanted.key else keys_by_service(url, riders)
    return nullcontext(Service(url, keys))


@contextmanager
def _of_this_checkout(
    riders: list[SimulatedRider], console: Console, environ: Mapping[str, str], data_dir: Path
) -> Iterator[Service]:
    """What `make run` serves now, or the same for as long as the riders ride."""
    with servers(environ, data_dir, console.print) as urls:
        migrations.apply(urls["DATABASE_URL"])
        keys = keys_by_database(urls["DATABASE_URL"], riders)
        if running := running_service(data_dir):
            yield Service(running.url, keys)
            return
        console.print("Starting the API and workers …")
        with start_service(urls, data_dir, None) as (url, supervisor):
            yield Service(url, keys, lambda: supervisor.restart_ended(console.print))
