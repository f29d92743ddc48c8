"""Mistakes seen in other systems, each with the ride that shows it."""

from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest

from shared.samples.columns import Samples
from tests.worker.readings import T0, ride, steady
from worker.rides.athlete import Athlete
from worker.rides.efforts import rank_efforts
from worker.rides.ride import Ride
from worker.rides.summary import summarize


def summary_of(samples: Samples) -> dict[str, Any]:
    """As it is stored."""
    stored = msgspec.json.encode(summarize(Ride(samples), Athlete()))
    summary: dict[str, Any] = msgspec.json.decode(stored)
    return summary


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
    assert max(effort.duration for effort in rank_efforts(Ride(samples)).bests["power"]) == 15


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


def test_a_longer_duration_would_have_the_higher_best() -> None:
    # Over ten seconds the mean of this ride is 1000 · 5/10, over fifteen 1000 · 10/15.
    watts = [1000.0] * 5 + [0.0] * 5 + [1000.0] * 5
    bests = {
        effort.duration: effort.value
        for effort in rank_efforts(Ride(powered(watts))).bests["power"]
    }
    assert bests[10] == bests[15] == pytest.approx(1000 * 10 / 15)


def test_the_curve_never_rises_and_the_bests_lie_on_it() -> None:
    # 16 s at 300 W and 14 s at 0, over and over: 46 s have a higher mean than 30 s.
    efforts = rank_efforts(Ride(powered(([300.0] * 16 + [0.0] * 14) * 40)))
    curve = {effort.duration: effort.value for effort in efforts.power_curve}
    assert all(longer <= shorter for shorter, longer in pairwise(curve.values()))
    assert curve[30] == pytest.approx(300 * 32 / 46)
    assert all(curve[best.duration] == best.value for best in efforts.bests["power"])


def test_ten_minutes_of_spikes_would_be_records() -> None:
    calm = [200.0] * 60
    samples = powered([*calm, 1400.0, *[3000.0] * 600, 1400.0, *calm])
    bests = {effort.duration: effort.value for effort in rank_efforts(Ride(samples)).bests["power"]}
    assert max(bests) == 60  # a long run of spikes ends the segment, as a gap does
    assert bests[60] == pytest.approx((59 * 200 + 1400) / 60)


def test_a_sparse_spike_would_drag_its_neighbours_up() -> None:
    samples = ride(*({"t": 10 * n, "power": 9000.0 if n == 6 else 200.0} for n in range(12)))
    efforts = rank_efforts(Ride(samples))
    assert {best.value for best in efforts.bests["power"]} == {200}
    assert summary_of(samples)["spikes"] == [{"timestamp": T0 + 60_000, "power": 9000}]
