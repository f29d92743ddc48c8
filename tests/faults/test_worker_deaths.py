"""Workers that are killed or stall in the middle of a fold: another one finishes it."""

import signal

import pytest

from ops.processes import Process
from tests.faults.invariants import (
    are_completed,
    assert_all_is_kept,
    channels_of,
    is_idle,
    row_of,
    status_of,
    waiting,
)
from tests.faults.recordings import Recording, batches_of, readings, record
from tests.faults.system import System
from tests.worker.waiting import eventually
from tests.worker.workouts import pending

LEASE = "0.5"
STEPS = ("after-read", "mid-fold", "before-commit", "after-commit", "before-acknowledge")


def completed_ride(system: System) -> Recording:
    recording = record(system.make_rider(), *batches_of(readings(1800), 600))
    assert recording.complete().status_code == 202
    return recording


def rows_of(system: System, recording: Recording) -> object:
    """Everything of a ride that does not name the ride or the moment."""
    row = row_of(system, recording.workout_id)
    bests = system.query(
        "SELECT metric, duration, value, started_at FROM workout_bests WHERE workout_id = %s"
        " ORDER BY metric, duration",
        [recording.workout_id],
    )
    return row["summary"], row["start_time"], channels_of(system, recording.workout_id), bests


def await_end_of_lease(system: System) -> None:
    eventually(lambda: pending(system.redis_client)[0]["time_since_delivered"] > 500)


def is_stopped(process: Process) -> bool:
    with open(f"/proc/{process.pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "T"


def keep_awake(process: Process, system: System) -> None:
    """Wake a process whenever it stalls again, until all is done."""

    def is_idle_while_awake() -> bool:
        process.send_signal(signal.SIGCONT)
        return is_idle(system)

    eventually(is_idle_while_awake)


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_worker_s_fold_is_finished_by_another(system: System, step: str) -> None:
    system.start_api()
    disturbed = completed_ride(system)
    victim = system.start_worker(FAILPOINT=f"{step}=kill", LEASE=LEASE)
    assert victim.wait(30) == -signal.SIGKILL
    await_end_of_lease(system)
    system.start_worker(LEASE=LEASE)
    undisturbed = completed_ride(system)
    assert_all_is_kept(system, disturbed, undisturbed)
    assert rows_of(system, disturbed) == rows_of(system, undisturbed)


@pytest.mark.parametrize("step", ["before-commit", "after-commit"])
def test_a_worker_killed_over_late_samples_leaves_true_records(system: System, step: str) -> None:
    system.start_api()
    worker = system.start_worker(LEASE=LEASE)
    recording = completed_ride(system)
    assert_all_is_kept(system, recording)
    worker.kill()
    recording.upload(readings(600, 1200, effort=2))
    assert system.start_worker(FAILPOINT=f"{step}=kill", LEASE=LEASE).wait(30) == -signal.SIGKILL
    await_end_of_lease(system)
    system.start_worker(LEASE=LEASE)
    assert_all_is_kept(system, recording)


@pytest.mark.parametrize("step", ["after-read", "after-commit", "before-acknowledge"])
def test_a_worker_that_stalls_past_its_lease_adds_nothing_when_it_wakes(
    system: System, step: str
) -> None:
    system.start_api()
    recording = completed_ride(system)
    sleeper = system.start_worker(FAILPOINT=f"{step}=stop", LEASE=LEASE)
    eventually(lambda: is_stopped(sleeper))
    await_end_of_lease(system)
    system.start_worker(LEASE=LEASE)
    eventually(lambda: are_completed(system, [recording]) and is_idle(system))
    before = rows_of(system, recording)
    sleeper.send_signal(signal.SIGCONT)
    recording.upload(readings(60, 1800))  # folded by either of them
    assert_all_is_kept(system, recording)
    assert rows_of(system, recording) != before
    assert sleeper.poll() is None


@pytest.mark.parametrize("step", ["mid-fold", "before-commit"])
def test_while_a_worker_stalls_in_its_transaction_another_waits_for_the_row(
    system: System, step: str
) -> None:
    system.start_api()
    recording = completed_ride(system)
    sleeper = system.start_worker(FAILPOINT=f"{step}=stop", LEASE=LEASE)
    eventually(lambda: is_stopped(sleeper))
    await_end_of_lease(system)
    system.start_worker(LEASE=LEASE)
    eventually(system.has_waiting_transaction)
    assert status_of(system, recording) == "PROCESSING"
    sleeper.send_signal(signal.SIGCONT)
    assert_all_is_kept(system, recording)


def test_a_stronger_ride_whose_worker_stalls_keeps_its_records(system: System) -> None:
    """The weaker ride's records wait for the rider's row, and then see the stronger ones."""
    system.start_api()
    rider = system.make_rider()
    stronger, weaker = (record(rider, readings(600, effort=effort)) for effort in (2, 1))
    stronger.complete()
    sleeper = system.start_worker(FAILPOINT="before-commit=stop", LEASE="60")
    eventually(lambda: is_stopped(sleeper))
    weaker.complete()
    system.start_worker(LEASE="60")
    eventually(system.has_waiting_transaction)
    keep_awake(sleeper, system)
    assert_all_is_kept(system, stronger, weaker)


@pytest.mark.parametrize("step", ["mid-fold", "before-commit"])
def test_a_worker_whose_transaction_was_ended_while_it_stalled_starts_over(
    system: System, step: str
) -> None:
    """PostgreSQL ends it after idle_in_transaction_session_timeout; here, at once."""
    system.start_api()
    recording = completed_ride(system)
    sleeper = system.start_worker(FAILPOINT=f"{step}=stop", LEASE=LEASE)
    eventually(lambda: is_stopped(sleeper))
    system.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'"
    )
    await_end_of_lease(system)
    system.start_worker(LEASE=LEASE)
    eventually(lambda: are_completed(system, [recording]))
    keep_awake(sleeper, system)
    assert_all_is_kept(system, recording)
    assert sleeper.poll() is None


def test_samples_that_arrive_while_a_worker_stalls_before_the_trim_stay(system: System) -> None:
    system.start_api()
    recording = completed_ride(system)
    sleeper = system.start_worker(FAILPOINT="after-commit=stop", LEASE="60")
    eventually(lambda: is_stopped(sleeper))
    recording.upload(readings(60, 1800))
    assert waiting(system, recording) == 4
    sleeper.send_signal(signal.SIGCONT)
    eventually(lambda: is_stopped(sleeper) and waiting(system, recording) == 1)
    keep_awake(sleeper, system)
    assert_all_is_kept(system, recording)
