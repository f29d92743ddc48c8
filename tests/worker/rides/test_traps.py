"""Mistakes seen in other systems, each with the ride that shows it."""

from typing import Any

import msgspec
import numpy as np
import pytest

from shared.samples.columns import Samples, concatenate
from tests.worker.readings import T0, ride, steady
from worker.rides.athlete import Athlete
from worker.rides.efforts import rank_efforts
from worker.rides.ride import Ride
from worker.rides.summary import summarize


def summary_of(samples: Samples, athlete: Athlete | None = None) -> dict[str, Any]:
    """As it is stored."""
    stored = msgspec.json.encode(summarize(Ride(samples), athlete or Athlete()))
    summary: dict[str, Any] = msgspec.json.decode(stored)
    return summary


def bests_of(samples: Samples) -> dict[int, float]:
    return {effort.duration: effort.value for effort in rank_efforts(Ride(samples)).bests["power"]}


def powered(watts: list[float]) -> Samples:
    times = T0 + 1000 * np.arange(len(watts), dtype=np.int64)
    return Samples(times, {"power": np.array(watts)})


def test_without_the_window_alternating_power_would_be_336_watts() -> None:
    assert summary_of(powered([0.0, 400.0] * 600))["normalizedPower"] == 200


def test_with_partial_first_windows_a_minute_at_400_watts_would_be_353() -> None:
    assert summary_of(powered([400.0] * 60))["normalizedPower"] == 400


def test_with_nulls_dropped_and_time_compressed_two_efforts_would_become_one() -> None:
    # 20 s at 300 W, a minute without power while the heart beats on, 20 s at 300 W.
    silent = [{"t": t, "heartrate": 140} for t in range(20, 80)]
    loud = [{"t": t, "power": 300} for t in (*range(20), *range(80, 100))]
    samples = ride(*sorted([*silent, *loud], key=lambda sample: sample["t"]))
    assert summary_of(samples)["normalizedPower"] is None  # no 30 s of power in one piece
    assert bests_of(samples)[30] == 200  # 20 s at 300 W, and ten of nothing
    assert bests_of(samples)[60] == 100


def test_with_the_maximum_taken_over_arguments_a_day_would_be_too_long() -> None:
    watts = np.full(86_400, 150.0)
    watts[50_000] = 900
    summary = summary_of(powered(watts.tolist()))
    assert (summary["maxPower"], summary["sampleCount"]) == (900, 86_400)
    assert summary["totalEnergy"] == pytest.approx(86_400 * 0.150 + 0.75, abs=1)


def test_an_average_of_zero_would_be_reported_as_null() -> None:
    summary = summary_of(steady(60, power=0))
    assert summary["avgPower"] == summary["maxPower"] == summary["totalEnergy"] == 0


def test_with_zeros_dropped_an_average_of_219_would_be_263() -> None:
    # Five of six seconds at 263 W, the sixth coasting.
    assert summary_of(powered(([263.0] * 5 + [0.0]) * 10))["avgPower"] == 219


def test_a_best_made_to_fall_with_its_duration_would_be_work_never_done() -> None:
    # Over ten seconds the mean of this ride is 1000 · 5/10, over fifteen 1000 · 10/15.
    bests = bests_of(powered([1000.0] * 5 + [0.0] * 5 + [1000.0] * 5))
    assert bests[10] == 500
    assert bests[15] == pytest.approx(1000 * 10 / 15)


def test_the_bests_lie_on_the_curve() -> None:
    efforts = rank_efforts(Ride(powered(([300.0] * 16 + [0.0] * 14) * 40)))
    curve = {effort.duration: effort.value for effort in efforts.power_curve}
    assert curve[30] == 160
    assert curve[46] == pytest.approx(300 * 32 / 46)
    assert all(curve[best.duration] == best.value for best in efforts.bests["power"])


def test_ten_minutes_of_spikes_would_be_records() -> None:
    calm = [200.0] * 60
    bests = bests_of(powered([*calm, 1400.0, *[3000.0] * 600, 1400.0, *calm]))
    assert bests[60] == pytest.approx((59 * 200 + 1400) / 60)
    assert bests[600] == pytest.approx((60 * 200 + 1400) / 600)  # the spikes are no work at all


def test_a_spike_that_the_rider_vouches_for_is_a_best() -> None:
    samples = powered([*[200.0] * 60, 1900.0, *[200.0] * 60])
    assert bests_of(samples)[1] == 200
    second = T0 // 1000 + 60
    vouched = rank_efforts(Ride(samples, [(second, second + 1)]))
    assert vouched.bests["power"][0].value == 1900


def test_a_sparse_spike_would_drag_its_neighbours_up() -> None:
    samples = ride(*({"t": 10 * n, "power": 9000.0 if n == 6 else 200.0} for n in range(12)))
    efforts = rank_efforts(Ride(samples))
    assert {best.value for best in efforts.bests["power"]} == {200}
    assert summary_of(samples)["spikes"] == [{"timestamp": T0 + 60_000, "power": 9000}]


HOUR = 3600
RIDER = Athlete(ftp=200)


def rated(samples: Samples) -> dict[str, Any]:
    return summary_of(samples, RIDER)


@pytest.mark.parametrize("first", [-6 * 86_400, -(T0 // 1000 - 946_684_800)])
def test_left_over_samples_would_make_a_ride_of_days(first: int) -> None:
    """Five samples six days before an hour at threshold; a clock that boots in the year 2000."""
    strays = steady(5, begin=first, power=0)
    summary = rated(concatenate([strays, steady(HOUR, power=200)]))
    assert summary["duration"] == HOUR - 1
    assert summary["trainingStressScore"] == 100
    assert summary["coverage"] == 1
    assert summary["gaps"] == []
    assert summary["sampleCount"] == HOUR + 5
    at = T0 + 1000 * first
    assert summary["strays"] == [{"from": at, "to": at + 4000, "samples": 5}]


@pytest.mark.parametrize("interval", [12, 20, 30])
def test_a_ride_recorded_sparsely_would_be_a_row_of_gaps(interval: int) -> None:
    seconds = range(0, HOUR + 1, interval)
    samples = ride(*({"t": t, "power": 200.0, "speed": 8, "distance": 8 * t} for t in seconds))
    summary = rated(samples)
    assert summary["avgSpeed"] == pytest.approx(8, abs=0.01)  # over its samples alone: 95.7
    assert summary["normalizedPower"] == 200
    assert summary["trainingStressScore"] == pytest.approx(100, abs=0.1)
    assert summary["movingTime"] == summary["recordedTime"] == HOUR + 1
    assert summary["totalEnergy"] == 720
    assert summary["recordingInterval"] == interval
    assert bests_of(samples)[HOUR] == 200


def test_distance_from_a_silent_half_hour_would_double_the_speed() -> None:
    seconds = [*range(1800), *range(3600, 5400)]
    summary = rated(ride(*({"t": t, "speed": 8.0, "distance": 8 * t} for t in seconds)))
    assert summary["totalDistance"] == 8 * 5399
    assert summary["avgSpeed"] == pytest.approx(8, abs=0.01)
    assert summary["avgSpeed"] <= summary["maxSpeed"] == 8


def test_marks_of_no_value_would_be_records() -> None:
    # 400 s of marks, then an hour's measurements.
    lost = steady(400, heartrate=255, cadence=255, speed=65.535, altitude=12_607, lat=0, lng=0)
    found = steady(HOUR, begin=400, heartrate=140, cadence=90, speed=8, altitude=300, lat=1, lng=2)
    samples = concatenate([lost, found])
    summary = rated(samples)
    names = ("maxHeartrate", "avgHeartrate", "maxCadence", "maxSpeed", "totalElevationGain")
    assert [summary[name] for name in names] == [140, 140, 90, 8, 0]
    assert summary["totalDistance"] == 0
    efforts = rank_efforts(Ride(samples)).bests
    assert {best.value for best in efforts["heartrate"]} == {140}
    assert {best.value for best in efforts["speed"]} == {8}


def test_a_speed_no_bicycle_reaches_would_be_a_maximum() -> None:
    speeds = [8.0] * 600
    speeds[300] = 90.0
    speeds[400:402] = [30.0, 31.0]
    samples = ride(*({"t": t, "speed": speed} for t, speed in enumerate(speeds)))
    assert summary_of(samples)["maxSpeed"] == 8
    assert [best.value for best in rank_efforts(Ride(samples)).bests["speed"]] == [8]


def test_a_meter_that_dies_after_half_an_hour_would_be_eight_times_the_stress() -> None:
    powered_part = steady(1800, power=200, heartrate=140)
    rest = steady(12_600, begin=1800, heartrate=130)
    assert rated(concatenate([powered_part, rest]))["trainingStressScore"] == 50


def test_readings_years_apart_would_fill_the_memory() -> None:
    samples = ride(
        *({"t": 2.0 * 86_400 * n, "power": 200, "lat": 1, "lng": 2} for n in range(3000))
    )
    assert summary_of(samples)["recordedTime"] == 3000
    assert bests_of(samples)[60] == pytest.approx(200 / 60)
