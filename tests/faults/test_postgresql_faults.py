"""PostgreSQL that is away, restarted, frozen or full, or whose replies are lost."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from api.identity.auth import REVOCATION_BOUND
from ops.embedded.postgres import server_user
from tests.api.answers import problem_of
from tests.conftest import reachable_folder
from tests.faults.invariants import (
    assert_all_is_kept,
    make_overdue,
    status_of,
)
from tests.faults.proxy import Proxy
from tests.faults.recordings import Recording, batches_of, readings, record
from tests.faults.stalls import kept_awake, stalled_worker, wake
from tests.faults.sweeps import worker_that_never_sweeps
from tests.faults.system import Server, System
from tests.worker.waiting import eventually

OUTAGE = REVOCATION_BOUND + 1  # seconds: longer than keys are remembered without asking
DISK = 256  # MiB


def upload_for(recording: Recording, seconds: float) -> None:
    """Upload a minute every now and then, at last when the time is over; each must be accepted."""
    begin, end = 60, time.monotonic() + seconds
    is_over = False
    while not is_over:
        is_over = time.monotonic() > end
        recording.upload(readings(60, begin))
        begin += 60
        time.sleep(0.2)  # the pace of a device


@pytest.fixture
def under_way(system: System) -> Recording:
    """A ride that the API knows."""
    system.start_api()
    return record(system.make_rider(), readings(60))


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
    system.await_log("worker", "waiting for the servers")
    system.postgres.start()
    eventually(lambda: under_way.complete().status_code == 202)
    assert_all_is_kept(system, over, under_way)


@pytest.mark.parametrize("end", [Server.kill, Server.stop])
def test_no_request_fails_once_postgresql_has_been_restarted(
    system: System, end: Callable[[Server], None]
) -> None:
    system.start_api(SERVICE_TIMEOUT="30")  # for a new connection, on a busy machine
    system.start_worker()
    first, under_way = (record(system.make_rider(), readings(60)) for _ in range(2))
    first.rider.complete(first.workout_id)
    busy_pool(under_way)
    end(system.postgres)
    system.postgres.start()
    # Alone, it would find all that broke one after the other, and wait ever longer in between.
    assert under_way.rider.client.get("/api/workouts").status_code == 200
    with ThreadPoolExecutor(8) as threads:
        answers = threads.map(lambda _: under_way.rider.client.get("/api/workouts"), range(16))
        assert {answer.status_code for answer in answers} == {200}
    under_way.complete()
    assert_all_is_kept(system, first, under_way)


def busy_pool(recording: Recording) -> None:
    """At least one connection in the API's pool, which the restart will break; mostly several."""
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: recording.rider.client.get("/api/workouts"), range(40)))


@pytest.mark.parametrize("step", ["after-read", "mid-fold"])
def test_a_frozen_postgresql_stops_no_upload_and_costs_no_event(
    system: System, under_way: Recording, step: str
) -> None:
    over = record(under_way.rider, readings(600, 600))
    over.complete()
    worker = stalled_worker(system, step)
    system.postgres.pause()
    wake(worker)
    upload_for(under_way, 3)
    problem_of(under_way.complete(), 503)
    system.postgres.resume()
    eventually(lambda: under_way.complete().status_code == 202)
    with kept_awake(worker):
        assert_all_is_kept(system, over, under_way)


@pytest.mark.parametrize("harm", [Proxy.cut, Proxy.refuse])
def test_a_network_that_breaks_amid_a_fold_costs_no_event(
    system: System, under_way: Recording, harm: Callable[[Proxy], None]
) -> None:
    under_way.complete()
    worker = stalled_worker(system, "mid-fold")
    harm(system.postgres_proxy)
    under_way.upload(readings(60, 60))
    wake(worker)
    system.await_log("worker", "waiting for the servers")
    system.postgres_proxy.restore()
    with kept_awake(worker):
        assert_all_is_kept(system, under_way)


def test_a_fold_whose_commit_was_answered_by_nobody_is_repeated(
    system: System, under_way: Recording
) -> None:
    worker_that_never_sweeps(system, under_way.rider)
    lost = system.postgres_proxy.lost
    system.postgres_proxy.lose_reply_to(b"COMMIT")
    under_way.complete()
    eventually(lambda: system.postgres_proxy.lost == lost + 1)
    assert_all_is_kept(system, under_way)
    assert "waiting for the servers" in system.log_of("worker")


def test_a_completion_whose_answer_was_lost_may_be_asked_for_again(
    system: System, under_way: Recording
) -> None:
    system.postgres_proxy.lose_reply_to(b"fold_asked_at = now()")
    problem_of(under_way.complete(), 503)
    assert status_of(system, under_way) == "PROCESSING"
    assert under_way.complete().status_code == 202
    system.start_worker()  # only now: a sweep says the same to PostgreSQL
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
    system.postgres_proxy.lose_reply_to(b"COMMIT")
    problem_of(under_way.rider.client.post("/api/workouts", json={}), 503)
    system.start_worker()
    again = record(under_way.rider, readings(60, 60))
    again.complete()
    under_way.complete()
    assert_all_is_kept(system, again, under_way)


@dataclass(frozen=True)
class Disk:
    """What PostgreSQL has its data on: takes all that is left of it, and gives it back."""

    system: System
    fill: Callable[[], None]
    clear: Callable[[], None]


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A file system of its own for PostgreSQL's data; False where none may be mounted."""
    home, user = folder / "data" / "postgres", server_user()
    home.mkdir(parents=True)
    owner = f",uid={user.pw_uid},gid={user.pw_gid}" if user else ""
    options = f"size={DISK}m,mode=0700{owner}"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(home)]
    is_mounted = not os.geteuid() and subprocess.run(mount, capture_output=True).returncode == 0
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", str(home)], check=True)


def real_disk(system: System, folder: Path) -> Disk:
    """Filled by a file."""
    ballast = folder / "data" / "postgres" / "ballast"

    def fill() -> None:
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(bytes(65536)):
                pass

    return Disk(system, fill, ballast.unlink)


def pretended_disk(system: System) -> Disk:
    """PostgreSQL refuses an archive as it does on a full disk."""
    fill = """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full';
        END $$;
        CREATE TRIGGER full_disk BEFORE INSERT ON workout_channels EXECUTE FUNCTION refuse()"""
    clear = "DROP TRIGGER full_disk ON workout_channels"
    return Disk(system, partial(system.execute, fill), partial(system.execute, clear))


@pytest.fixture
def disk() -> Iterator[Disk]:
    with reachable_folder() as folder, small_disk(folder) as is_mounted:
        system = System(folder)
        try:
            yield real_disk(system, folder) if is_mounted else pretended_disk(system)
        finally:
            system.close()


def test_a_full_disk_stops_no_upload_and_costs_no_event(disk: Disk) -> None:
    system = disk.system
    system.start_api()
    over = record(system.make_rider(), *batches_of(readings(43_200, hertz=2), 20_000))
    over.complete()
    disk.fill()
    system.start_worker()
    system.await_log("worker", "waiting for the servers")
    over.upload(readings(60, 50_000))
    disk.clear()
    if not system.postgres.is_running:  # where it had no room for its log, it has stopped
        system.postgres.restart()
    assert_all_is_kept(system, over)
