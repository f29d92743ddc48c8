"""Every real file there is, as its rider would upload it."""

import gzip
import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.api.files.ride_files import send
from tests.conftest import Rider

# What the manifest of `files` expects, as the status of the upload.
STATUS: Final = {
    "workouts": {"done"},
    "workouts or said": {"done", "failed"},
    "not an activity": {"failed"},
    "no samples": {"failed"},
}
NO_RIDES: Final = {"not_a_fit_file.fit", "settings_no_records.fit"}


def workouts_of(rider: Rider, upload: dict[str, Any]) -> list[dict[str, Any]]:
    return [rider.workout(workout_id) for workout_id in upload["workoutIds"]]


def check(upload: dict[str, Any], workouts: list[dict[str, Any]], expected: set[str]) -> None:
    """It has one of the outcomes, says why it failed, and has left no empty ride."""
    assert upload["status"] in expected, upload["reason"]
    assert (upload["status"] == "failed") == (upload["reason"] is not None)
    assert (upload["status"] == "done") == (len(workouts) > 0)
    for workout in workouts:
        assert workout["status"] == "COMPLETED"
        assert workout["summary"]["sampleCount"] > 0


def test_what_riders_upload_gets_the_outcome_that_is_expected(
    rider: Rider, rides_dir: Path
) -> None:
    for entry in json.loads((rides_dir / "files" / "manifest.json").read_text())["files"]:
        upload = send(rider, (rides_dir / "files" / entry["file"]).read_bytes(), entry["file"])
        check(upload, workouts_of(rider, upload), STATUS[entry["expected"]["outcome"]])
    listed = rider.client.get("/api/workouts", params={"limit": 100}).json()["workouts"]
    assert all(workout["summary"]["sampleCount"] for workout in listed)


def test_what_is_broken_is_kept_as_far_as_it_can_be_read_or_fails_with_a_reason(
    rider: Rider, rides_dir: Path
) -> None:
    """Four of them hold the same 14 readings, so each replaces the one before."""
    for path in sorted((rides_dir / "bad").iterdir()):
        upload = send(rider, path.read_bytes(), path.name, onDuplicate="replace")
        expected = {"failed"} if path.name in NO_RIDES else {"done"}
        check(upload, workouts_of(rider, upload), expected)


@pytest.mark.parametrize("query", ["reject", "merge"])
def test_the_same_ride_in_another_file_is_found(rider: Rider, rides_dir: Path, query: str) -> None:
    first = send(rider, (rides_dir / "edge800_trainer_power_gaps.fit").read_bytes())
    (workout,) = first["workoutIds"]
    other = gzip.compress((rides_dir / "files" / "indoor_trainer.fit").read_bytes())
    upload = send(rider, other, onDuplicate=query)
    if query == "reject":
        assert (upload["status"], upload["duplicateOf"]) == ("duplicate", workout)
    else:
        assert upload["workoutIds"] == [workout]


def test_a_ride_as_a_file_has_the_figures_that_it_has_sent_live(
    rider: Rider, rides_dir: Path, manifest: dict[str, Any]
) -> None:
    (workout,) = send(rider, (rides_dir / "edge810_clean.fit").read_bytes())["workoutIds"]
    found = rider.workout(workout)
    truth = next(each for each in manifest["rides"] if each["file"] == "edge810_clean.fit")
    session = truth["device_truth"]
    assert found["summary"]["avgPower"] == pytest.approx(session["avg_power"], abs=1)
    assert found["device"]["normalizedPower"] == session["normalized_power"]
    assert len(found["laps"]) == session["num_laps"]
    for lap in found["laps"]:
        ours, theirs = lap["summary"], lap["device"]  # which has whole seconds alone
        assert ours["avgPower"] == pytest.approx(theirs["avgPower"], abs=2)
        assert ours["totalDistance"] == pytest.approx(theirs["totalDistance"], abs=15)
