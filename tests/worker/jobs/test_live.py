"""The running figures of watched rides."""

import json
import time
from typing import Any
from uuid import UUID

import pytest

from shared.connections import Database, Redis
from shared.redis_keys import BATCH_FIELD, WATCHED, computed_key, figures_key, samples_key
from tests.worker.readings import T0, steady
from tests.worker.workouts import Workouts
from worker.jobs.fold import fold
from worker.jobs.live import LiveFigures


@pytest.fixture
def live(database: Database, redis_client: Redis) -> LiveFigures:
    return LiveFigures(database, redis_client)


def watch(client: Redis, *workout_ids: UUID, seconds: float = 15) -> None:
    """As an API process notes what its viewers watch."""
    until = int((time.time() + seconds) * 1000)
    client.zadd(WATCHED, {str(each): until for each in workout_ids})


def published(client: Redis, workout_id: UUID) -> list[dict[str, Any]]:
    entries: Any = client.xrange(figures_key(workout_id))
    return [json.loads(fields[b"f"]) for _, fields in entries]


def test_the_figures_are_of_what_is_archived_and_what_waits(
    workouts: Workouts, database: Database, redis_client: Redis, live: LiveFigures
) -> None:
    workout = workouts.start()
    workouts.send(workout, steady(60, power=200))
    fold(database, redis_client, workout)
    workouts.send(workout, steady(60, begin=60, power=300))
    watch(redis_client, workout)
    live.publish()
    [figures] = published(redis_client, workout)
    assert figures["through"] == T0 + 119_000
    assert figures["summary"]["avgPower"] == 250
    best = {(each["metric"], each["duration"]): each for each in figures["bests"]}
    assert best[("power", 60)]["value"] == 300
    assert best[("power", 60)]["start"] == T0 + 60_000


def test_they_are_exactly_what_the_fold_computes_if_the_ride_ends_then(
    workouts: Workouts, database: Database, redis_client: Redis, live: LiveFigures
) -> None:
    workout = workouts.start()
    workouts.send(workout, steady(40, power=180, heartrate=140, speed=8, altitude=400))
    workouts.send(workout, steady(40, begin=20, power=260, cadence=85))
    watch(redis_client, workout)
    live.publish()
    workouts.complete(workout)
    fold(database, redis_client, workout)
    assert published(redis_client, workout)[0]["summary"] == workouts.row(workout)["summary"]


def test_nothing_is_stored_and_no_sample_taken(
    workouts: Workouts, redis_client: Redis, live: LiveFigures
) -> None:
    workout = workouts.start()
    workouts.send(workout, steady(60, power=200))
    before = workouts.result(workout)
    watch(redis_client, workout)
    live.publish()
    assert workouts.result(workout) == before
    assert workouts.waiting(workout) == 1


@pytest.mark.parametrize("status", ["PROCESSING", "COMPLETED", "FAILED", "DELETED"])
def test_a_ride_that_is_over_has_none(
    workouts: Workouts, redis_client: Redis, live: LiveFigures, status: str
) -> None:
    workout = workouts.start(status)
    watch(redis_client, workout)
    live.publish()
    assert published(redis_client, workout) == []


def test_a_ride_that_nobody_watches_any_more_costs_nothing(
    workouts: Workouts, redis_client: Redis, live: LiveFigures
) -> None:
    workout = workouts.start()
    watch(redis_client, workout, seconds=-1)
    live.publish()
    assert not redis_client.exists(computed_key(workout), figures_key(workout))


def test_figures_that_are_new_enough_are_not_computed_again_by_any_worker(
    workouts: Workouts, database: Database, redis_client: Redis, live: LiveFigures
) -> None:
    workout = workouts.start()
    workouts.send(workout, steady(60, power=200))
    watch(redis_client, workout)
    live.publish()
    workouts.send(workout, steady(60, begin=60, power=300))
    LiveFigures(database, redis_client).publish()
    assert published(redis_client, workout)[-1]["summary"]["avgPower"] == 200
    redis_client.delete(computed_key(workout))  # as when it expires
    live.publish()
    [figures] = published(redis_client, workout)  # only the newest are kept
    assert figures["summary"]["avgPower"] == 250
    assert 0 < redis_client.ttl(figures_key(workout)) <= 60


def test_rides_take_turns_where_there_is_time_for_one_only(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    rides = [workouts.start() for _ in range(3)]
    watch(redis_client, *rides)
    live = LiveFigures(database, redis_client, at_once=0)
    for so_far in range(1, 4):
        live.publish()
        assert sum(len(published(redis_client, each)) for each in rides) == so_far


def test_a_worker_rests_longer_than_it_has_worked_for_viewers(
    workouts: Workouts, redis_client: Redis, live: LiveFigures
) -> None:
    first, second = workouts.start(), workouts.start()
    watch(redis_client, first)
    live.publish_if_due()
    watch(redis_client, second)
    live.publish_if_due()  # at once: too early
    assert published(redis_client, second) == []


def test_a_ride_that_cannot_be_read_keeps_no_other_from_its_figures(
    workouts: Workouts, redis_client: Redis, live: LiveFigures
) -> None:
    broken, sound = workouts.start(), workouts.start()
    redis_client.xadd(samples_key(broken), {BATCH_FIELD: b"nonsense"})
    watch(redis_client, broken, sound)
    live.publish()
    assert published(redis_client, broken) == []
    assert len(published(redis_client, sound)) == 1
    assert redis_client.pttl(computed_key(broken)) > 50_000
