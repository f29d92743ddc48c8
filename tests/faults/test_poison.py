"""Rides that no worker can fold: given up after five deliveries, and nobody else waits for them."""

import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.processes import Process
from tests.faults.invariants import assert_all_is_kept, is_idle, status_of, waiting
from tests.faults.recordings import Recording, readings, record
from tests.faults.system import System
from tests.worker.waiting import eventually

LEASE = "0.3"
ENOUGH = 512 * 1024**2  # bytes more than at its start, for a worker that does not hoard


def poisonous_ride(system: System) -> Recording:
    recording = record(system.make_rider(), readings(60))
    assert recording.complete().status_code == 202
    return recording


def letters(system: System) -> list[dict[str, Any]]:
    return system.query("SELECT workout_id, reason, deliveries FROM dead_letters")


def assert_given_up(system: System, recording: Recording, reason: str, deliveries: int = 5) -> None:
    """A dead letter that says why; the ride is FAILED, and every sample is still there."""
    eventually(lambda: letters(system) != [], within=60)
    [letter] = letters(system)
    assert str(letter["workout_id"]) == recording.workout_id
    assert reason in letter["reason"]
    assert letter["deliveries"] == deliveries
    assert status_of(system, recording) == "FAILED"
    assert waiting(system, recording) == len(recording.accepted)
    eventually(lambda: system.redis_client.xlen("events") == 0)
    recording.upload(readings(60, 60))  # accepted, and kept
    eventually(lambda: waiting(system, recording) == len(recording.accepted))


@pytest.fixture
def poison(system: System) -> Iterator[Recording]:
    """A ride whose rows PostgreSQL refuses, for a reason that never passes."""
    system.start_api()
    recording = poisonous_ride(system)
    system.execute(f"""
        CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF new.id = '{recording.workout_id}' AND new.summary IS NOT NULL THEN
                RAISE EXCEPTION 'this ride is poison';
            END IF;
            RETURN new;
        END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON workouts
            FOR EACH ROW EXECUTE FUNCTION refuse()""")
    yield recording
    system.execute("DROP TRIGGER refuse ON workouts")


def test_a_ride_that_always_raises_is_given_up_while_others_are_folded(
    system: System, poison: Recording
) -> None:
    system.start_worker(LEASE=LEASE)  # one: another might begin the sixth try amid the fifth
    for _ in range(3):
        other = record(system.make_rider(), readings(60))
        other.rider.complete(other.workout_id)
    assert_given_up(system, poison, "this ride is poison")


def test_a_ride_that_takes_all_memory_is_given_up_and_its_worker_goes_on(system: System) -> None:
    system.start_api()
    worker = bounded_worker(system)
    poison = poisonous_ride(system)
    assert_given_up(system, poison, "memory")
    assert worker.poll() is None


def bounded_worker(system: System) -> Process:
    """A worker that hoards memory over every ride, and may not have much."""
    worker = system.start_worker(FAILPOINT="mid-fold=hoard", LEASE=LEASE)
    system.await_log("worker", "started worker")
    pages = int(Path(f"/proc/{worker.pid}/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ENOUGH
    resource.prlimit(worker.pid, resource.RLIMIT_AS, (limit, limit))
    return worker


def kill_a_worker(system: System) -> None:
    """It dies over the ride that it takes over from the one before."""
    worker = system.start_worker(FAILPOINT="mid-fold=kill", LEASE=LEASE)
    assert worker.wait(60) == -signal.SIGKILL


def test_a_ride_over_which_every_worker_dies_is_given_up(system: System) -> None:
    system.start_api()
    poison = poisonous_ride(system)
    for _ in range(5):
        kill_a_worker(system)
    system.start_worker(LEASE=LEASE)
    other = record(system.make_rider(), readings(60))
    other.rider.complete(other.workout_id)
    assert_given_up(system, poison, "never finished", deliveries=6)


def test_four_deaths_are_not_the_end_of_a_ride(system: System) -> None:
    system.start_api()
    unlucky = poisonous_ride(system)
    for _ in range(4):
        kill_a_worker(system)
    system.start_worker(LEASE=LEASE)
    assert_all_is_kept(system, unlucky)
    assert is_idle(system)
