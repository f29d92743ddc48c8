"""A date is a day of the rider's time zone, in every `from` and `to`."""

import io
import zipfile
from typing import Any

import pytest

from tests.api.answers import problem_of, seconds_of
from tests.conftest import Rider

MONDAY_AT_SIX = 1_780_257_600_000  # 2026-05-31T20:00Z is Monday 06:00 in Brisbane
MONDAY = {"from": "2026-06-01", "to": "2026-06-02"}
SUNDAY = {"from": "2026-05-31", "to": "2026-06-01"}
# What each endpoint that looks back over a season answers of a ride that it finds.
SEASON = {
    "/api/workouts": "workouts",
    "/api/stats": "totals",
    "/api/power-curve": "powerCurve",
    "/api/critical-power": "bests",
}


def live_in(rider: Rider, zone: str) -> None:
    rider.client.patch("/api/users/me", json={"timeZone": zone}).raise_for_status()


def found(rider: Rider, path: str, query: dict[str, str]) -> list[Any]:
    answer = rider.client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    content: list[Any] = answer.json()[SEASON[path]]
    return content


@pytest.fixture
def monday_ride(rider: Rider) -> str:
    """From six o'clock on Monday in Brisbane, which is Sunday in UTC."""
    live_in(rider, "Australia/Brisbane")
    workout = rider.start()
    rider.upload(workout, seconds_of(200, 300, MONDAY_AT_SIX))
    rider.complete(workout)
    return workout


@pytest.mark.parametrize("path", SEASON)
def test_a_ride_of_monday_morning_in_brisbane_is_monday_s(
    rider: Rider, monday_ride: str, path: str
) -> None:
    assert found(rider, path, MONDAY)
    assert found(rider, path, {"from": "2026-06-01"})
    assert found(rider, path, SUNDAY) == []
    assert found(rider, path, {"to": "2026-06-01"}) == []


@pytest.mark.parametrize("path", SEASON)
def test_a_time_without_offset_is_the_rider_s_and_one_with_it_is_that_moment(
    rider: Rider, monday_ride: str, path: str
) -> None:
    assert found(rider, path, {"from": "2026-06-01T06:00", "to": "2026-06-01T06:00:01"})
    assert found(rider, path, {"from": "2026-06-01T06:00:01"}) == []
    assert found(rider, path, {"from": "2026-05-31T20:00Z", "to": "2026-05-31T20:00:01Z"})
    assert found(rider, path, {"from": "2026-06-01T06:00Z"}) == []
    assert found(rider, path, {"from": str(MONDAY_AT_SIX)})


def test_the_time_zone_that_is_asked_for_says_where_days_begin(
    rider: Rider, monday_ride: str
) -> None:
    assert found(rider, "/api/stats", {**SUNDAY, "timeZone": "UTC"})
    assert found(rider, "/api/stats", {**MONDAY, "timeZone": "UTC"}) == []


def test_samples_are_of_the_rider_s_day(rider: Rider) -> None:
    live_in(rider, "Australia/Brisbane")
    workout = rider.start()
    midnight = MONDAY_AT_SIX - 6 * 3_600_000
    rider.upload(workout, seconds_of(200, 10, midnight - 4000))
    path = f"/api/workouts/{workout}/telemetry"
    day = rider.client.get(path, params=MONDAY).json()["samples"]
    assert [each["timestamp"] for each in day] == [midnight + 1000 * n for n in range(6)]
    before = rider.client.get(path, params={"to": "2026-06-01T00:00"}).json()
    assert before["sampleCount"] == 4
    problem_of(rider.client.get(path, params={"from": "monday"}), 422)


def test_files_of_the_export_have_the_rider_s_day(rider: Rider, monday_ride: str) -> None:
    answer = rider.client.get("/api/users/me/export")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert f"telemetry/2026-06-01-{monday_ride}.csv" in archive.namelist()


@pytest.mark.parametrize(
    ("day", "next_day", "inside", "outside"),
    [
        # 23 hours
        (
            "2025-03-30",
            "2025-03-31",
            ["2025-03-29T23:00:00Z", "2025-03-30T21:59:59Z"],
            ["2025-03-29T22:59:59Z", "2025-03-30T22:00:00Z"],
        ),
        # 25 hours
        (
            "2025-10-26",
            "2025-10-27",
            ["2025-10-25T22:00:00Z", "2025-10-26T22:59:59Z"],
            ["2025-10-25T21:59:59Z", "2025-10-26T23:00:00Z"],
        ),
    ],
)
def test_a_day_on_which_clocks_change_has_all_of_its_rides_and_no_others(
    rider: Rider, day: str, next_day: str, inside: list[str], outside: list[str]
) -> None:
    live_in(rider, "Europe/Zurich")
    for moment in inside + outside:
        rider.start(startTime=moment)
    listed = found(rider, "/api/workouts", {"from": day, "to": next_day, "order": "asc"})
    assert [ride["startTime"] for ride in listed] == inside
    around = found(rider, "/api/workouts", {"to": day})
    around += found(rider, "/api/workouts", {"from": next_day})
    assert [ride["startTime"] for ride in around] == outside
