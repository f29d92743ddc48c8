"""An upgrade under load: the version before goes on, on the new schema and beside new processes."""

import os
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from ops.admin import migrations
from ops.admin.accounts import create_account
from ops.admin.previous import read_previous
from ops.embedded.servers import embedded_servers
from ops.processes import Process, spawn, stop, wait_until
from tests.api.serving import lives
from tests.conftest import ROOT, reachable_folder
from tests.faults.former import check_out
from tests.faults.system import IMPATIENT
from tests.ops.admin.test_expand_only import require_history

T0 = 1_700_000_000_000
BATCH, BATCHES = 30, 8  # samples, and batches of a ride


class Version:
    """A checkout whose processes run on the servers of the test, its own modules and no others."""

    def __init__(self, checkout: Path, urls: Mapping[str, str], logs: Path) -> None:
        self._logs = logs
        self._environ = {**os.environ, **urls, **IMPATIENT, "PYTHONPATH": str(checkout)}

    def spawn(self, module: str, *arguments: str, **how: Any) -> Process:
        variables = how.pop("variables", {})
        command = [sys.executable, "-P", "-m", module, *arguments]
        log = self._logs / f"{module}.log"
        return spawn(command, log=log, environ={**self._environ, **variables}, **how)

    @contextmanager
    def serving(self, api_key: str) -> Iterator[httpx2.Client]:
        """An API process of this version; a client with the key."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            fd = listener.fileno()
            process = self.spawn("api", pass_fds=[fd], variables={"LISTEN_FD": str(fd)})
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            with httpx2.Client(base_url=url, headers={"X-API-Key": api_key}, timeout=30) as client:
                try:
                    wait_until(lambda: lives(client), process, self._logs / "api.log")
                    yield client
                finally:
                    stop(process)


@pytest.fixture
def old_checkout() -> Iterator[Path]:
    """The version before, as it was committed."""
    require_history()
    with reachable_folder() as folder:
        check_out(read_previous().commit, folder)
        yield folder


def start(client: httpx2.Client) -> str:
    answer = client.post("/api/workouts", json={})
    assert answer.status_code == 201, answer.text
    workout_id: str = answer.json()["workout"]["id"]
    return workout_id


def send(client: httpx2.Client, ride: str, number: int) -> None:
    """The batch of that number: 30 s at 100 W and 10 W more for each number."""
    first = T0 + 1000 * BATCH * number
    samples = [
        {"timestamp": first + 1000 * second, "power": 100 + 10 * number} for second in range(BATCH)
    ]
    answer = client.post(f"/api/workouts/{ride}/telemetry", json=samples)
    assert answer.status_code == 202, answer.text


def complete(client: httpx2.Client, ride: str) -> None:
    answer = client.post(f"/api/workouts/{ride}/complete")
    assert answer.status_code == 202, answer.text


def await_figures(client: httpx2.Client, ride: str) -> tuple[int, float]:
    """The count of samples and the mean power of a ride that was completed."""
    for _ in range(5):
        answer = client.post(f"/api/workouts/{ride}/complete", headers={"Prefer": "wait=20"})
        if answer.status_code == 200:
            break
    assert answer.status_code == 200, answer.text
    summary = answer.json()["workout"]["summary"]
    return summary["sampleCount"], summary["avgPower"]


def count_archived(client: httpx2.Client, ride: str) -> int:
    count: int = client.get(f"/api/workouts/{ride}/telemetry").json()["sampleCount"]
    return count


class Load(threading.Thread):
    """Rides by one API, each awaited before the next, until it is told to end."""

    def __init__(self, client: httpx2.Client) -> None:
        super().__init__()
        self.client, self.ended, self.rides = client, threading.Event(), list[tuple[int, float]]()
        self.under_way, self.failure = threading.Event(), ""

    def run(self) -> None:
        try:
            while not self.ended.is_set():
                ride = start(self.client)
                for number in range(BATCHES):
                    send(self.client, ride, number)
                self.rides.append(await_figures(self.client, ride))
                self.under_way.set()
        except (AssertionError, httpx2.TransportError) as error:
            self.failure = str(error)
            self.under_way.set()


def is_partitioned(database_url: str) -> bool:
    asked = "SELECT relkind FROM pg_class WHERE oid = 'workout_channels'::regclass"
    with psycopg.connect(database_url) as connection:
        return connection.execute(asked).fetchone() == ("p",)


def part_it(new: Version, logs: Path) -> None:
    """Run `make partition`, which is killed the first time."""
    log = logs / "ops.log"
    killed = new.spawn("ops", "partition")
    wait_until(lambda: "copied" in log.read_text(), killed, log)
    killed.kill()
    killed.wait()
    assert new.spawn("ops", "partition").wait() == 0, log.read_text()


def test_an_upgrade_under_load_loses_no_ride(old_checkout: Path, data_dir: Path) -> None:
    """The version before migrates and rides; then the schema is ours, and then so are processes.

    Meanwhile the samples, which stayed in one table, are put into partitions.

    Every ride's 240 samples average 135 W; without the last batch they would average 130.
    """
    with embedded_servers(data_dir) as urls:
        old = Version(old_checkout, urls, data_dir / "logs")
        new = Version(ROOT, urls, data_dir / "logs")
        assert old.spawn("ops", "migrate").wait() == 0
        account = create_account(urls["DATABASE_URL"], "rider@example.com", "test")
        with old.serving(account.api_key) as before:
            workers = [old.spawn("worker")]
            load = Load(before)
            load.start()
            try:
                assert load.under_way.wait(60)
                migrations.apply(urls["DATABASE_URL"])
                assert not is_partitioned(urls["DATABASE_URL"])
                rides = [start(before) for _ in range(4)]
                with new.serving(account.api_key) as after:
                    rides += [start(after) for _ in range(4)]
                    for number in range(BATCHES):
                        for turn, ride in enumerate(rides):
                            send((before, after)[(number + turn) % 2], ride, number)
                    complete(before, rides[0])  # for the old worker alone
                    assert await_figures(after, rides[0]) == (240, 135)
                    workers.append(new.spawn("worker"))
                    for turn, ride in enumerate(rides[1:6]):
                        complete((before, after)[turn % 2], ride)
                    part_it(new, data_dir / "logs")
                    assert is_partitioned(urls["DATABASE_URL"])
                    load.ended.set()
                    load.join()
                    workers[0].kill()  # in the middle of a fold, or not
                    for ride in rides[6:]:  # for the new one, and what the old one has left
                        complete(before, ride)
                    assert load.failure == ""
                    for turn, ride in enumerate(rides):
                        figures = await_figures((before, after)[turn % 2], ride)
                        assert figures == (240, 135)
                        assert count_archived(after, ride) == 240
                    assert set(load.rides) == {(240, 135)}
            finally:
                load.ended.set()
                for worker in workers:
                    stop(worker)
