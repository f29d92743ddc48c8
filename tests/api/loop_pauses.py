"""``python -m tests.api.loop_pauses``: the longest pause of the event loop in every operation."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ops.admin import migrations
from ops.embedded.servers import embedded_servers
from shared.settings import Settings, read_settings
from tests.api.heaviest import REQUESTS, HeaviestRider, serving_in_a_thread


class Pauses:
    """The longest time between two steps of a loop: by the clock, and of its thread alone."""

    def __init__(self) -> None:
        self.longest = self.own = 0.0

    def watch(self) -> None:
        """Look at the loop that runs in this thread."""
        loop = asyncio.get_running_loop()
        loop.call_soon(self._tick, loop, time.monotonic(), time.thread_time())

    def _tick(self, loop: asyncio.AbstractEventLoop, then: float, own: float) -> None:
        now, used = time.monotonic(), time.thread_time()
        self.longest = max(self.longest, now - then)
        self.own = max(self.own, used - own)
        loop.call_later(0.001, self._tick, loop, time.monotonic(), time.thread_time())


def measure(settings: Settings, say: Callable[[str], object]) -> None:
    """Send each request once, and say what it did to the loop."""
    pauses = Pauses()
    with serving_in_a_thread(settings, pauses.watch) as url:
        rider = HeaviestRider(settings, url)
        say(f"{'by the clock':>14} {'by its thread':>14}  status  bytes")
        for heavy in REQUESTS:
            pauses.longest = pauses.own = 0.0
            answer = rider.send(heavy)
            times = f"{pauses.longest * 1000:11.1f} ms {pauses.own * 1000:11.1f} ms"
            say(f"{times}  {answer.status_code}  {answer.num_bytes_downloaded:>10}  {heavy}")
        rider.close()


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp(prefix="bpt-pauses-"))
    folder.chmod(0o755)
    with embedded_servers(folder) as urls:
        migrations.apply(urls["DATABASE_URL"])
        measure(read_settings(urls), lambda line: print(line, flush=True))  # noqa: T201
