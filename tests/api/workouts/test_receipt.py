"""What the server says it holds, before and after a fold."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from api.workouts.held_samples import HeldSamples
from api.workouts.store import TimeRange
from api.workouts.telemetry import Holdings, holdings
from shared.connections import open_redis
from shared.events import FoldRequest
from shared.redis_keys import BATCH_FIELD, Queue, samples_key
from shared.samples import stream_codec
from shared.samples.columns import no_samples
from shared.settings import read_settings
from tests.api.answers import T0, eventually, problem_of, seconds_of, without_epoch
from tests.conftest import Rider
from tests.shared.samples.strategies import samples_of


def at(*seconds: float) -> Any:
    return samples_of([int(second * 1000) for second in seconds])


def test_nothing_held_is_nothing_received() -> None:
    assert holdings(HeldSamples(no_samples(), no_samples()), 10, "e") == Holdings(
        None, None, 0, "e", []
    )


def test_what_only_waits_is_not_durable() -> None:
    assert holdings(HeldSamples(no_samples(), at(1, 2)), 10, "e") == Holdings(
        2000, None, 2, "e", []
    )


def test_what_is_archived_is_durable() -> None:
    assert holdings(HeldSamples(at(1, 2), no_samples()), 10, "e") == Holdings(
        2000, 2000, 2, "e", []
    )


def test_durable_ends_before_the_first_sample_that_waits() -> None:
    held = holdings(HeldSamples(at(1, 2, 3, 4), at(9, 3)), 10, "e")
    assert (held.received_through, held.durable_through, held.sample_count) == (9000, 2000, 5)


def test_nothing_is_durable_if_the_first_sample_waits() -> None:
    assert holdings(HeldSamples(at(2, 3), at(1)), 10, "e").durable_through is None


def test_missing_is_what_lies_between_samples_further_apart_than_the_gap() -> None:
    held = HeldSamples(at(0, 10, 20.001), at(100, 50))
    missing = [TimeRange(10_000, 20_001), TimeRange(20_001, 50_000), TimeRange(50_000, 100_000)]
    assert holdings(held, 10, "e").missing == missing
    assert holdings(held, 10.001, "e").missing == missing[1:]
    assert holdings(held, 50, "e").missing == []


def test_of_many_missing_ranges_the_first_thousand_are_listed_and_all_are_counted() -> None:
    held = holdings(HeldSamples(at(*range(0, 20 * 1002, 20)), no_samples()), 10, "e")
    assert held.missing[0] == TimeRange(0, 20_000)
    assert held.missing[-1] == TimeRange(999 * 20_000, 1000 * 20_000)
    assert (len(held.missing), held.missing_count) == (1000, 1001)


def receipt(rider: Rider, workout: str, **query: str) -> dict[str, Any]:
    response = rider.client.get(f"/api/workouts/{workout}/receipt", params=query)
    assert response.status_code == 200, response.text
    return without_epoch(response.json())


def test_a_new_workout_holds_nothing(rider: Rider) -> None:
    assert receipt(rider, rider.start()) == {
        "receivedThrough": None,
        "durableThrough": None,
        "sampleCount": 0,
        "missing": [],
    }


def test_a_receipt_follows_a_ride_through_its_fold(rider: Rider) -> None:
    workout = rider.start()
    rider.upload(workout, seconds_of(200, 60))
    rider.upload(workout, seconds_of(200, 60, start=T0 + 90_000))
    held = {
        "receivedThrough": T0 + 149_000,
        "durableThrough": None,
        "sampleCount": 120,
        "missing": [{"from": T0 + 59_000, "to": T0 + 90_000}],
    }
    assert receipt(rider, workout) == held
    rider.complete(workout)
    assert receipt(rider, workout) == {**held, "durableThrough": T0 + 149_000}
    assert receipt(rider, workout, gap="31")["missing"] == []
    assert receipt(rider, workout, gap="30.5")["missing"] == held["missing"]


def test_a_device_fills_what_was_missing(rider: Rider) -> None:
    workout = rider.start()
    rider.upload(workout, [*seconds_of(200, 10), *seconds_of(200, 10, start=T0 + 60_000)])
    [gap] = receipt(rider, workout)["missing"]
    rider.upload(workout, seconds_of(200, 52, start=gap["from"]))
    assert receipt(rider, workout)["missing"] == []


def test_a_checkpoint_makes_a_ride_under_way_durable_so_far(
    rider: Rider, urls: Mapping[str, str]
) -> None:
    workout = rider.start()
    rider.upload(workout, seconds_of(200, 60))
    with open_redis(read_settings(urls)) as redis:
        redis.xadd(Queue.PROMPT, FoldRequest(UUID(workout)).fields())
    eventually(lambda: receipt(rider, workout)["durableThrough"] == T0 + 59_000)
    rider.upload(workout, seconds_of(200, 10, start=T0 + 60_000))
    later = receipt(rider, workout)
    assert (later["durableThrough"], later["receivedThrough"]) == (T0 + 59_000, T0 + 69_000)
    assert rider.workout(workout)["status"] == "ACTIVE"


@pytest.mark.parametrize("gap", ["0", "-1", "nan", "x", "1e-9", "0.99", "86401", "inf"])
def test_a_gap_is_of_a_second_to_a_day(rider: Rider, gap: str) -> None:
    response = rider.client.get(f"/api/workouts/{rider.start()}/receipt", params={"gap": gap})
    assert problem_of(response, 422)["detail"].startswith("gap: ")


def test_what_a_newer_version_holds_is_left_to_it_and_uploads_go_on(
    rider: Rider, urls: Mapping[str, str]
) -> None:
    """As by an older API process during a deploy: it cannot say what is held, but lose nothing."""
    workout = rider.start()
    batch: Any = {BATCH_FIELD: bytes([stream_codec.VERSION + 1]) + b"whatever this means"}
    with open_redis(read_settings(urls)) as redis:
        redis.xadd(samples_key(UUID(workout)), batch)
    for path in ("receipt", "telemetry"):
        answer = rider.client.get(f"/api/workouts/{workout}/{path}")
        problem_of(answer, 503)
        assert answer.headers["retry-after"] == "1"
    assert rider.upload(workout, seconds_of(200, 60)).status_code == 202
