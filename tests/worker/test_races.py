"""Uploads racing the completion of their ride, through the whole service."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random

from tests.conftest import Rider
from tests.worker.readings import T0
from tests.worker.waiting import eventually


def test_every_accepted_sample_is_in_the_result_whatever_the_race(rider: Rider) -> None:
    chance = Random(7)
    accepted = {}
    with ThreadPoolExecutor(4) as threads:
        for _ in range(200):
            workout = rider.start()
            accepted[workout] = _race(rider, workout, chance, threads)
    eventually(lambda: all(_count(rider, each) == accepted[each] for each in accepted))
    assert set(accepted.values()) == {8}
    assert {rider.workout(each)["status"] for each in accepted} == {"COMPLETED"}


def _race(rider: Rider, workout: str, chance: Random, threads: ThreadPoolExecutor) -> int:
    """Upload four batches of two samples, and complete, in any order and all at once."""

    def upload(batch: int) -> int:
        times = [T0 + 1000 * (2 * batch + t) for t in range(2)]
        response = rider.upload(workout, [{"timestamp": time, "power": 200} for time in times])
        return len(times) if response.status_code == 202 else 0

    def complete() -> int:
        response = rider.client.post(f"/api/workouts/{workout}/complete")
        assert response.status_code == 202
        return 0

    actions: list[Callable[[], int]] = [
        complete,
        *(lambda batch=batch: upload(batch) for batch in range(4)),
    ]
    chance.shuffle(actions)
    return sum(threads.map(lambda action: action(), actions))


def _count(rider: Rider, workout: str) -> int | None:
    """How many samples the stored figures are made of."""
    summary = rider.workout(workout)["summary"]
    return summary["sampleCount"] if summary else None
