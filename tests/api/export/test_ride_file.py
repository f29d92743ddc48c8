"""A ride as a file over HTTP: it opens, it says what the server knows, and it goes in again."""

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import httpx2
import numpy as np
import pytest

from api.export.ride_file import disposition
from shared.files.fit_messages import decode
from shared.files.reading import read_rides
from shared.files.recording import Device, Pause, Recording
from tests.api.answers import T0, eventually, problem_of, seconds_of
from tests.api.conftest import MakeKey
from tests.api.files.ride_files import fit, imported
from tests.conftest import Rider

RECEIVED = T0 + 86_400_000
FORMATS = {
    "fit": "application/vnd.ant.fit",
    "tcx": "application/vnd.garmin.tcx+xml",
    "gpx": "application/gpx+xml",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
}
FIGURES = (
    *("normalizedPower", "avgPower", "totalEnergy", "avgHeartrate", "totalDistance", "duration"),
    *("trainingStressScore", "recordedTime", "gapCount", "movingTime"),
)


def export(rider: Rider, workout: str, **query: str) -> httpx2.Response:
    return rider.client.get(f"/api/workouts/{workout}/export", params=query)


def recording_of(rider: Rider, workout: str, **query: str) -> Recording:
    response = export(rider, workout, **query)
    assert response.status_code == 200, response.text
    (recording,) = read_rides(response.content, RECEIVED)
    return recording


def hilly(seconds: int = 900, stop: int = 60) -> list[dict[str, Any]]:
    """A ride of every channel, with a stop in the middle of which nothing is recorded."""
    half = seconds // 2
    return [
        {
            "timestamp": T0 + 1000 * (second + (stop if second >= half else 0)),
            "power": 180 + second % 90,
            "cadence": 85,
            "heartrate": 140 + second % 7,
            "speed": 8,
            "distance": 8 * second,
            "altitude": 400 + second % 30,
            "lat": 47 + second * 7e-5,
            "lng": 8.5,
            "temperature": 19,
            "balance": 49,
        }
        for second in range(seconds)
    ]


@pytest.fixture
def ridden(rider: Rider) -> str:
    """A finished ride of a rider whose FTP is known."""
    rider.client.put("/api/users/me/thresholds", json={"effectiveFrom": "2020-01-01", "ftp": 250})
    rider.client.patch("/api/users/me", json={"timeZone": "Asia/Tokyo"})
    workout = rider.start(title="Over the hill", description="Windy", sport="gravel-cycling")
    rider.upload(workout, hilly())
    rider.complete(workout)
    return workout


def go_in_again(rider: Rider, recording: Recording) -> dict[str, Any]:
    """The summary of the samples of a file."""
    samples = recording.samples
    columns: dict[str, Any] = {"timestamp": samples.timestamps.tolist()}
    for name, values in samples.channels.items():
        columns[name] = [None if value != value else value for value in values.tolist()]
    workout = rider.start(sport=recording.sport or "cycling")
    assert rider.upload(workout, columns).status_code == 202
    summary: dict[str, Any] = rider.complete(workout)["summary"]
    return summary


@pytest.mark.parametrize("form", FORMATS)
def test_an_exported_ride_goes_in_again_with_the_same_figures(
    rider: Rider, ridden: str, form: str
) -> None:
    before = rider.workout(ridden)["summary"]
    after = go_in_again(rider, recording_of(rider, ridden, format=form))
    assert {name: after[name] for name in FIGURES} == {
        name: pytest.approx(before[name], rel=0.001) for name in FIGURES
    }


@pytest.mark.parametrize(("form", "media"), FORMATS.items())
def test_a_file_says_what_it_is_and_what_it_may_be_called(
    rider: Rider, ridden: str, form: str, media: str
) -> None:
    """T0 is late in the evening of the 14th in UTC, and the next morning in Tokyo."""
    response = export(rider, ridden, format=form)
    assert response.headers["content-type"] == media
    name = f"2023-11-15-Over-the-hill.{form}"
    assert response.headers["content-disposition"] == (
        f"attachment; filename=\"{name}\"; filename*=UTF-8''{name}"
    )


def test_a_fit_file_has_the_figures_the_pause_and_the_local_time(rider: Rider, ridden: str) -> None:
    found, summary = recording_of(rider, ridden), rider.workout(ridden)["summary"]
    assert found.sport == "gravel-cycling"
    assert found.utc_offset == 9 * 3600
    assert found.pauses == (Pause(T0 + 449_000, T0 + 510_000),)
    assert found.figures.normalized_power == summary["normalizedPower"]
    assert found.figures.training_stress_score == pytest.approx(
        summary["trainingStressScore"], abs=0.05
    )
    assert found.figures.threshold_power == 250
    assert found.figures.elapsed_time == 959
    assert found.figures.timer_time == 900
    assert found.figures.total_distance == pytest.approx(summary["totalDistance"], abs=0.01)
    assert found.device == Device("Development", "Bike Power Tracker", None)


@pytest.mark.parametrize("form", FORMATS)
def test_a_ride_that_came_as_a_file_goes_on_as_one(
    make_rider: Callable[[], Rider], form: str
) -> None:
    """Two laps of half an hour at 200 W, 360 kJ each; the device said 215 W NP and 99 kcal."""
    first, second = make_rider(), make_rider()
    workout = imported(first, fit(3600))
    sent = export(first, workout, format=form)
    found = second.workout(imported(second, sent.content))
    assert found["sport"] == "cycling"
    assert found["summary"]["sampleCount"] == 3600
    assert found["summary"]["totalEnergy"] == 720
    if form in ("fit", "tcx", "json"):
        laps = [(lap["start"] - T0, lap["end"] - T0) for lap in found["laps"]]
        assert laps == [(0, 1_800_000), (1_800_000, 3_600_000)]
        assert [lap["summary"]["totalEnergy"] for lap in found["laps"]] == [360, 360]
    if form in ("fit", "json"):
        device = found["device"]
        assert (device["maker"], device["normalizedPower"], device["calories"]) == (
            *("Garmin", 215),
            99,
        )


@pytest.mark.parametrize("form", ["fit", "tcx", "gpx", "json"])
def test_a_gap_in_a_file_that_tells_of_no_pause_is_none(rider: Rider, form: str) -> None:
    """Ten minutes at 200 W, ten without a reading, and ten again: the device did not say why."""
    seconds = [*range(600), *range(1200, 1800)]
    columns = {"timestamp": [T0 + 1000 * each for each in seconds], "power": [200] * 1200}
    workout = imported(rider, json.dumps(columns).encode())
    assert rider.workout(workout)["summary"]["gapCount"] == 1
    assert recording_of(rider, workout, format=form).pauses == ()


def test_of_a_cropped_ride_figures_and_laps_are_those_of_what_is_left(rider: Rider) -> None:
    """The last ten minutes of the first lap, and the second; the device's 215 W were of all."""
    workout = imported(rider, fit(3600))
    rider.client.post(f"/api/workouts/{workout}/crop", json={"from": T0 + 1_200_000})
    eventually(lambda: rider.workout(workout)["summary"]["totalEnergy"] == 480)
    found = recording_of(rider, workout)
    assert [(lap.start - T0, lap.end - T0) for lap in found.laps] == [
        (1_200_000, 1_800_000),
        (1_800_000, 3_600_000),
    ]
    assert [lap.figures.total_energy for lap in found.laps] == [120, 360]
    assert (found.figures.normalized_power, found.figures.calories) == (200, None)


def test_json_has_all_words_and_samples(rider: Rider, ridden: str) -> None:
    found = recording_of(rider, ridden, format="json")
    assert (found.title, found.description) == ("Over the hill", "Windy")
    assert len(found.samples) == 900
    assert found.samples.channel("lat")[899] == pytest.approx(47 + 899 * 7e-5, abs=1e-12)


def test_what_was_never_measured_is_nowhere(rider: Rider) -> None:
    """A second of power in every two, and no other sensor."""
    workout = rider.start()
    rider.upload(
        workout,
        [
            {"timestamp": T0 + 1000 * n, **({"power": 200} if n % 2 else {"cadence": 90})}
            for n in range(100)
        ],
    )
    for form in FORMATS:
        samples = recording_of(rider, workout, format=form).samples
        assert list(samples.channels) == ["power", "cadence"], form
        assert np.count_nonzero(~np.isnan(samples.channel("power"))) == 50, form


def test_a_ride_under_way_is_exported_as_far_as_it_has_got(rider: Rider) -> None:
    workout = rider.start()
    rider.upload(workout, seconds_of(200, 60))
    assert len(recording_of(rider, workout).samples) == 60


def test_what_is_cropped_away_or_removed_is_in_no_file(rider: Rider, ridden: str) -> None:
    place = f"/api/workouts/{ridden}"
    rider.client.post(f"{place}/crop", json={"from": T0 + 10_000}).raise_for_status()
    window = {"from": T0 + 20_000, "to": T0 + 30_000}
    rider.client.delete(f"{place}/telemetry", params=window).raise_for_status()
    for form in FORMATS:
        times = recording_of(rider, ridden, format=form).samples.timestamps - T0
        assert len(times) == 900 - 10 - 10, form
        assert times[0] == 10_000
        assert not np.any((times >= 20_000) & (times < 30_000)), form


def test_fit_is_the_format_of_who_asks_for_none(rider: Rider, ridden: str) -> None:
    response = export(rider, ridden)
    assert response.headers["content-type"] == FORMATS["fit"]
    assert decode(response.content).problem is None


def test_the_head_of_a_file_can_be_asked_for(rider: Rider, ridden: str) -> None:
    response = rider.client.head(f"/api/workouts/{ridden}/export")
    assert response.status_code == 200
    assert response.content == b""
    assert "2023-11-15" in response.headers["content-disposition"]


def test_a_ride_without_samples_gives_no_file(rider: Rider) -> None:
    problem = problem_of(export(rider, rider.start()), 409)
    assert "no samples" in problem["detail"]


def test_another_format_is_refused_by_name(rider: Rider, ridden: str) -> None:
    problem = problem_of(export(rider, ridden, format="pwx"), 422)
    assert problem["errors"][0]["member"] == "format"


def test_a_ride_of_somebody_else_is_absent(make_rider: Callable[[], Rider], ridden: str) -> None:
    assert export(make_rider(), ridden).status_code == 404


def test_a_key_that_only_uploads_exports_nothing(
    rider: Rider, make_api_key: MakeKey, ridden: str
) -> None:
    key = make_api_key(rider.account.user_id, ["upload"])
    response = rider.client.get(f"/api/workouts/{ridden}/export", headers={"X-API-Key": key})
    assert response.status_code == 403


@pytest.mark.parametrize(
    ("title", "plain", "whole"),
    [
        (None, "2024-02-29.gpx", "2024-02-29.gpx"),
        ("", "2024-02-29.gpx", "2024-02-29.gpx"),
        ("../../etc/passwd", "2024-02-29-etc-passwd.gpx", "2024-02-29-etc-passwd.gpx"),
        ('a\r\nX: "b";', "2024-02-29-a-X-b.gpx", "2024-02-29-a-X-b.gpx"),
        ("Zoë’s Tour", "2024-02-29-Zoe-s-Tour.gpx", "2024-02-29-Zo%C3%AB-s-Tour.gpx"),
        ("\u202egpj.exe", "2024-02-29-gpj-exe.gpx", "2024-02-29-gpj-exe.gpx"),
        (
            "朝の",
            "2024-02-29.gpx",
            "2024-02-29-%E6%9C%9D%E3%81%AE.gpx",
        ),
        ("_" * 200, "2024-02-29.gpx", "2024-02-29.gpx"),
        ("x" * 200, f"2024-02-29-{'x' * 80}.gpx", f"2024-02-29-{'x' * 80}.gpx"),
    ],
)
def test_no_title_makes_a_dangerous_name(title: str | None, plain: str, whole: str) -> None:
    header = disposition(date(2024, 2, 29), title, "gpx")
    assert header == f"attachment; filename=\"{plain}\"; filename*=UTF-8''{whole}"
