"""PostgreSQL that is away, restarted, frozen or full, or whose replies are lost."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from ops.embedded.postgres import server_user
from tests.api.answers import problem_of
from tests.conftest import reachable_folder
from tests.faults.invariants import (
    assert_all_is_kept,
    make_overdue,
    status_of,
)
from tests.faults.recordings import Recording, batches_of, readings, record
from tests.faults.system import System
from tests.worker.waiting import eventually

BUDGET = 6.0  # seconds for an answer: twice SERVICE_TIMEOUT, and some for a busy machine
OUTAGE = 7.0  # seconds: longer than keys are remembered without asking
DISK = 256  # MiB


def upload_for(recording: Recording, seconds: float) -> None:
    """Upload a minute every now and then; each must be accepted."""
    end, begin = time.monotonic() + seconds, 60
    while time.monotonic() < end:
        recording.upload(readings(60, begin))
        begin += 60
        time.sleep(0.2)


@pytest.fixture
def under_way(system: System) -> Recording:
    """A ride that the API knows, with workers about."""
    system.start_api()
    return record(system.make_rider(timeout=BUDGET), readings(60))


def test_uploads_go_on_while_postgresql_is_away_and_folds_afterwards(
    system: System, under_way: Recording
) -> None:
    over = record(under_way.rider, readings(600, 600))
    over.complete()
    system.postgres.kill()
    system.start_worker()
    system.start_worker()
    upload_for(under_way, OUTAGE)
    refused = under_way.complete()
    problem_of(refused, 503)
    assert int(refused.headers["retry-after"]) >= 1
    assert "waiting for the servers" in system.log_of("worker")
    system.postgres.start()
    assert under_way.complete().status_code == 202  # at once: the pool has healed
    assert_all_is_kept(system, over, under_way)


@pytest.mark.parametrize("way", ["kill", "stop"])
def test_no_request_fails_once_postgresql_has_been_restarted(
    system: System, under_way: Recording, way: str
) -> None:
    system.start_worker()
    first = record(under_way.rider, readings(60))
    first.rider.complete(first.workout_id)
    busy_pool(under_way)
    {"kill": system.postgres.kill, "stop": system.postgres.stop}[way]()
    system.postgres.start()
    with ThreadPoolExecutor(8) as threads:
        answers = threads.map(lambda _: under_way.rider.client.get("/api/workouts"), range(16))
        assert {answer.status_code for answer in answers} == {200}
    under_way.complete()
    assert_all_is_kept(system, first, under_way)


def busy_pool(recording: Recording) -> None:
    """Many connections in the API's pool, each of which the restart will break."""
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: recording.rider.client.get("/api/workouts"), range(40)))


@pytest.mark.parametrize("step", ["before", "mid-fold"])
def test_a_frozen_postgresql_stops_no_upload_and_costs_no_event(
    system: System, under_way: Recording, step: str
) -> None:
    over = record(under_way.rider, *batches_of(readings(7200, 600), 600))
    if step == "mid-fold":
        system.start_worker()
    over.complete()
    system.postgres.pause()
    system.start_worker()
    upload_for(under_way, 3)
    problem_of(under_way.rider.client.get("/api/workouts"), 503)
    assert httpx.get(f"{system.url}/health/live", timeout=1).status_code == 200
    health = httpx.get(f"{system.url}/health", timeout=BUDGET).json()
    assert (health["status"], health["database"]) == ("degraded", "disconnected")
    system.postgres.resume()
    eventually(lambda: under_way.complete().status_code == 202)
    assert_all_is_kept(system, over, under_way)


@pytest.mark.parametrize("cut", ["cut", "refuse"])
def test_a_broken_network_to_postgresql_costs_no_event(
    system: System, under_way: Recording, cut: str
) -> None:
    system.start_worker(CHECKPOINT_INTERVAL="1")
    for begin in range(60, 660, 60):
        under_way.upload(readings(60, begin))
        getattr(system.postgres_proxy, cut)()
        time.sleep(0.1)
    system.postgres_proxy.restore()
    eventually(lambda: under_way.complete().status_code == 202)
    assert_all_is_kept(system, under_way)


def test_a_fold_whose_commit_was_answered_by_nobody_is_repeated(
    system: System, under_way: Recording
) -> None:
    worker_that_never_sweeps(system, under_way)
    lost = system.postgres_proxy.lost
    system.postgres_proxy.lose_reply_to(b"COMMIT")
    under_way.complete()
    eventually(lambda: system.postgres_proxy.lost == lost + 1)
    assert_all_is_kept(system, under_way)
    assert "waiting for the servers" in system.log_of("worker")


def worker_that_never_sweeps(system: System, recording: Recording) -> None:
    """It commits nothing but folds, once its first sweep is over; that follows its first event."""
    system.start_worker(SWEEP_INTERVAL="86400")
    for _ in range(2):
        earlier = record(recording.rider, readings(1))
        earlier.rider.complete(earlier.workout_id)


def test_a_completion_whose_answer_was_lost_may_be_asked_for_again(
    system: System, under_way: Recording
) -> None:
    system.start_worker()
    system.postgres_proxy.lose_reply_to(b"fold_asked_at = now()")
    problem_of(under_way.complete(), 503)
    assert status_of(system, under_way) == "PROCESSING"
    assert under_way.complete().status_code == 202
    make_overdue(system)
    assert_all_is_kept(system, under_way)
    assert under_way.complete().status_code == 202


def test_a_deletion_whose_commit_was_answered_by_nobody_may_be_repeated(
    system: System, under_way: Recording
) -> None:
    path = f"/api/workouts/{under_way.workout_id}"
    system.postgres_proxy.lose_reply_to(b"COMMIT")
    problem_of(under_way.rider.client.delete(path), 503)
    assert under_way.rider.client.delete(path).status_code == 404  # it is gone already
    assert status_of(system, under_way) == "DELETED"


def test_a_start_whose_answer_was_lost_leaves_at_most_an_empty_ride(
    system: System, under_way: Recording
) -> None:
    system.start_worker()
    system.postgres_proxy.lose_reply_to(b"INSERT INTO workouts")
    problem_of(under_way.rider.client.post("/api/workouts", json={}), 503)
    again = record(under_way.rider, readings(60, 60))
    again.complete()
    under_way.complete()
    assert_all_is_kept(system, again, under_way)


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of its own for PostgreSQL's data, or skip the test."""
    home, user = folder / "data" / "postgres", server_user()
    home.mkdir(parents=True)
    owner = f",uid={user.pw_uid},gid={user.pw_gid}" if user else ""
    options = f"size={DISK}m,mode=0700{owner}"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(home)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system is not permitted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(home)], check=True)


@pytest.fixture
def on_a_small_disk() -> Iterator[tuple[System, Callable[[], Path]]]:
    """A system whose PostgreSQL has little room, and what takes all that is left of it."""
    with reachable_folder() as folder, small_disk(folder):
        system = System(folder)

        def fill() -> Path:
            ballast = folder / "data" / "postgres" / "ballast"
            with ballast.open("wb", buffering=0) as file:
                try:
                    while file.write(bytes(65536)):
                        pass
                except OSError:
                    return ballast
            return ballast

        try:
            yield system, fill
        finally:
            system.close()


def test_a_full_disk_stops_no_upload_and_costs_no_event(
    on_a_small_disk: tuple[System, Callable[[], Path]],
) -> None:
    system, fill = on_a_small_disk
    system.start_api()
    over = record(system.make_rider(), *batches_of(readings(43_200, hertz=2), 20_000))
    over.complete()
    ballast = fill()
    system.start_worker()
    eventually(lambda: "waiting for the servers: DiskFull" in system.log_of("worker"))
    over.upload(readings(60, 50_000))
    ballast.unlink()
    if not system.postgres.is_running:
        system.postgres.restart()
    assert_all_is_kept(system, over)
