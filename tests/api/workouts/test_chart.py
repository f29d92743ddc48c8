"""What charts are drawn from, and the figures of a part of a ride, over HTTP."""

from typing import Any

from tests.api.answers import T0, problem_of, seconds_of
from tests.conftest import Rider


def chart_of(rider: Rider, workout: str, **query: object) -> dict[str, Any]:
    parameters = {name.rstrip("_"): str(value) for name, value in query.items()}
    answer = rider.client.get(f"/api/workouts/{workout}/chart", params=parameters)
    assert answer.status_code == 200, answer.text
    chart: dict[str, Any] = answer.json()
    return chart


def steps(rider: Rider) -> str:
    """Ten minutes at 100 W, then ten at 300 W, of a ride that is over."""
    workout = rider.start()
    rider.upload(workout, seconds_of(100, 600) + seconds_of(300, 600, T0 + 600_000))
    rider.complete(workout)
    return workout


def test_a_ride_is_drawn_in_at_most_so_many_points(rider: Rider) -> None:
    workout = rider.start()
    rider.upload(workout, [{"timestamp": T0 + 1000 * at, "power": at} for at in range(100)])
    assert chart_of(rider, workout, points=10) == {  # while it waits for a worker
        "start": T0,
        "step": 10_000,
        "count": 10,
        "channels": {
            "power": {
                "values": [4.5 + 10 * at for at in range(10)],
                "low": [10 * at for at in range(10)],
                "high": [9 + 10 * at for at in range(10)],
            }
        },
    }
    rider.complete(workout)
    assert chart_of(rider, workout)["channels"] == {"power": {"values": list(range(100))}}


def test_zooming_asks_for_less_time(rider: Rider) -> None:
    workout = steps(rider)
    chart = chart_of(rider, workout, from_=T0 + 598_000, to=T0 + 602_000)
    assert (chart["start"], chart["count"]) == (T0 + 598_000, 4)
    assert chart["channels"]["power"]["values"] == [100, 100, 300, 300]


def test_a_stray_does_not_squeeze_the_chart(rider: Rider) -> None:
    workout = rider.start()
    stray = {"timestamp": T0 - 40 * 86_400_000, "power": 1}
    rider.upload(workout, [stray, *seconds_of(200, 600)])
    rider.complete(workout)
    chart = chart_of(rider, workout)
    assert (chart["start"], chart["count"]) == (T0, 600)


def test_a_ride_without_samples_has_an_empty_chart(rider: Rider) -> None:
    assert chart_of(rider, rider.start()) == {"start": 0, "step": 1000, "count": 0, "channels": {}}


def test_another_s_ride_has_none(rider: Rider) -> None:
    path = "/api/workouts/00000000-0000-0000-0000-000000000000"
    problem_of(rider.client.get(f"{path}/chart"), 404)
    problem_of(rider.client.get(f"{path}/figures", params={"from": 1, "to": 2}), 404)


def test_a_part_of_a_ride_has_figures_of_its_own(rider: Rider) -> None:
    workout = steps(rider)
    range_ = {"from": T0 + 600_000, "to": T0 + 1_200_000}
    answer = rider.client.get(f"/api/workouts/{workout}/figures", params=range_)
    assert answer.status_code == 200, answer.text
    figures = answer.json()["figures"]
    # Of the whole ride 200 W; a window that reached back into the first half would give 296 W.
    assert (figures["avgPower"], figures["normalizedPower"]) == (300, 300)
    assert (figures["totalEnergy"], figures["duration"]) == (180, 600)
    assert answer.json()["wPrimeBalance"] is None


def test_with_critical_power_a_part_tells_what_is_left_of_w_prime(rider: Rider) -> None:
    known = {"effectiveFrom": "2020-01-01", "criticalPower": 250, "wPrime": 20_000}
    rider.client.put("/api/users/me/thresholds", json=known)
    workout = steps(rider)
    range_ = {"from": T0 + 1_199_000, "to": T0 + 1_200_000}
    answer = rider.client.get(f"/api/workouts/{workout}/figures", params=range_).json()
    # 600 s at 50 W above: 30 kJ of 20.
    assert answer["wPrimeBalance"] == {"start": T0 + 1_199_000, "step": 1000, "values": [-10.0]}


def test_an_open_end_of_a_part_is_that_of_the_ride(rider: Rider) -> None:
    path = f"/api/workouts/{steps(rider)}/figures"
    whole = rider.client.get(path).json()["figures"]
    assert (whole["avgPower"], whole["duration"]) == (200, 1200)
    half = rider.client.get(path, params={"to": T0 + 600_000}).json()["figures"]
    assert (half["avgPower"], half["duration"]) == (100, 600)
    # A year before and after would give 31,537,200 s instead of 1,200.
    for query in ({"from": T0 - 31_536_000_000}, {"to": T0 + 31_536_000_000}):
        part = rider.client.get(path, params=query).json()["figures"]
        assert (part["avgPower"], part["duration"]) == (200, 1200)


def test_a_ride_without_samples_has_figures_without_values(rider: Rider) -> None:
    answer = rider.client.get(f"/api/workouts/{rider.start()}/figures")
    assert answer.status_code == 200, answer.text
    assert answer.json()["figures"]["avgPower"] is None


def test_an_open_end_is_that_of_the_samples_while_the_ride_goes_on(rider: Rider) -> None:
    workout = rider.start()
    path = f"/api/workouts/{workout}/figures"
    rider.upload(workout, [{"timestamp": T0 + 1000 * at, "power": 200} for at in range(10)])
    for query, seconds in (({}, 10), ({"from": T0 + 4000}, 6), ({"to": T0 + 4000}, 4)):
        assert rider.client.get(path, params=query).json()["figures"]["duration"] == seconds
    for beside in ({"from": T0 + 60_000}, {"to": T0 - 1000}):
        assert rider.client.get(path, params=beside).json()["figures"]["duration"] == 0


def test_a_part_ends_after_it_begins_and_within_a_month(rider: Rider) -> None:
    path = f"/api/workouts/{rider.start()}/figures"
    for query in ({"from": T0, "to": T0}, {"from": 0, "to": 90 * 86_400_000}):
        problem_of(rider.client.get(path, params=query), 422)


def test_a_chart_has_only_the_channels_that_were_asked_for(rider: Rider) -> None:
    workout = rider.start()
    rows = [{"timestamp": T0 + 1000 * at, "power": 200, "cadence": 90} for at in range(10)]
    rider.upload(workout, rows)
    assert list(chart_of(rider, workout, channels="cadence")["channels"]) == ["cadence"]
    refused = rider.client.get(f"/api/workouts/{workout}/chart", params={"channels": "mood"})
    assert "mood is unknown" in problem_of(refused, 422)["detail"]
