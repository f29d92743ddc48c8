"""What is published about durability, where no other test of faults shows it."""

import signal
import time

from ops.admin.dead_letters import replay
from shared.breaker import FEWEST, Breaker
from shared.redis_keys import GROUP, Queue
from shared.settings import read_settings
from tests.faults.invariants import archived, are_completed, assert_all_is_kept, row_of, status_of
from tests.faults.recordings import Recording, readings, record
from tests.faults.system import System
from tests.faults.test_redis_faults import durable
from tests.worker.waiting import eventually
from tests.worker.workouts import pending
from worker.queue.loop import MOST_DELIVERIES

PATIENCE = 60  # seconds, for what must come

# Valkey syncs once a second, and lets writes wait for a sync under way for two at most.
EVERYSEC_LOSES = 3.0  # seconds


def receipt_of(recording: Recording) -> dict[str, int]:
    answer = recording.rider.client.get(f"/api/workouts/{recording.workout_id}/receipt")
    receipt: dict[str, int] = answer.json()
    return receipt


def test_a_redis_that_syncs_every_second_loses_the_last_seconds_at_most(system: System) -> None:
    assert system.redis_client.config_get("appendfsync") == {"appendfsync": "everysec"}
    system.start_api()
    recording = record(system.make_rider())
    promised_at: list[float] = []

    def promised_long_ago() -> int:
        return sum(at < time.monotonic() - EVERYSEC_LOSES for at in promised_at)

    while promised_long_ago() < 10:
        recording.upload(readings(10, begin=10 * len(promised_at)))
        promised_at.append(time.monotonic())
    old = promised_long_ago()
    system.redis.kill()
    system.redis.start()
    system.start_worker()
    recording.insist(readings(10, begin=300_000))
    eventually(lambda: recording.complete().status_code == 202)
    eventually(lambda: status_of(system, recording) == "COMPLETED")
    held = set(archived(system, recording.workout_id).timestamps.tolist())
    assert all(held.issuperset(batch.timestamps.tolist()) for batch in recording.accepted[:old])


def test_a_device_that_forgets_only_what_is_durable_makes_any_loss_good(system: System) -> None:
    system.start_api()
    system.start_worker(CHECKPOINT_INTERVAL="1")
    recording = record(system.make_rider(), readings(600))
    eventually(lambda: durable(system, recording))
    system.kill_workers()
    recording.upload(readings(60, begin=600))
    through = receipt_of(recording)["durableThrough"]
    system.redis_client.flushall()  # worse than any setting of Redis allows
    again = readings(60, begin=600)
    assert again.timestamps[0] > through  # so the device still has it
    recording.upload(again)
    system.start_worker()
    recording.complete()
    assert_all_is_kept(system, recording)


def test_what_is_durable_or_completed_survives_a_killed_postgresql(system: System) -> None:
    system.start_api()
    system.start_worker(CHECKPOINT_INTERVAL="1")
    done, under_way = (record(system.make_rider(), readings(600)) for _ in range(2))
    done.complete()
    eventually(lambda: status_of(system, done) == "COMPLETED")
    eventually(lambda: durable(system, under_way))
    system.postgres.kill()
    system.redis_client.flushall()
    system.postgres.start()
    assert status_of(system, done) == "COMPLETED"
    assert row_of(system, done.workout_id)["summary"]["sampleCount"] == 600
    assert len(archived(system, under_way.workout_id)) == 600


def test_a_deploy_on_which_every_fold_fails_pauses_and_gives_nothing_up(system: System) -> None:
    system.start_api()
    recordings = completed_rides(system, FEWEST + 3)
    bad = [system.start_worker(FAILPOINT="mid-fold=raise", BREAKER_PAUSE="0.1") for _ in range(2)]
    eventually(lambda: Breaker(system.redis_client).is_open())
    system.await_log("worker", "most jobs fail", times=6)  # tries, in vain
    assert {status_of(system, each) for each in recordings} == {"PROCESSING"}
    for worker in bad:
        worker.kill()
        worker.wait()
    system.start_worker(BREAKER_PAUSE="0.1")
    assert_all_is_kept(system, *recordings)


def test_a_deploy_on_which_every_worker_dies_gives_up_few_rides(system: System) -> None:
    """Over each ride as many workers have died as bury one; all would be buried without a doubt."""
    system.start_api()
    patient = {"LEASE": "0.3", "BREAKER_PAUSE": "0.1"}
    recordings = completed_rides(system, FEWEST)
    wear_out(system)
    for _ in range(3):
        worker = system.start_worker(FAILPOINT="mid-fold=kill", **patient)
        assert worker.wait(PATIENCE) == -signal.SIGKILL
    assert len(system.query("SELECT 1 FROM dead_letters")) == FEWEST - 1
    system.start_worker(**patient)
    eventually(lambda: "COMPLETED" in {status_of(system, each) for each in recordings})
    replay(read_settings({"DATABASE_URL": system.database_url, "REDIS_URL": system.redis_url}))
    eventually(lambda: are_completed(system, recordings))


def completed_rides(system: System, count: int) -> list[Recording]:
    recordings = [record(system.make_rider(), readings(60)) for _ in range(count)]
    for recording in recordings:
        assert recording.complete().status_code == 202
    return recordings


def wear_out(system: System) -> None:
    """Every event as if ``MOST_DELIVERIES`` workers had died over it."""
    client = system.redis_client
    client.xgroup_create(Queue.PROMPT, GROUP, id="0")
    client.xreadgroup(GROUP, "dead", {Queue.PROMPT: ">"})
    ids = [event["message_id"] for event in pending(client)]
    client.xclaim(Queue.PROMPT, GROUP, "dead", 0, ids, retrycount=MOST_DELIVERIES, justid=True)
