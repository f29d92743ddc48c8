"""Every real ride as its original file: it has its device's figures, and comes back out whole."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.files.ride_files import imported, send
from tests.conftest import Rider
from tests.rides.truth import (
    Entry,
    device_figures,
    disagreements,
    lap_figures,
    thresholds_of,
)

Manifest = dict[str, Any]
FORMATS = ("fit", "tcx", "gpx", "csv", "json")
# By how much of itself a figure may change on its way out and in again.
STAYS = {"normalizedPower": 0.005, "totalEnergy": 0.005, "totalDistance": 0.001}

# How near our figures must be to what a device has stored.
AGREES: dict[str, Callable[[float], Any]] = {
    "normalizedPower": lambda device: pytest.approx(device, rel=0.015),
    "avgPower": lambda device: pytest.approx(device, rel=0.015),
    "maxPower": pytest.approx,
    "totalEnergy": lambda device: pytest.approx(device, rel=0.01),
    "avgHeartrate": lambda device: pytest.approx(device, abs=1.5),
    "maxHeartrate": lambda device: pytest.approx(device, abs=1),
    "avgSpeed": lambda device: pytest.approx(device, rel=0.035),
    "totalDistance": lambda device: pytest.approx(device, rel=0.002),
}
# Its work of 1,157 kJ in 7,252 s is 159 W; it leaves zeros out of its mean of 179 W. And a file of
# 14 records has 9 m of its way before the first.
CONTRADICTED = {("sigma_rox11.fit", "avgPower"), ("chained_activity_settings.fit", "avgSpeed")}


@pytest.fixture
def send_original(rider: Rider, rides_dir: Path) -> Callable[[Entry], str]:
    """Sends the file of an entry after its device's threshold; gives the workout's id.

    Two of them are one ride.
    """

    def send_it(entry: Entry) -> str:
        if "device_truth" in entry and (thresholds := thresholds_of(entry)):
            rider.client.put("/api/users/me/thresholds", json=thresholds).raise_for_status()
        data = (rides_dir / entry["file"]).read_bytes()
        return imported(rider, data, filename=entry["file"], onDuplicate="keep")

    return send_it


def test_every_file_has_the_figures_of_its_device(
    rider: Rider,
    manifest: Manifest,
    send_original: Callable[[Entry], str],
    subtests: pytest.Subtests,
) -> None:
    for entry in manifest["rides"]:
        with subtests.test(entry["file"]):
            workout = rider.workout(send_original(entry))
            assert disagreements(device_figures(entry), workout["summary"]) == []
            assert workout["startTime"][:19] + "Z" == entry["records"]["first"]
            records = entry["records"]
            assert workout["summary"]["sampleCount"] == records["n"] - records["duplicate_seconds"]
            assert len(workout["laps"]) == entry["n_laps"]


def test_every_tcx_and_gpx_file_has_the_sum_of_its_laps(
    rider: Rider,
    manifest: Manifest,
    send_original: Callable[[Entry], str],
    subtests: pytest.Subtests,
) -> None:
    for entry in manifest["xml"]:
        with subtests.test(entry["file"]):
            summary = rider.workout(send_original(entry))["summary"]
            records = entry["records"]
            assert summary["sampleCount"] == records["n"] - records["duplicate"]
            if entry["device_truth_laps"]:
                assert disagreements(lap_figures(entry), summary) == []


@pytest.mark.parametrize("form", FORMATS)
def test_every_ride_keeps_its_figures_through_an_export_and_an_import(
    form: str,
    rider: Rider,
    make_rider: Callable[[], Rider],
    manifest: Manifest,
    send_original: Callable[[Entry], str],
    subtests: pytest.Subtests,
) -> None:
    other = make_rider()
    for entry in [*manifest["rides"], *manifest["xml"]]:
        with subtests.test(entry["file"]):
            workout = send_original(entry)
            path = f"/api/workouts/{workout}/export"
            exported = rider.client.get(path, params={"format": form}).raise_for_status()
            again = other.workout(imported(other, exported.content, onDuplicate="keep"))
            assert changed(rider.workout(workout)["summary"], again["summary"]) == {}


def changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The figures that have not stayed."""
    old, new = ({**summary, **summary["precise"]} for summary in (before, after))
    return {
        name: (old[name], new[name])
        for name, share in STAYS.items()
        if new[name] != (old[name] if old[name] is None else pytest.approx(old[name], rel=share))
    }


def test_a_device_s_own_figures_agree_with_the_records_of_its_file(
    rider: Rider, rides_dir: Path, subtests: pytest.Subtests
) -> None:
    compared = 0
    for path in sorted((rides_dir / "files").glob("*.fit")):
        with subtests.test(path.name):
            upload = send(rider, path.read_bytes(), path.name, onDuplicate="keep")
            for workout_id in upload["workoutIds"]:
                figures = list(compare(path.name, rider.workout(workout_id)))
                compared += len(figures)
                assert [each for each in figures if each[1] != each[2]] == []
    assert compared >= 80


def compare(file: str, workout: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Our figures beside those that the device has stored, as near as they must be."""
    summary, device = workout["summary"], workout["device"]
    ours = {**summary, **summary["precise"]}
    for name, near in AGREES.items():
        is_left_out = (file, name) in CONTRADICTED or "swimming" in workout["sport"]
        if device.get(name) and not is_left_out:
            yield name, ours[name], near(device[name])
