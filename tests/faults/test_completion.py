"""Completing a ride: again and again, all at once, a day later; one effect."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from random import Random

import numpy as np
import pytest

from shared.redis_keys import Queue
from shared.samples.columns import Samples
from tests.faults.invariants import (
    are_completed,
    assert_all_is_kept,
    is_idle,
    row_of,
    waiting,
)
from tests.faults.recordings import Recording, batches_of, readings, record
from tests.faults.system import System
from tests.worker.waiting import eventually


def test_a_hundred_completions_at_once_have_one_effect(system: System) -> None:
    system.start_api()
    recording = record(system.make_rider(), readings(600))
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: recording.complete(), range(100)))
    assert {answer.status_code for answer in answers} == {202}
    assert {answer.json()["workout"]["status"] for answer in answers} == {"PROCESSING"}
    assert system.redis_client.xlen(Queue.PROMPT) == 1
    system.start_worker()
    assert_all_is_kept(system, recording)


def test_completing_a_day_later_gives_the_same_answer_and_changes_nothing(system: System) -> None:
    system.start_api()
    system.start_worker()
    recording = record(system.make_rider(), readings(600))
    first = recording.rider.complete(recording.workout_id)
    assert_all_is_kept(system, recording)
    a_day_passes(system)
    before = row_of(system, recording.workout_id)
    again = recording.rider.complete(recording.workout_id)
    moments = {name: first[name] for name in ("createdAt", "updatedAt")}
    assert {**again, **moments} == first
    assert row_of(system, recording.workout_id) == before
    assert system.redis_client.xlen(Queue.PROMPT) == 0


def test_samples_that_come_a_day_after_the_completion_count(system: System) -> None:
    system.start_api()
    system.start_worker()
    recording = record(system.make_rider(), readings(600))
    recording.rider.complete(recording.workout_id)
    assert_all_is_kept(system, recording)
    a_day_passes(system)
    recording.upload(readings(300, 600, effort=2))
    assert_all_is_kept(system, recording)


def a_day_passes(system: System) -> None:
    """Seals are gone from Redis, and the API has been restarted."""
    system.execute(
        "UPDATE workouts SET "
        + ", ".join(
            f"{column} = {column} - interval '25 hours'"
            for column in ("created_at", "updated_at", "completed_at", "fold_asked_at")
        )
    )
    system.redis_client.delete(*system.redis_client.keys("*:sealed"))
    system.start_api()


@pytest.mark.parametrize("seed", range(4))
def test_shuffled_duplicated_late_and_overlapping_batches_give_the_same_result(
    system: System, seed: int
) -> None:
    """Some are folded by a checkpoint on the way, some come after the completion."""
    system.start_api()
    for _ in range(2):
        system.start_worker(CHECKPOINT_INTERVAL="0.2")
    chance, ride = Random(seed), readings(1800)
    overlapping = [ride.select(slice(start, start + 90)) for start in range(0, 1800, 60)]
    batches = [*overlapping, *chance.sample(overlapping, 10)]
    chance.shuffle(batches)
    batches = [shuffled(batch, seed) for batch in batches]
    recording = record(system.make_rider(), *batches[:15])
    eventually(lambda: waiting(system, recording) == 0)
    recording.upload(*batches[15:30])
    recording.complete()
    recording.upload(*batches[30:])
    assert_all_is_kept(system, recording)
    stored = row_of(system, recording.workout_id)["summary"]
    orderly = record(system.make_rider(), ride)
    orderly.complete()
    assert_all_is_kept(system, orderly)
    assert row_of(system, orderly.workout_id)["summary"] == stored


def shuffled(batch: Samples, seed: int) -> Samples:
    """The same samples in another order."""
    order = np.random.default_rng(seed).permutation(len(batch))
    channels = {name: values[order] for name, values in batch.channels.items()}
    return Samples(batch.timestamps[order], channels)


def test_twenty_rides_of_one_rider_folded_at_once_leave_true_records(system: System) -> None:
    system.start_api()
    before = deadlocks(system)
    rider = system.make_rider()
    recordings = [ride_of(rider_index, record(rider)) for rider_index in range(20)]
    for _ in range(3):
        system.start_worker()
    for recording in recordings:
        recording.complete()
    assert_all_is_kept(system, *recordings)
    assert deadlocks(system) == before


def ride_of(index: int, recording: Recording) -> Recording:
    """Ten minutes like no others; the strongest is neither the first nor the last."""
    effort = 1 + (index * 7 % 20) / 20
    recording.upload(*batches_of(readings(600, 600 * index, effort=effort), 300))
    return recording


def test_rides_of_one_rider_with_late_samples_and_deletions_leave_true_records(
    system: System,
) -> None:
    system.start_api()
    for _ in range(3):
        system.start_worker()
    before = deadlocks(system)
    rider = system.make_rider()
    recordings = [ride_of(index, record(rider)) for index in range(12)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(Recording.complete, recordings))
        eventually(lambda: are_completed(system, recordings))
        doomed, kept = recordings[:4], recordings[4:]
        late = [partial(each.upload, readings(60, 9000)) for each in kept]
        deletions = [partial(delete, each) for each in doomed]
        list(threads.map(lambda action: action(), [*deletions, *late]))
    eventually(lambda: is_idle(system))
    assert all(waiting(system, each) == 0 for each in recordings)
    assert_all_is_kept(system, *kept)
    assert deadlocks(system) == before


def delete(recording: Recording) -> None:
    path = f"/api/workouts/{recording.workout_id}"
    assert recording.rider.client.delete(path).status_code == 200


def deadlocks(system: System) -> int:
    """How many PostgreSQL has had to break, in any test so far."""
    return system.log_of("postgres").count("deadlock detected")
