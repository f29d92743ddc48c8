"""`make simulate` on real servers: every sample arrives, whenever it is told to end."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.api.answers import eventually
from tests.conftest import ROOT, Rider, run_ops, serving

QUICK = {"RIDERS": "3", "MINUTES": "0.5", "SPEED": "30"}  # a second
LONG = {"RIDERS": "2", "MINUTES": "60", "SPEED": "10"}
Simulation = subprocess.Popen[str]


def rides_of(rider: Rider) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = rider.client.get("/api/workouts").json()["workouts"]
    return listed


def held(rider: Rider) -> list[int]:
    """The samples that the service has of each ride."""
    paths = [f"/api/workouts/{each['id']}/receipt" for each in rides_of(rider)]
    return [rider.client.get(path).json()["sampleCount"] for path in paths]


@contextmanager
def simulating(url: str, **variables: str) -> Iterator[Simulation]:
    with subprocess.Popen(
        [sys.executable, "-m", "ops", "simulate"],
        cwd=ROOT,
        env={**os.environ, "URL": url, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_every_sample_of_every_ride_is_stored(service: str, rider: Rider, data_dir: Path) -> None:
    key = rider.account.api_key
    done = run_ops("simulate", data_dir=data_dir, URL=service, KEY=key, **QUICK)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "3 of 3 rides complete: 90 samples sent, 90 stored: every sample is stored" in done.stdout
    )
    rides = rides_of(rider)
    assert [each["summary"]["sampleCount"] for each in rides] == [30, 30, 30]
    assert {each["status"] for each in rides} == {"COMPLETED"}
    names = {each["title"].split()[1].rsplit("-", 1)[0] for each in rides}
    assert names == {"endurance-001", "intervals-002", "sprinter-003"}


def test_every_sample_of_rides_sent_by_streams_is_stored(
    service: str, rider: Rider, data_dir: Path
) -> None:
    variables = {"URL": service, "KEY": rider.account.api_key, "BY": "streams", **QUICK}
    done = run_ops("simulate", data_dir=data_dir, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 rides complete: 90 samples sent, 90 stored" in done.stdout
    assert [each["summary"]["sampleCount"] for each in rides_of(rider)] == [30, 30, 30]


def test_riders_register_where_they_may(service: str, unthrottled: None, data_dir: Path) -> None:
    done = run_ops("simulate", data_dir=data_dir, URL=service, **QUICK)
    assert "3 of 3 rides complete" in done.stdout, done.stdout + done.stderr


def test_riders_who_may_not_register_say_what_to_do(
    urls: dict[str, str], data_dir: Path, tmp_path: Path
) -> None:
    with serving(tmp_path / "api.log", **urls, REGISTRATION="closed") as url:
        done = run_ops("simulate", data_dir=data_dir, URL=url, **QUICK)
    assert done.returncode == 1
    assert "say KEY=…: no account for a rider: this service takes no new accounts" in done.stderr


def test_ctrl_c_completes_the_rides_with_what_was_ridden(service: str, rider: Rider) -> None:
    with simulating(service, KEY=rider.account.api_key, **LONG) as simulation:
        eventually(lambda: len(held(rider)) == 2 and min(held(rider)) > 0)
        simulation.send_signal(signal.SIGINT)
        said, _ = simulation.communicate(timeout=60)
    assert simulation.returncode == 0, said
    stored = sum(each["summary"]["sampleCount"] for each in rides_of(rider))
    assert f"2 of 2 rides complete: {stored:,} samples sent, {stored:,} stored" in said
    assert {each["status"] for each in rides_of(rider)} == {"COMPLETED"}


@pytest.fixture
def without_workers(urls: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """An API on a Redis database where nobody folds."""
    redis_url = f"{urls['REDIS_URL']}?db=2"
    with serving(tmp_path / "api.log", **{**urls, "REDIS_URL": redis_url}) as url:
        yield url


def test_a_second_ctrl_c_leaves_the_rides_and_says_which(
    without_workers: str, rider: Rider
) -> None:
    rider.client.base_url = without_workers
    with simulating(without_workers, KEY=rider.account.api_key, **LONG) as simulation:
        eventually(lambda: len(held(rider)) == 2 and min(held(rider)) > 0)
        simulation.send_signal(signal.SIGINT)
        eventually(lambda: {each["status"] for each in rides_of(rider)} == {"PROCESSING"})
        simulation.send_signal(signal.SIGINT)
        said, _ = simulation.communicate(timeout=60)
    assert simulation.returncode == 130, said
    left = re.findall(r"^left: \S+ (\S+):", said, re.MULTILINE)
    assert sorted(left) == sorted(each["id"] for each in rides_of(rider))


def test_without_a_url_it_needs_nothing_but_itself(data_dir: Path) -> None:
    done = run_ops("simulate", data_dir=data_dir, **QUICK)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 rides complete: 90 samples sent, 90 stored" in done.stdout
    users = run_ops("users", data_dir=data_dir).stdout
    assert users.count("@riders.example") == 3
