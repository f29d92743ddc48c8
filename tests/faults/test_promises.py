"""What is published about durability, where no other test of faults shows it."""

import time

from ops.admin.dead_letters import replay
from shared.breaker import FEWEST, Breaker
from shared.settings import read_settings
from tests.faults.invariants import archived, are_completed, assert_all_is_kept, row_of, status_of
from tests.faults.recordings import Recording, readings, record
from tests.faults.system import System
from tests.faults.test_redis_faults import durable
from tests.worker.waiting import eventually

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
    begin = time.monotonic()
    while time.monotonic() - begin < EVERYSEC_LOSES + 2:
        recording.upload(readings(10, begin=10 * len(promised_at)))
        promised_at.append(time.monotonic())
    killed_at = time.monotonic()
    system.redis.kill()
    system.redis.start()
    system.start_worker()
    recording.insist(readings(10, begin=100_000))
    recording.complete()
    eventually(lambda: status_of(system, recording) == "COMPLETED")
    held = set(archived(system, recording.workout_id).timestamps.tolist())
    batches = zip(promised_at, recording.accepted, strict=False)
    old = [batch for at, batch in batches if at < killed_at - EVERYSEC_LOSES]
    assert len(old) > 10
    assert all(held.issuperset(batch.timestamps.tolist()) for batch in old)


def test_a_device_that_forgets_only_what_is_durable_makes_any_loss_good(system: System) -> None:
    system.start_api()
    system.start_worker(CHECKPOINT_INTERVAL="1")
    recording = record(system.make_rider(), readings(600))
    eventually(lambda: durable(system, recording))
    recording.upload(readings(60, begin=600))
    through = receipt_of(recording)["durableThrough"]
    system.redis_client.flushall()  # worse than any setting of Redis allows
    again = readings(60, begin=600)
    assert again.timestamps[0] > through  # so the device still has it
    recording.upload(again)
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
    patient = {"LEASE": "0.5", "BREAKER_PAUSE": "1"}
    recordings = [record(system.make_rider(), readings(60)) for _ in range(FEWEST + 3)]
    bad = [system.start_worker(FAILPOINT="mid-fold=raise", **patient) for _ in range(2)]
    for recording in recordings:
        recording.complete()
    eventually(lambda: Breaker(system.redis_client).is_open())
    eventually(lambda: system.log_of("worker").count("most jobs fail") > 5)  # tries, in vain
    assert {status_of(system, each) for each in recordings} == {"PROCESSING"}
    for worker in bad:
        worker.kill()
        worker.wait()
    system.start_worker(**patient)
    assert_all_is_kept(system, *recordings)


def test_a_deploy_on_which_every_worker_dies_gives_up_few_rides(
    system: System,
) -> None:
    system.start_api()
    patient = {"LEASE": "0.3", "BREAKER_PAUSE": "0.3"}
    recordings = [record(system.make_rider(), readings(60)) for _ in range(FEWEST)]
    for recording in recordings:
        recording.complete()
    for _ in range(6 * FEWEST):  # more deaths than would have buried the first
        worker = system.start_worker(FAILPOINT="mid-fold=kill", **patient)
        assert worker.wait(30) != 0
    system.start_worker(**patient)
    eventually(lambda: "COMPLETED" in {status_of(system, each) for each in recordings})
    assert len(system.query("SELECT 1 FROM dead_letters")) < FEWEST
    replay(read_settings({"DATABASE_URL": system.database_url, "REDIS_URL": system.redis_url}))
    eventually(lambda: are_completed(system, recordings))
