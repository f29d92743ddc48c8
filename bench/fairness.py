"""What one greedy rider costs the others: their uploads and completions, and the API's memory."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx2

from bench.figures import Figure, most
from bench.greedy import WAYS
from bench.meters import memory_of
from bench.rides import an_hour
from bench.system import Options, Served, System
from ops.admin.accounts import create_account

_BATCH: Final = 60  # samples
_PAUSE: Final = 0.02  # seconds between the uploads of an ordinary rider
_COMPLETIONS: Final = 10
_TIMES: Final = 3.0  # of what it takes alone
_MOST_MEMORY: Final = 512.0  # MB


def measure(system: System, options: Options) -> Iterator[Figure]:
    """An ordinary rider alone, and beside a greedy one in each of the ways."""
    ordinary = create_account(system.environ["DATABASE_URL"], "ordinary@example.com", "bench")
    headers = {"X-API-Key": ordinary.api_key}
    for way in WAYS:
        with (
            system.serving("api") as api,
            system.workers(1),
            httpx2.Client(base_url=api.url, headers=headers, timeout=60) as client,
        ):
            alone = _ride(client, options.seconds)
            with _greedy(system, api, way):
                beside = _ride(client, options.seconds)
            memory = memory_of(api.process.pid, at_most=True)
        name = way.replace("_", " ")
        yield Figure(
            f"upload p99 beside {name}",
            "ms",
            [beside[0]],
            "alone",
            [alone[0]],
            target=most(_TIMES, "limit"),
        )
        yield Figure(
            f"completion beside {name}",
            "ms",
            [beside[1]],
            "alone",
            [alone[1]],
            target=most(_TIMES, "limit"),
        )
        yield Figure(f"memory of the API, {name}", "MB", [memory], target=most(_MOST_MEMORY))


def _ride(client: httpx2.Client, seconds: float) -> tuple[float, float]:
    """The 99th percentile of uploads, and the median of completions, in ms."""
    uploads, completions = list[float](), list[float]()
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline or len(completions) < _COMPLETIONS:
        ride = client.post("/api/workouts", json={}).raise_for_status().json()["workout"]["id"]
        for at in range(0, 10 * _BATCH, _BATCH):
            batch = an_hour()[at : at + _BATCH]
            uploads.append(_post(client, f"/api/workouts/{ride}/telemetry", batch))
            time.sleep(_PAUSE)
        completions.append(_post(client, f"/api/workouts/{ride}/complete?wait=30", None))
    return statistics.quantiles(uploads, n=100)[-1], statistics.median(completions)


def _post(client: httpx2.Client, path: str, body: object) -> float:
    """How many ms it takes."""
    began = time.perf_counter()
    client.post(path, json=body).raise_for_status()
    return (time.perf_counter() - began) * 1000


@contextmanager
def _greedy(system: System, api: Served, way: str) -> Iterator[None]:
    """A greedy rider at full speed, for as long as the block."""
    account = create_account(system.environ["DATABASE_URL"], f"{way}@example.com", "bench")
    argv = [sys.executable, "-m", "bench.greedy", way, api.url, account.api_key]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=system.environ) as greedy:
        try:
            if greedy.stdout is None or not greedy.stdout.readline():
                raise RuntimeError(f"the greedy rider failed: {way}")
            yield
        finally:
            greedy.kill()
