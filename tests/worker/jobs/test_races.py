"""Uploads racing the completion of their ride, through whole processes."""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from random import Random

import httpx2
import pytest

from ops.admin.accounts import create_account
from ops.processes import spawn, stop
from shared.connections import Redis
from shared.settings import Settings
from tests.conftest import ROOT, Rider
from tests.worker.readings import T0
from tests.worker.waiting import eventually


@pytest.fixture
def riders(settings: Settings, redis_client: Redis, tmp_path: Path) -> Iterator[list[Rider]]:
    """One user at two API processes; their worker never sweeps, so nothing mends a lost race."""
    account = create_account(settings.database_url, "racer@example.com", "test")
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "SWEEP_INTERVAL": "86400",
    }
    with ExitStack() as stack:

        def start(module: str, *fds: int, **variables: str) -> None:
            process = spawn(
                [sys.executable, "-m", module],
                log=tmp_path / f"{module}.log",
                environ={**environ, **variables},
                pass_fds=fds,
            )
            stack.callback(stop, process)

        def at_an_api() -> Rider:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            start("api", listener.fileno(), LISTEN_FD=str(listener.fileno()))
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            headers = {"X-API-Key": account.api_key}
            client = httpx2.Client(base_url=url, headers=headers, timeout=30)
            return Rider(account, stack.enter_context(client))

        riders = [at_an_api(), at_an_api()]
        start("worker")
        yield riders


def test_every_accepted_sample_is_in_the_result_whatever_the_race(riders: list[Rider]) -> None:
    chance, here = Random(7), riders[0]
    with ThreadPoolExecutor(4) as threads:
        rides = [_race(riders, chance, threads) for _ in range(100)]
    eventually(lambda: all(_count(here, ride) == 10 for ride in rides))
    assert {here.workout(ride)["status"] for ride in rides} == {"COMPLETED"}


def _race(riders: list[Rider], chance: Random, threads: ThreadPoolExecutor) -> str:
    """Upload four batches and complete, in any order and at once, by two API processes."""
    here, there = riders
    ride = here.start()
    _upload(there, ride, batch=4)  # from now on that process remembers the ride as active

    def complete() -> None:
        assert here.client.post(f"/api/workouts/{ride}/complete").status_code == 202

    actions: list[Callable[[], None]] = [
        complete,
        *(lambda batch=batch: _upload(riders[batch % 2], ride, batch) for batch in range(4)),
    ]
    chance.shuffle(actions)
    list(threads.map(lambda action: action(), actions))
    return ride


def _upload(rider: Rider, ride: str, batch: int) -> None:
    """Two samples, accepted."""
    samples = [{"timestamp": T0 + 1000 * (2 * batch + t), "power": 200} for t in range(2)]
    assert rider.upload(ride, samples).status_code == 202


def _count(rider: Rider, ride: str) -> int | None:
    """How many samples the stored figures are made of."""
    summary = rider.workout(ride)["summary"]
    return summary["sampleCount"] if summary else None
