"""Watts per kilogram beside every power, by the weight on the day it was ridden."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from api.season.weights import Weighing, Weights
from tests.api.answers import eventually, seconds_of
from tests.conftest import Rider

JUNE = 1_780_272_000_000  # 2026-06-01T00:00:00Z
DAY = 86_400_000


def ride_at(rider: Rider, power: float, start: int, seconds: int = 120) -> str:
    workout = rider.start()
    rider.upload(workout, seconds_of(power, seconds, start))
    rider.complete(workout)
    return workout


def weigh(rider: Rider, day: str, weight: float | None, **figures: float) -> dict[str, Any]:
    body = {"effectiveFrom": day, "weight": weight, **figures}
    answer = rider.client.put("/api/users/me/thresholds", json=body)
    assert answer.status_code == 200, answer.text
    thresholds: dict[str, Any] = answer.json()["thresholds"]
    return thresholds


def get(rider: Rider, path: str, **query: str) -> dict[str, Any]:
    answer = rider.client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def recomputed(rider: Rider) -> bool:
    return not get(rider, "/api/users/me/recompute")["pending"]


def test_a_ride_has_its_powers_over_the_weight_of_its_day(rider: Rider) -> None:
    weigh(rider, "2026-06-01", 80)
    weigh(rider, "2026-06-03", 75)
    before, heavy, light = (ride_at(rider, 300, JUNE + day * DAY) for day in (-1, 1, 2))
    assert rider.workout(before)["summary"]["wattsPerKilogram"] is None
    summary = rider.workout(heavy)["summary"]
    assert summary["parameters"]["weight"] == 80
    assert summary["wattsPerKilogram"] == {
        "avgPower": 3.75,
        "maxPower": 3.75,
        "normalizedPower": 3.75,
        "xPower": pytest.approx(summary["xPower"] / 80, abs=0.001),
    }
    assert rider.workout(light)["summary"]["wattsPerKilogram"]["normalizedPower"] == 4


def test_a_ride_without_power_has_none_over_a_weight(rider: Rider) -> None:
    weigh(rider, "2026-06-01", 80)
    workout = rider.start()
    rider.upload(workout, [{"timestamp": JUNE + 1000 * n, "heartrate": 120} for n in range(60)])
    summary = rider.complete(workout)["summary"]
    assert set(summary["wattsPerKilogram"].values()) == {None}


def test_a_weight_given_later_is_that_of_the_rides_from_its_day_on(rider: Rider) -> None:
    early, late = (ride_at(rider, 300, JUNE + day * DAY) for day in (0, 5))
    weigh(rider, "2026-06-02", 75)
    eventually(lambda: recomputed(rider))
    assert rider.workout(early)["summary"]["wattsPerKilogram"] is None
    assert rider.workout(late)["summary"]["wattsPerKilogram"]["avgPower"] == 4


def test_a_record_is_over_the_weight_on_the_day_it_was_set(rider: Rider) -> None:
    """By the weight of the newest day it would be 5 W/kg."""
    weigh(rider, "2026-06-01", 75)
    weigh(rider, "2026-06-03", 60)
    best = ride_at(rider, 300, JUNE + DAY)
    ride_at(rider, 240, JUNE + 3 * DAY, seconds=300)
    records = {each["duration"]: each for each in get(rider, "/api/records")["records"]}
    assert records[60]["value"] == 300
    assert records[60]["wattsPerKilogram"] == 4
    assert records[300]["wattsPerKilogram"] == 4  # 240 W at 60 kg
    curve = {each["duration"]: each for each in get(rider, "/api/power-curve")["powerCurve"]}
    assert curve[60]["riddenAt"] == "2026-06-02T00:00:00Z"
    assert (curve[60]["power"], curve[60]["wattsPerKilogram"]) == (300, 4)
    assert curve[300]["wattsPerKilogram"] == 4
    efforts = get(rider, f"/api/workouts/{best}/power-curve")
    assert {each["wattsPerKilogram"] for each in efforts["powerCurve"]} == {4}
    assert {each["wattsPerKilogram"] for each in efforts["bests"]} == {4}


def test_a_weight_that_is_taken_back_leaves_the_one_before(rider: Rider) -> None:
    weigh(rider, "2026-06-01", 80)
    weigh(rider, "2026-06-02", 60)
    ride_at(rider, 300, JUNE + DAY)
    assert get(rider, "/api/records")["records"][0]["wattsPerKilogram"] == 5
    weigh(rider, "2026-06-02", None)
    assert get(rider, "/api/records")["records"][0]["wattsPerKilogram"] == 3.75
    weigh(rider, "2026-06-01", None)
    assert get(rider, "/api/records")["records"][0]["wattsPerKilogram"] is None


def test_a_pulse_is_not_over_any_weight(rider: Rider) -> None:
    weigh(rider, "2026-06-01", 80)
    workout = rider.start()
    rider.upload(workout, [{"timestamp": JUNE + 1000 * n, "heartrate": 120} for n in range(300)])
    rider.complete(workout)
    [record] = get(rider, "/api/records")["records"]
    assert (record["metric"], record["wattsPerKilogram"]) == ("heartrate", None)


def test_critical_power_and_its_efforts_are_over_the_weights_of_their_days(rider: Rider) -> None:
    """250 W and 15 kJ; the newest effort was ridden at 50 kg."""
    weigh(rider, "2026-05-31", 75)
    weigh(rider, "2026-06-04", 50)
    rides = [
        ride_at(rider, 250 + 15_000 / seconds, JUNE + number * DAY, seconds)
        for number, seconds in enumerate((120, 300, 600, 1200))
    ]
    fit = get(rider, "/api/critical-power")
    assert fit["wattsPerKilogram"] == pytest.approx(5)
    assert [each["wattsPerKilogram"] for each in fit["bests"]] == [5, 4, 3.667, 5.25]
    assert [each["workoutId"] for each in fit["bests"]] == rides
    assert fit["bests"][1]["startedAt"] == "2026-06-02T00:00:00Z"


def test_thresholds_are_over_the_weight_that_held_on_their_day(rider: Rider) -> None:
    assert weigh(rider, "2026-05-01", None, ftp=240)["wattsPerKilogram"] is None
    assert weigh(rider, "2026-06-01", 80)["wattsPerKilogram"] is None
    weigh(rider, "2026-06-08", 75)
    body = {"effectiveFrom": "2026-06-10", "ftp": 300, "criticalPower": 270}
    answer = rider.client.put("/api/users/me/thresholds", json=body).json()
    over = {"ftp": 4, "criticalPower": 3.6}
    assert answer["thresholds"]["wattsPerKilogram"] == over
    newest = get(rider, "/api/users/me/thresholds")["thresholds"][0]
    assert (newest["weight"], newest["wattsPerKilogram"]) == (None, over)


def test_a_weight_holds_from_the_rider_s_own_midnight() -> None:
    weights = Weights(
        [
            Weighing(date(2026, 6, 1), 60, "Australia/Brisbane"),
            Weighing(date(2026, 5, 1), 75, "Australia/Brisbane"),
        ]
    )
    midnight = datetime(2026, 5, 31, 14, tzinfo=UTC)
    assert weights.per_kilogram(300, midnight) == 5
    assert weights.per_kilogram(300, midnight.replace(hour=13, minute=59)) == 4
    assert weights.per_kilogram(300, date(2026, 5, 31)) == 4
    assert weights.per_kilogram(300, date(2026, 4, 30)) is None
    assert Weights([]).per_kilogram(300, midnight) is None
