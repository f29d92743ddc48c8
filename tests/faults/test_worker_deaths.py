"""Workers that are killed or stall in the middle of a fold: another one finishes it."""

import signal

import pytest

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
from tests.faults.stalls import is_stopped, kept_awake, stalled_worker, wake
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
    """By then another one has done its work; it alone is left to fold what comes later."""
    system.start_api()
    recording = completed_ride(system)
    sleeper = stalled_worker(system, step, LEASE=LEASE)
    await_end_of_lease(system)
    other = system.start_worker(LEASE=LEASE)
    eventually(lambda: are_completed(system, [recording]) and is_idle(system))
    before = rows_of(system, recording)
    other.kill()
    recording.upload(readings(60, 1800))
    with kept_awake(sleeper):
        assert_all_is_kept(system, recording)
        assert rows_of(system, recording) != before


@pytest.mark.parametrize("step", ["mid-fold", "before-commit"])
def test_while_a_worker_stalls_in_its_transaction_another_waits_for_the_row(
    system: System, step: str
) -> None:
    system.start_api()
    recording = completed_ride(system)
    sleeper = stalled_worker(system, step, LEASE=LEASE)
    await_end_of_lease(system)
    system.start_worker(LEASE=LEASE)
    eventually(system.has_waiting_transaction)
    assert status_of(system, recording) == "PROCESSING"
    wake(sleeper)
    assert_all_is_kept(system, recording)


def test_a_stronger_ride_whose_worker_stalls_keeps_its_records(system: System) -> None:
    """The weaker ride's records wait for the rider's row, and then see the stronger ones."""
    system.start_api()
    rider = system.make_rider()
    stronger, weaker = (record(rider, readings(600, effort=effort)) for effort in (2, 1))
    stronger.complete()
    sleeper = stalled_worker(system, "before-commit", LEASE="60")
    weaker.complete()
    system.start_worker(LEASE="60")
    eventually(system.has_waiting_transaction)
    with kept_awake(sleeper):
        assert_all_is_kept(system, stronger, weaker)


@pytest.mark.parametrize("step", ["mid-fold", "before-commit"])
def test_a_worker_whose_transaction_was_ended_while_it_stalled_starts_over(
    system: System, step: str
) -> None:
    """PostgreSQL ends it after idle_in_transaction_session_timeout; here, at once."""
    system.start_api()
    recording = completed_ride(system)
    sleeper = stalled_worker(system, step, LEASE=LEASE)
    system.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'"
    )
    await_end_of_lease(system)
    system.start_worker(LEASE=LEASE)
    eventually(lambda: are_completed(system, [recording]))
    with kept_awake(sleeper):
        system.await_log("worker", "waiting for the servers")
        assert_all_is_kept(system, recording)
        assert sleeper.poll() is None


def test_samples_that_arrive_while_a_worker_stalls_before_the_trim_stay(system: System) -> None:
    system.start_api()
    recording = completed_ride(system)
    sleeper = stalled_worker(system, "after-commit", LEASE="60")
    recording.upload(readings(60, 1800))
    assert waiting(system, recording) == 4
    wake(sleeper)
    eventually(lambda: is_stopped(sleeper.pid) and waiting(system, recording) == 1)
    with kept_awake(sleeper):
        assert_all_is_kept(system, recording)
