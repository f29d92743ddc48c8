"""Laps that riders and devices mark, over HTTP."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.api.answers import T0, eventually, problem_of, seconds_of
from tests.conftest import Rider


def mark(rider: Rider, workout: str, *laps: dict[str, Any]) -> dict[str, Any]:
    response = rider.client.post(f"/api/workouts/{workout}/laps", json={"laps": laps})
    assert response.status_code == 202, response.text
    found: dict[str, Any] = response.json()["workout"]
    return found


def has_figures(rider: Rider, workout: str) -> bool:
    return all("summary" in lap for lap in rider.workout(workout)["laps"])


def test_laps_pressed_on_the_way_have_figures_once_the_ride_is_over(rider: Rider) -> None:
    """A press ends a lap: the first began with the ride."""
    workout = rider.start()
    rider.upload(workout, seconds_of(100, 300))
    assert mark(rider, workout, {"end": T0 + 300_000})["laps"] == [{"end": T0 + 300_000}]
    rider.upload(workout, seconds_of(300, 300, T0 + 300_000))
    mark(rider, workout, {"end": "2023-11-14T22:23:20Z"})  # 600 s after T0
    laps = rider.complete(workout)["laps"]
    assert [(lap["start"] - T0, lap["end"] - T0) for lap in laps] == [
        (0, 300_000),
        (300_000, 600_000),
    ]
    assert [lap["summary"]["avgPower"] for lap in laps] == [100, 300]
    assert [lap["summary"]["totalEnergy"] for lap in laps] == [30, 90]


def test_laps_of_a_ride_that_is_over_get_their_figures_soon(rider: Rider) -> None:
    workout = rider.start()
    rider.upload(workout, seconds_of(200, 600))
    rider.complete(workout)
    mark(rider, workout, {"start": T0 + 60_000, "end": T0 + 120_000})
    eventually(lambda: has_figures(rider, workout))
    (lap,) = rider.workout(workout)["laps"]
    assert (lap["summary"]["duration"], lap["summary"]["totalEnergy"]) == (60, 12)


def test_a_lap_that_is_sent_again_is_one_lap_before_and_after_the_fold(rider: Rider) -> None:
    workout = rider.start()
    rider.upload(workout, seconds_of(200, 600))
    for _ in range(2):
        mark(rider, workout, {"end": T0 + 60_000}, {"start": T0, "end": T0 + 90_000})
    rider.complete(workout)
    assert len(mark(rider, workout, {"end": T0 + 60_000})["laps"]) == 2


def test_laps_are_not_in_lists(rider: Rider) -> None:
    workout = rider.start()
    mark(rider, workout, {"end": T0})
    (listed,) = rider.client.get("/api/workouts").json()["workouts"]
    assert "laps" not in listed
    assert len(rider.workout(workout)["laps"]) == 1


@pytest.mark.parametrize(
    "laps",
    [
        *([], [{}], [{"start": T0}], [{"end": True}], [{"end": "yesterday"}]),
        *([{"end": 1}], [{"end": 10**15}], [{"end": 10**30}], [{"end": T0, "start": T0}]),
        [{"end": T0}] * 101,
    ],
)
def test_a_lap_that_cannot_be_is_refused(rider: Rider, laps: list[dict[str, Any]]) -> None:
    workout = rider.start()
    response = rider.client.post(f"/api/workouts/{workout}/laps", json={"laps": laps})
    assert problem_of(response, 422)["errors"][0]["member"].startswith("laps")
    assert rider.workout(workout)["laps"] == []


def test_a_lap_that_cannot_be_is_named_by_its_number_from_one(rider: Rider) -> None:
    laps = {"laps": [{"end": T0}, {"end": 946_684_799_999}]}
    response = rider.client.post(f"/api/workouts/{rider.start()}/laps", json=laps)
    assert "lap 2 is before the year 2000" in response.text


def test_a_lap_with_nothing_of_the_ride_is_refused_and_one_that_reaches_into_it_is_not(
    rider: Rider,
) -> None:
    workout = rider.start()
    rider.upload(workout, seconds_of(200, 600))
    rider.complete(workout)
    for lap in (
        *({"end": T0}, {"start": T0 - 9000, "end": T0 - 1}),
        {"start": T0 + 600_000, "end": T0 + 700_000},
    ):
        inside = {"start": T0, "end": T0 + 60_000}
        response = rider.client.post(f"/api/workouts/{workout}/laps", json={"laps": [inside, lap]})
        assert problem_of(response, 422)["detail"] == "lap 2 is outside the time of the ride"
    assert rider.workout(workout)["laps"] == []
    mark(rider, workout, {"start": T0 - 9000, "end": T0 + 1000})
    mark(rider, workout, {"start": T0 + 599_000, "end": T0 + 700_000})


def test_a_ride_has_a_thousand_laps_and_no_more(rider: Rider) -> None:
    workout = rider.start()
    for first in range(0, 1000, 100):
        mark(rider, workout, *({"end": T0 + 1000 * each} for each in range(first, first + 100)))
    one_more = {"laps": [{"end": T0 - 1}]}
    problem_of(rider.client.post(f"/api/workouts/{workout}/laps", json=one_more), 409)


def test_another_user_s_ride_has_no_laps_to_add_to(make_rider: Callable[[], Rider]) -> None:
    workout = make_rider().start()
    response = make_rider().client.post(
        f"/api/workouts/{workout}/laps", json={"laps": [{"end": T0}]}
    )
    problem_of(response, 404)


def test_laps_that_are_cropped_away_come_back_with_the_rest_of_the_ride(rider: Rider) -> None:
    """From 400 s on: nothing of the first lap, and of the second 200 s at 300 W."""
    workout = rider.start()
    rider.upload(workout, [*seconds_of(100, 300), *seconds_of(300, 300, T0 + 300_000)])
    mark(rider, workout, {"end": T0 + 300_000}, {"end": T0 + 600_000})
    rider.complete(workout)
    rider.client.post(f"/api/workouts/{workout}/crop", json={"from": T0 + 400_000})
    eventually(lambda: energies(rider, workout) == [60])
    rider.client.delete(f"/api/workouts/{workout}/crop")
    eventually(lambda: energies(rider, workout) == [30, 90])


def energies(rider: Rider, workout: str) -> list[float]:
    """In kJ, of each lap."""
    return [lap["summary"]["totalEnergy"] for lap in rider.workout(workout)["laps"]]
