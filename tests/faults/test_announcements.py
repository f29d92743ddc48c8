"""Announcements: heard again once Redis is back; and nothing depends on hearing them."""

from shared.redis_keys import ANNOUNCEMENTS
from tests.faults.invariants import assert_all_is_kept
from tests.faults.recordings import readings, record
from tests.faults.system import System
from tests.worker.waiting import eventually


def listeners(system: System) -> int:
    """How many processes listen."""
    [(_, count)] = system.redis_client.pubsub_numsub(ANNOUNCEMENTS)
    return int(count)


def test_an_api_listens_again_after_redis_was_killed(system: System) -> None:
    system.redis_client.config_set("appendfsync", "always")
    system.start_api()
    system.start_worker()
    eventually(lambda: listeners(system) == 1)
    system.redis.kill()
    system.redis.start()
    eventually(lambda: listeners(system) == 1)
    recording = record(system.make_rider(), readings(60))
    assert recording.rider.complete(recording.workout_id)["status"] == "COMPLETED"
    assert_all_is_kept(system, recording)


def test_a_worker_killed_before_it_announces_costs_whoever_waits_a_while(system: System) -> None:
    """As would an older worker that announces nothing: the row is looked at all the same."""
    system.start_api()
    system.start_worker(FAILPOINT="after-commit=kill")
    recording = record(system.make_rider(), readings(60))
    assert recording.rider.complete(recording.workout_id)["status"] == "COMPLETED"
    system.start_worker(LEASE="0.5")
    assert_all_is_kept(system, recording)
