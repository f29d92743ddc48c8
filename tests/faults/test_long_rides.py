"""Rides of a day, and rides with four readings a second: in bounded memory, under a short lease."""

from pathlib import Path

import pytest

from ops.processes import Process
from shared.redis_keys import EVENTS, GROUP
from tests.faults.invariants import assert_all_is_kept
from tests.faults.recordings import batches_of, readings, record
from tests.faults.system import System
from tests.worker.waiting import eventually
from tests.worker.workouts import renewals

MOST_MEMORY = 600 * 1024  # KiB
LEASE = "0.3"  # much shorter than the folds


@pytest.mark.parametrize(("hours", "hertz"), [(24, 1), (8, 4)])
def test_a_long_ride_is_folded_by_one_worker_in_bounded_memory(
    system: System, hours: int, hertz: int
) -> None:
    api = system.start_api()
    ride = readings(hours * 3600, hertz=hertz)
    recording = record(system.make_rider(), *batches_of(ride, 3600))
    workers = [system.start_worker(LEASE=LEASE) for _ in range(2)]
    recording.complete()
    assert_all_is_kept(system, recording)
    assert "took over" not in system.log_of("worker")
    for process in (api, *workers):
        assert most_memory(process) < MOST_MEMORY


def test_the_lease_of_a_long_fold_is_renewed(system: System) -> None:
    """The fold is held up by its row, as long as it takes to see renewals."""
    system.start_api()
    recording = record(system.make_rider(), readings(60))
    recording.complete()
    system.redis_client.xgroup_create(EVENTS, GROUP, id="0")
    renewed = renewals(system.redis_client)
    with system.holding(recording.workout_id):
        for _ in range(2):
            system.start_worker(LEASE=LEASE)
        eventually(lambda: renewed() >= 8)
        assert "took over" not in system.log_of("worker")
    assert_all_is_kept(system, recording)


def test_late_samples_of_a_day_s_ride_do_not_pile_up_memory(system: System) -> None:
    system.start_api()
    worker = system.start_worker()
    recording = record(system.make_rider(), *batches_of(readings(86_400), 21_600))
    for begin in range(0, 600, 60):
        recording.complete()
        recording.upload(readings(60, 90_000 + begin))
        assert_all_is_kept(system, recording)
    assert most_memory(worker) < MOST_MEMORY


def most_memory(process: Process) -> int:
    """The most that a process has had in memory, in KiB."""
    status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    [line] = [line for line in status if line.startswith("VmHWM")]
    return int(line.split()[1])
