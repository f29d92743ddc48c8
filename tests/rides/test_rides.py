"""Real rides, sent as a device sends them, against the figures their devices showed."""

import random
from pathlib import Path
from statistics import mean, median
from typing import Any

import pytest

from tests.conftest import Rider
from tests.rides.device_truth import device_table, written
from tests.rides.truth import (
    Figure,
    device_figures,
    disagreements,
    lap_figures,
    samples_of,
    thresholds_of,
)
from tests.worker.waiting import eventually

Manifest = dict[str, Any]


def upload(rider: Rider, workout: str, samples: list[dict[str, float]], times: int = 1) -> None:
    """Batches of a minute."""
    for at in range(0, len(samples), 60):
        for _ in range(times):
            assert rider.upload(workout, samples[at : at + 60]).status_code == 202


def summary_of(rider: Rider, samples: list[dict[str, float]], times: int = 1) -> dict[str, Any]:
    workout = rider.start()
    upload(rider, workout, samples, times)
    summary: dict[str, Any] = rider.complete(workout)["summary"]
    return summary


@pytest.fixture
def clean(manifest: Manifest, rides_dir: Path) -> list[dict[str, float]]:
    (entry,) = (each for each in manifest["rides"] if each["file"] == "edge810_clean.fit")
    return samples_of(rides_dir, entry)


def assert_clean(summary: dict[str, Any]) -> None:
    assert summary["normalizedPower"] == pytest.approx(301, abs=1)
    assert summary["avgPower"] in (275, 276)
    assert summary["maxPower"] == 619
    assert summary["totalEnergy"] == pytest.approx(1295, abs=2)
    assert summary["sampleCount"] == 4700


def test_every_ride_has_the_figures_of_its_device(
    rider: Rider, manifest: Manifest, rides_dir: Path, subtests: pytest.Subtests
) -> None:
    powers, climbs, played = [], [], []
    for entry in manifest["rides"]:
        with subtests.test(entry["file"]):
            if thresholds := thresholds_of(entry):
                rider.client.put("/api/users/me/thresholds", json=thresholds).raise_for_status()
            summary = summary_of(rider, samples_of(rides_dir, entry))
            figures = device_figures(entry)
            assert disagreements(figures, summary) == []
            powers += errors_of("normalizedPower", figures, summary)
            climbs += errors_of("totalElevationGain", figures, summary)
            played.append((entry, summary))
    assert median(powers) <= 0.003
    assert mean(climbs) <= 0.10  # 0.145 if a climb took 3 m, as others have it
    assert written("device-truth") == device_table(played), "make device-truth writes it"


def errors_of(member: str, figures: list[Figure], summary: dict[str, Any]) -> list[float]:
    """Of that figure, as a share of the device's; none if the device has none."""
    found = {**summary, **summary["precise"]}
    return [abs(found[member] / each.device - 1) for each in figures if each.member == member]


def test_every_ride_has_the_sum_of_its_laps(
    rider: Rider, manifest: Manifest, rides_dir: Path, subtests: pytest.Subtests
) -> None:
    for entry in (each for each in manifest["xml"] if each["device_truth_laps"]):
        with subtests.test(entry["file"]):
            summary = summary_of(rider, samples_of(rides_dir, entry))
            assert disagreements(lap_figures(entry), summary) == []


def test_a_ride_thinned_shaken_or_soiled_keeps_its_figures(
    rider: Rider, manifest: Manifest, rides_dir: Path, subtests: pytest.Subtests
) -> None:
    for entry in manifest["derived"]:
        with subtests.test(entry["file"]):
            summary = summary_of(rider, samples_of(rides_dir, entry))
            truth = entry["device_truth_of_original"]
            assert summary["normalizedPower"] == pytest.approx(truth["normalized_power"], rel=0.01)
            assert summary["totalEnergy"] == pytest.approx(truth["total_work"] / 1000, rel=0.02)


def test_a_ride_on_a_trainer_has_the_intervals_that_its_rider_marked_as_laps(
    rider: Rider, manifest: Manifest, rides_dir: Path
) -> None:
    name = "edge800_trainer_power_gaps.fit"
    (entry,) = (each for each in manifest["rides"] if each["file"] == name)
    laps = [lap for lap in entry["laps_truth"] if lap["avg_power"] > 200]
    intervals = summary_of(rider, samples_of(rides_dir, entry))["intervals"]
    assert len(laps) == 2
    for interval, lap in zip(intervals, laps, strict=True):
        assert interval["duration"] == pytest.approx(lap["total_timer_time"], abs=10)
        assert interval["avgPower"] == pytest.approx(lap["avg_power"], rel=0.01)


def test_the_clean_ride_has_the_figures_on_the_rider_s_head_unit(
    rider: Rider, clean: list[dict[str, float]]
) -> None:
    assert_clean(summary_of(rider, clean))


def test_sending_every_batch_twice_changes_nothing(
    rider: Rider, clean: list[dict[str, float]]
) -> None:
    assert_clean(summary_of(rider, clean, times=2))


def test_sending_the_samples_in_any_order_changes_nothing(
    rider: Rider, clean: list[dict[str, float]]
) -> None:
    shuffled = random.Random(1).sample(clean, len(clean))
    assert summary_of(rider, shuffled) == summary_of(rider, clean)


def test_sending_half_of_the_ride_after_its_end_changes_nothing(
    rider: Rider, clean: list[dict[str, float]]
) -> None:
    workout = rider.start()
    upload(rider, workout, clean[:2350])
    assert rider.complete(workout)["summary"]["sampleCount"] == 2350
    upload(rider, workout, clean[2350:])
    eventually(lambda: rider.workout(workout)["summary"]["sampleCount"] == 4700)
    assert_clean(rider.workout(workout)["summary"])
    assert rider.workout(workout)["status"] == "COMPLETED"
