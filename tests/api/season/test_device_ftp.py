"""The FTP of a file as a figure of the rider's, once the rider says so."""

from typing import Any

import pytest

from tests.api.answers import eventually, problem_of
from tests.api.conftest import MakeKey
from tests.api.files.ride_files import fit, gpx, imported
from tests.api.season.test_totals import put, recomputed, summary_of
from tests.conftest import Rider

LATER = 100 * 86_400  # seconds after T0, which is 2023-11-14 22:13:20 UTC


def take(rider: Rider, workout: str) -> dict[str, Any]:
    answer = rider.client.post(f"/api/workouts/{workout}/take-ftp")
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def thresholds_of(rider: Rider, sport: str = "cycling") -> list[dict[str, Any]]:
    asked = rider.client.get("/api/users/me/thresholds", params={"sport": sport})
    found: list[dict[str, Any]] = asked.json()["thresholds"]
    return found


def test_a_file_s_ftp_holds_only_once_the_rider_says_so(rider: Rider) -> None:
    """An hour at 200 W of 250 W: 0.8, and 64 points. It counts for the rides afterwards, too."""
    workout, later = imported(rider, fit(3600)), imported(rider, fit(3600, second=LATER))
    assert thresholds_of(rider) == []
    assert summary_of(rider, workout)["intensityFactor"] is None
    change = take(rider, workout)
    assert change["recompute"]["workouts"] == 2
    assert change["thresholds"] == {
        **thresholds_of(rider)[0],
        **{"effectiveFrom": "2023-11-14", "ftp": 250, "source": "Garmin Edge 810"},
    }
    eventually(lambda: recomputed(rider))
    for each in (workout, later):
        summary = summary_of(rider, each)
        assert (summary["intensityFactor"], summary["trainingStressScore"]) == (0.8, 64)


def test_it_holds_from_the_day_that_it_was_where_the_rider_lives(rider: Rider) -> None:
    """Past seven in the morning of the next day in Tokyo."""
    rider.client.patch("/api/users/me", json={"timeZone": "Asia/Tokyo"})
    assert take(rider, imported(rider, fit(60)))["thresholds"]["effectiveFrom"] == "2023-11-15"


def test_it_is_of_the_workout_s_sport(rider: Rider) -> None:
    workout = imported(rider, fit(60))
    rider.client.patch(f"/api/workouts/{workout}", json={"sport": "e-bike"})
    assert take(rider, workout)["thresholds"]["sport"] == "e-bike"
    assert thresholds_of(rider) == []


def test_other_figures_of_the_day_stay_and_taking_it_twice_is_harmless(rider: Rider) -> None:
    put(rider, "2023-11-14", ftp=240, weight=72)
    workout = imported(rider, fit(60))
    for _ in range(2):
        taken = take(rider, workout)["thresholds"]
        assert (taken["ftp"], taken["weight"]) == (250, 72)


@pytest.mark.parametrize(
    ("data", "detail"),
    [(gpx(60), "by which FTP"), (fit(60).replace(b"\xfa\x00", b"\x05\x00"), "5 W is nobody's FTP")],
)
def test_a_ride_without_an_ftp_has_none_to_take(rider: Rider, data: bytes, detail: str) -> None:
    """A GPX file tells none, and 5 W are nobody's."""
    workout = imported(rider, data)
    problem = problem_of(rider.client.post(f"/api/workouts/{workout}/take-ftp"), 409)
    assert detail in problem["detail"]
    assert thresholds_of(rider) == []


def test_only_the_rider_s_own_and_with_the_scope_admin(
    rider: Rider, make_rider: Any, make_api_key: MakeKey
) -> None:
    workout = imported(rider, fit(60))
    path = f"/api/workouts/{workout}/take-ftp"
    problem_of(make_rider().client.post(path), 404)
    key = make_api_key(rider.account.user_id, ["read", "upload"])
    problem_of(rider.client.post(path, headers={"X-API-Key": key}), 403)
