"""Files of real devices and programs: what an independent decoder sees in them is what is read."""

import gzip
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.files.fit import read_fit
from shared.files.fit_messages import decode, is_fit, salvage
from shared.files.reading import read_rides
from shared.files.recording import FileRefused, NotAnActivity, Recording
from shared.samples.channels import CHANNEL_NAMES
from tests.rides.truth import samples_of

RECEIVED = 1_795_000_000_000
REFUSED = {"not an activity", "no samples"}
FIGURES = {
    "elapsed_time": "total_elapsed_time",
    "timer_time": "total_timer_time",
    "total_distance": "total_distance",
    "avg_power": "avg_power",
    "max_power": "max_power",
    "normalized_power": "normalized_power",
    "training_stress_score": "training_stress_score",
    "intensity_factor": "intensity_factor",
    "threshold_power": "threshold_power",
    "avg_heartrate": "avg_heart_rate",
    "max_heartrate": "max_heart_rate",
    "avg_cadence": "avg_cadence",
    "max_cadence": "max_cadence",
    "total_elevation_gain": "total_ascent",
    "total_elevation_loss": "total_descent",
    "calories": "total_calories",
    "avg_speed": "avg_speed",
    "max_speed": "max_speed",
}
CHANNELS = {
    "power": "power",
    "cadence": "cadence",
    "heart_rate": "heartrate",
    "distance": "distance",
    "speed": "speed",
    "altitude": "altitude",
    "position_lat": "lat",
}

Entry = dict[str, Any]


@pytest.fixture(scope="module")
def files(rides_dir: Path) -> list[Entry]:
    path = rides_dir / "files" / "manifest.json"
    if not path.exists():
        pytest.skip(f"no manifest at {path}")
    entries: list[Entry] = json.loads(path.read_text())["files"]
    return entries


def rides_of(path: Path) -> Sequence[Recording]:
    return read_rides(path.read_bytes(), RECEIVED)


def read(rides_dir: Path, files: list[Entry]) -> list[tuple[Entry, Sequence[Recording]]]:
    """Those of which workouts are expected."""
    wanted = (each for each in files if each["expected"]["outcome"] == "workouts")
    return [(each, rides_of(rides_dir / "files" / each["file"])) for each in wanted]


def test_each_file_gets_the_outcome_that_is_expected(rides_dir: Path, files: list[Entry]) -> None:
    wrong = []
    for entry in files:
        expected = entry["expected"]["outcome"]
        try:
            found = "workouts" if rides_of(rides_dir / "files" / entry["file"]) else "none"
        except FileRefused as refusal:
            found = "not an activity" if isinstance(refusal, NotAnActivity) else str(refusal)
        as_expected = {expected, *({"not an activity"} if expected != "workouts" else ())}
        if found not in as_expected:
            wrong.append((entry["file"], expected, found))
    assert wrong == []


def test_a_fit_file_gives_a_ride_a_session_but_for_transitions(
    rides_dir: Path, files: list[Entry]
) -> None:
    wrong = []
    for entry, rides in read(rides_dir, files):
        sessions = entry["seen"].get("sessions")
        sports = [each["sport"] for each in sessions or () if each["sport"] != "transition"]
        if sessions is not None and len(rides) != len(sports):
            wrong.append((entry["file"], len(rides), sports))
    assert wrong == []


def test_every_reading_that_a_decoder_sees_is_there(rides_dir: Path, files: list[Entry]) -> None:
    """Readings between the sports of a triathlon are nobody's."""
    wrong = []
    for entry, rides in read(rides_dir, files):
        seen = entry["seen"]
        count = seen.get("records") or seen["trackpoints"]
        sports = [each["sport"] for each in seen.get("sessions", ())]
        found = sum(len(ride.samples) for ride in rides)
        if found != count and not ("transition" in sports and 0.9 * count < found < count):
            wrong.append((entry["file"], found, count))
    assert wrong == []


def test_every_channel_has_as_many_values_as_a_decoder_sees(
    rides_dir: Path, files: list[Entry]
) -> None:
    """A sensor that says 0 all along is taken for none."""
    wrong = []
    for entry, rides in read(rides_dir, files):
        if len(rides) != 1:
            continue
        for field, channel in CHANNELS.items():
            count = entry["seen"].get("channels", {}).get(field)
            values = rides[0].samples.channel(channel)
            found = int(np.count_nonzero(~np.isnan(values)))
            none = any(warning.startswith(f"{channel} is 0") for warning in rides[0].warnings)
            if count is not None and found != count and not none:
                wrong.append((entry["file"], channel, found, count))
    assert wrong == []


def test_rides_begin_and_end_when_a_decoder_says(rides_dir: Path, files: list[Entry]) -> None:
    wrong = []
    for entry, rides in read(rides_dir, files):
        seen = entry["seen"]
        if seen["first"].isdigit() or not seen["last"].startswith("20"):
            continue  # counted from the power-up; or a time that is no point's
        first, last = (datetime.fromisoformat(seen[name]).timestamp() for name in ("first", "last"))
        found = (rides[0].start / 1000, rides[-1].end / 1000)
        if found != (first, last):
            wrong.append((entry["file"], found, (first, last)))
    assert wrong == []


def differing(ride: Recording, session: dict[str, Any]) -> list[tuple[str, object, object]]:
    """The device's figures that are not as stored; those of no power meter are left out."""
    metered = "power" in ride.samples.channels
    return [
        (name, found, session[field])
        for name, field in FIGURES.items()
        if field in session
        and (found := getattr(ride.figures, name)) != pytest.approx(session[field], abs=0.0011)
        and (metered or session[field] != 0)
    ]


def test_the_devices_figures_are_as_it_stored_them(rides_dir: Path, files: list[Entry]) -> None:
    wrong = {}
    for entry, rides in read(rides_dir, files):
        sessions = [
            each for each in entry["seen"].get("sessions", ()) if each["sport"] != "transition"
        ]
        for ride, session in zip(rides, sessions, strict=False):
            wrong[entry["file"]] = differing(ride, session)
    assert {file: figures for file, figures in wrong.items() if figures} == {}
    assert len(wrong) > 15


def test_the_figures_and_laps_of_rides_with_device_truth_are_as_stored(
    rides_dir: Path, manifest: dict[str, Any]
) -> None:
    for entry in manifest["rides"]:
        (ride,) = rides_of(rides_dir / entry["file"])
        assert differing(ride, entry["device_truth"]) == [], entry["file"]
        assert len(ride.laps) == entry["n_laps"], entry["file"]


def test_samples_are_those_of_an_independent_decoder(
    rides_dir: Path, manifest: dict[str, Any]
) -> None:
    """Its positions have six decimals, its heights one; balance it leaves out."""
    for entry in manifest["rides"] + manifest["xml"]:
        (ride,) = rides_of(rides_dir / entry["file"])
        expected = samples_of(rides_dir, entry)
        times = [each["timestamp"] for each in expected]
        order = np.argsort(times, kind="stable")
        assert ride.samples.timestamps.tolist() == np.array(times)[order].tolist(), entry["file"]
        for name in CHANNEL_NAMES[:9]:
            wanted = np.array([each.get(name, np.nan) for each in expected])[order]
            near = {"lat": 6e-7, "lng": 6e-7, "altitude": 0.101, "distance": 0.051}.get(name, 6e-3)
            np.testing.assert_allclose(
                ride.samples.channel(name), wanted, rtol=0, atol=near, err_msg=entry["file"]
            )


def test_broken_files_give_what_is_left_of_them(rides_dir: Path, manifest: dict[str, Any]) -> None:
    for entry in manifest["bad"]:
        path, left = rides_dir / entry["file"], entry["fitdecode"]["records"]
        if not left:
            with pytest.raises(FileRefused):
                rides_of(path)
            continue
        (ride,) = rides_of(path)
        assert len(ride.samples) == left, entry["file"]
        assert differing(ride, entry["device_truth"]) == [], entry["file"]


def test_what_could_not_be_read_is_said(rides_dir: Path) -> None:
    for name in ("truncated", "file_crc_error", "second_header_corrupt"):
        (ride,) = rides_of(rides_dir / "bad" / f"{name}.fit")
        assert len(ride.warnings) == 1


def test_the_slower_decoder_reads_the_same_rides(rides_dir: Path, files: list[Entry]) -> None:
    for entry in files:
        data = (rides_dir / "files" / entry["file"]).read_bytes()
        data = gzip.decompress(data) if entry["file"].endswith(".gz") else data
        if entry["expected"]["outcome"] != "workouts" or not is_fit(data) or len(data) > 100_000:
            continue
        fast, slow = (read_fit(data, RECEIVED, decoder) for decoder in (decode, salvage))
        for left, right in zip(fast, slow, strict=True):
            assert left.figures == right.figures, entry["file"]
            assert (left.sport, left.pauses, left.device) == (
                *(right.sport, right.pauses, right.device),
            ), entry["file"]
            assert list(left.samples.channels) == list(right.samples.channels), entry["file"]
            for name, values in left.samples.channels.items():
                np.testing.assert_allclose(
                    values, right.samples.channels[name], rtol=0, atol=0.0011, err_msg=name
                )
