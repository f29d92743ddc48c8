"""What the FTP might be, by the efforts of the last 90 days or of a period."""

import time
from typing import Any

import pytest

from tests.api.answers import problem_of, seconds_of
from tests.conftest import Rider

JUNE = 1_780_272_000_000  # 2026-06-01T00:00:00Z
DAY = 86_400_000
PATH = "/api/users/me/ftp-suggestion"


def ride_at(rider: Rider, power: float, start: int, seconds: int = 1200) -> str:
    workout = rider.start()
    rider.upload(workout, seconds_of(power, seconds, start))
    rider.complete(workout)
    return workout


def suggestion(rider: Rider, **query: str) -> dict[str, Any]:
    answer = rider.client.get(PATH, params=query)
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def put(rider: Rider, **figures: float) -> None:
    body = {"effectiveFrom": "2026-01-01", **figures}
    rider.client.put("/api/users/me/thresholds", json=body).raise_for_status()


def test_the_ftp_suggested_is_95_percent_of_the_best_20_minutes(rider: Rider) -> None:
    put(rider, weight=76)
    ride_at(rider, 230, JUNE)
    best = ride_at(rider, 240, JUNE + DAY)
    found = suggestion(rider, **{"from": "2026-06-01", "to": "2026-06-30"})
    assert found["suggestedFtp"] == 228
    assert found["wattsPerKilogram"] == 3
    assert found["bestTwentyMinutes"] == {
        "duration": 1200,
        "power": 240,
        "startedAt": "2026-06-02T00:00:00Z",
        "workoutId": best,
        "wattsPerKilogram": 3.158,
    }
    assert found["reason"] is None
    assert (found["from"], found["to"]) == ("2026-06-01T00:00:00Z", "2026-06-30T00:00:00Z")
    # Steady rides are no maximal efforts.
    assert found["criticalPower"]["criticalPower"] is None
    assert found["criticalPower"]["reason"]


def test_critical_power_is_suggested_with_its_efforts(rider: Rider) -> None:
    rides = [
        ride_at(rider, 250 + 15_000 / seconds, JUNE + number * DAY, seconds)
        for number, seconds in enumerate((120, 300, 600, 1200))
    ]
    fit = suggestion(rider, **{"from": "2026-06-01"})["criticalPower"]
    assert fit["criticalPower"] == pytest.approx(250)
    assert [each["workoutId"] for each in fit["bests"]] == rides
    assert fit["wattsPerKilogram"] is None  # no weight


def test_the_last_90_days_are_looked_at(rider: Rider) -> None:
    """The stronger ride is of 91 days ago."""
    today = int(time.time()) * 1000 - 3_600_000
    ride_at(rider, 300, today - 91 * DAY)
    ride_at(rider, 200, today - 89 * DAY)
    assert suggestion(rider)["suggestedFtp"] == 190
    ninety_before = suggestion(rider, to=str(today - 88 * DAY))
    assert ninety_before["suggestedFtp"] == 285


def test_a_suggestion_is_never_applied(rider: Rider) -> None:
    workout = ride_at(rider, 240, JUNE)
    suggestion(rider, **{"from": "2026-06-01"})
    assert rider.client.get("/api/users/me/thresholds").json()["thresholds"] == []
    assert rider.client.get("/api/users/me/recompute").json()["pending"] == 0
    assert rider.workout(workout)["summary"]["intensityFactor"] is None


def test_without_20_minutes_of_power_the_reason_is_said(rider: Rider) -> None:
    ride_at(rider, 300, JUNE, seconds=1199)
    found = suggestion(rider, **{"from": "2026-06-01"})
    assert found["suggestedFtp"] is found["wattsPerKilogram"] is found["bestTwentyMinutes"] is None
    assert found["reason"] == "no ride of the period has 20 minutes of power"


def test_a_ride_that_is_excluded_suggests_nothing(rider: Rider) -> None:
    workout = ride_at(rider, 240, JUNE)
    rider.client.post(f"/api/workouts/{workout}/exclude").raise_for_status()
    assert suggestion(rider, **{"from": "2026-06-01"})["suggestedFtp"] is None


def test_a_period_at_the_end_of_time_suggests_nothing(rider: Rider) -> None:
    for end in ("0001-01-01", "9999-12-31T23:59:59-10:00"):
        assert suggestion(rider, to=end)["suggestedFtp"] is None
    problem_of(rider.client.get(PATH, params={"to": "soon"}), 422)
