"""Rides of a day, and rides with four readings a second: memory is bounded, leases are renewed."""

import pytest

from shared.redis_keys import GROUP, Queue
from tests.faults.invariants import assert_all_is_kept, is_idle
from tests.faults.recordings import batches_of, readings, record
from tests.faults.system import System, most_memory
from tests.worker.waiting import eventually
from tests.worker.workouts import pending, renewals

MOST_MEMORY = 600 * 1024  # KiB


@pytest.mark.parametrize(("hours", "hertz"), [(24, 1), (8, 4)])
def test_a_long_ride_is_folded_in_bounded_memory(system: System, hours: int, hertz: int) -> None:
    api = system.start_api()
    ride = readings(hours * 3600, hertz=hertz)
    recording = record(system.make_rider(), *batches_of(ride, 3600))
    worker = system.start_worker()
    recording.complete()
    assert_all_is_kept(system, recording)
    for process in (api, worker):
        assert most_memory(process) < MOST_MEMORY


def test_the_lease_of_a_long_fold_is_renewed(system: System) -> None:
    """The fold is held up by its row, as long as it takes to see renewals."""
    system.start_api()
    recording = record(system.make_rider(), readings(60))
    recording.complete()
    system.redis_client.xgroup_create(Queue.PROMPT, GROUP, id="0")
    renewed = renewals(system.redis_client)
    with system.holding(recording.workout_id):
        system.start_worker(LEASE="0.3")  # alone: nobody takes over what is renewed too late
        eventually(lambda: renewed() >= 8)
        [event] = pending(system.redis_client)
        assert event["times_delivered"] == 1
    assert_all_is_kept(system, recording)


def test_late_samples_of_a_day_s_ride_do_not_pile_up_memory(system: System) -> None:
    system.start_api()
    worker = system.start_worker()
    recording = record(system.make_rider(), *batches_of(readings(86_400), 21_600))
    for begin in range(0, 600, 60):
        recording.complete()
        recording.upload(readings(60, 90_000 + begin))
        eventually(lambda: is_idle(system), within=60)  # each is folded by itself
    assert_all_is_kept(system, recording)
    assert most_memory(worker) < MOST_MEMORY
