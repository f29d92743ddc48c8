from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from shared.samples.columns import Samples, concatenate, merge, no_samples
from tests.worker import oracle
from tests.worker.readings import T0, Readings, columns, readings_of, ride, rides, steady
from worker.rides.athlete import Athlete
from worker.rides.ride import Ride
from worker.rides.summary import METHOD_VERSION, summarize

WHOLE = {
    "avgPower",
    "maxPower",
    "normalizedPower",
    "totalEnergy",
    "avgHeartrate",
    "maxHeartrate",
    "avgCadence",
    "avgCadenceWithZeros",
    "maxCadence",
}


def summary_of(samples: Samples, athlete: Athlete | None = None) -> dict[str, Any]:
    """As it is stored."""
    stored = msgspec.json.encode(summarize(Ride(samples), athlete or Athlete()))
    summary: dict[str, Any] = msgspec.json.decode(stored)
    return summary


def test_figures_are_whole_at_the_top_and_unrounded_under_precise() -> None:
    # 150, 150 and 151 W for a second each: 150.33 W on average, 0.451 kJ.
    samples = ride(
        {"t": 0, "power": 150, "heartrate": 120, "cadence": 80},
        {"t": 1, "power": 150, "heartrate": 121, "cadence": 0},
        {"t": 2, "power": 151, "heartrate": 121, "cadence": 85},
    )
    summary = summary_of(samples)
    expected = {
        "avgPower": (150, 451 / 3),
        "maxPower": (151, 151),
        "totalEnergy": (0, 0.451),
        "avgHeartrate": (121, 362 / 3),
        "maxHeartrate": (121, 121),
        "avgCadence": (83, 82.5),  # a half is rounded up
        "avgCadenceWithZeros": (55, 55),
        "maxCadence": (85, 85),
    }
    assert {name: summary[name] for name in expected} == {n: w for n, (w, _) in expected.items()}
    assert all(type(summary[name]) is int for name in expected)
    precise = {name: pytest.approx(value) for name, (_, value) in expected.items()}
    assert summary["precise"] == {**precise, "normalizedPower": None}
    assert summary["precise"].keys() == WHOLE


def test_a_summary_says_by_which_definitions_it_was_made() -> None:
    summary = summary_of(steady(60, power=200))
    assert summary["methodVersion"] == METHOD_VERSION
    assert summary["parameters"] == {}


def test_of_many_gaps_and_spikes_the_first_200_are_listed_and_all_are_counted() -> None:
    summary = summary_of(ride(*({"t": 100.0 * n, "power": 3000.0} for n in range(251))))
    assert (len(summary["gaps"]), summary["gapCount"]) == (200, 250)
    assert (len(summary["spikes"]), summary["spikeCount"]) == (200, 251)
    assert summary["gaps"][-1] == {"from": T0 + 199 * 100_000, "to": T0 + 200 * 100_000}
    assert summary["spikes"][0] == {"timestamp": T0, "power": 3000}


def test_of_many_strays_the_first_200_are_listed_and_all_are_counted() -> None:
    strays = [steady(1, begin=-2 * 86_400 * n) for n in range(250, 0, -1)]
    summary = summary_of(concatenate([*strays, steady(30_000, power=200)]))
    assert (len(summary["strays"]), summary["strayCount"]) == (200, 250)
    first = T0 - 2 * 86_400_000 * 250
    assert summary["strays"][0] == {"from": first, "to": first, "samples": 1}
    assert (summary["sampleCount"], summary["recordedTime"]) == (30_250, 30_000)


def test_a_second_twice_and_one_without_a_sample_are_not_taken_for_each_other() -> None:
    # Seconds of 100, (200 + 400) / 2, 400 between 300 and 500, and 500 W, from four samples.
    times, watts = (0, 1, 1.2, 3), (100, 200, 400, 500)
    samples = ride(*({"t": t, "power": p} for t, p in zip(times, watts, strict=True)))
    assert summary_of(samples)["precise"]["avgPower"] == 325


def test_intervals_are_listed_with_what_was_measured_in_them() -> None:
    # Ten easy minutes, five hard ones, in the last of which the cadence sensor reads 0, ten easy.
    samples = concatenate(
        [
            steady(600, power=120, heartrate=110, cadence=80, speed=7),
            steady(240, begin=600, power=300, heartrate=150, cadence=90, speed=10),
            steady(60, begin=840, power=300, heartrate=160, cadence=0, speed=10),
            steady(600, begin=900, power=120, heartrate=110, cadence=80, speed=7),
        ]
    )
    summary = summary_of(samples, Athlete(weight=75))
    assert summary["intervalCount"] == 1
    assert summary["intervals"] == [
        {
            "start": T0 + 600_000,
            "duration": 300,
            "avgPower": 300,
            "wattsPerKilogram": 4,
            "avgHeartrate": 152,  # four minutes at 150 and one at 160
            "avgCadence": 90,
            "avgSpeed": 10,
        }
    ]


def test_what_an_interval_lacks_is_null() -> None:
    parts = [steady(300, power=100), steady(300, begin=300, power=300)]
    (interval,) = summary_of(concatenate(parts))["intervals"]
    for member in ("wattsPerKilogram", "avgHeartrate", "avgCadence", "avgSpeed"):
        assert interval[member] is None


def test_of_many_intervals_the_first_200_are_listed_and_all_are_counted() -> None:
    parts = []
    for n in range(210):
        parts += [
            steady(120, begin=240 * n, power=100),
            steady(120, begin=240 * n + 120, power=300),
        ]
    summary = summary_of(concatenate(parts))
    assert (len(summary["intervals"]), summary["intervalCount"]) == (200, 210)


def test_time_distance_and_speed_of_a_ride_with_a_pause() -> None:
    # A minute at 8 m/s, a pause of 60 s, half a minute at 8 m/s, and ten seconds at rest.
    moving = [*range(60), *range(120, 150)]
    metres = {t: 8 * i for i, t in enumerate(moving)}
    samples = concatenate(
        [
            ride(*({"t": t, "speed": 8.0, "distance": metres[t], "power": 200} for t in moving)),
            steady(10, begin=150, speed=0, distance=metres[149], power=0),
        ]
    )
    summary = summary_of(samples)
    assert summary["sampleCount"] == 100
    assert summary["duration"] == 159
    assert summary["recordedTime"] == 100
    assert summary["movingTime"] == 90
    assert summary["totalDistance"] == 8 * 89
    assert summary["avgSpeed"] == 7.12
    assert summary["maxSpeed"] == 8
    assert summary["coverage"] == 0.625  # 100 of 160 s
    assert summary["gaps"] == [{"from": T0 + 59_000, "to": T0 + 120_000}]


def test_distance_comes_from_the_positions_where_the_device_recorded_none() -> None:
    samples = ride({"t": 0, "lat": 47.0, "lng": 8.0}, {"t": 10, "lat": 47.001, "lng": 8.0})
    assert summary_of(samples)["totalDistance"] == pytest.approx(111.195, abs=0.001)


def test_a_recorded_distance_is_preferred_to_the_positions() -> None:
    samples = ride(
        {"t": 0, "lat": 47.0, "lng": 8.0, "distance": 0},
        {"t": 10, "lat": 47.001, "lng": 8.0, "distance": 100},
    )
    assert summary_of(samples)["totalDistance"] == 100


def test_the_highest_heart_rate_leaves_out_a_strap_without_contact() -> None:
    summary = summary_of(steady(60, power=200, heartrate=0))
    assert summary["avgHeartrate"] is summary["maxHeartrate"] is None


def test_an_empty_ride_has_times_of_zero_and_figures_of_none() -> None:
    summary = summary_of(no_samples())
    assert summary["sampleCount"] == summary["duration"] == summary["recordedTime"] == 0
    assert summary["coverage"] == 0
    assert summary["gaps"] == []
    assert summary["precise"] == dict.fromkeys(WHOLE)
    absent = {*WHOLE, "movingTime", "totalDistance", "avgSpeed", "maxSpeed"}
    assert {name: summary[name] for name in absent} == dict.fromkeys(absent)


def test_a_ride_without_power_has_everything_else() -> None:
    summary = summary_of(steady(60, heartrate=140, cadence=90, speed=8))
    powerless = ("avgPower", "maxPower", "normalizedPower", "totalEnergy")
    assert {name: summary[name] for name in powerless} == dict.fromkeys(powerless)
    assert summary["coverage"] == 0
    assert summary["avgHeartrate"] == 140
    assert summary["avgCadence"] == 90
    assert summary["movingTime"] == summary["recordedTime"] == 60


def test_one_sample_is_a_ride_of_a_second() -> None:
    summary = summary_of(ride({"t": 0, "power": 250, "distance": 12}))
    assert summary["duration"] == 0
    assert summary["recordedTime"] == 1
    assert summary["avgPower"] == 250
    assert summary["precise"]["totalEnergy"] == 0.25
    assert summary["totalDistance"] is summary["avgSpeed"] is None


def _samples(readings: Readings) -> Samples:
    times, values = columns(readings)
    chosen = np.append(np.diff(times) > 0, True) if len(times) else slice(None)
    return Samples(times[chosen], {"power": values[chosen], "heartrate": values[chosen]})


@given(readings_of(250))
def test_a_summary_is_what_plain_loops_find(readings: Readings) -> None:
    samples = _samples(readings)
    channel = zip(samples.timestamps.tolist(), samples.channel("power").tolist(), strict=True)
    watts: Readings = [(time, None if np.isnan(value) else value) for time, value in channel]
    beats: Readings = [(time, value or None) for time, value in watts]  # 0: no contact
    summary = summary_of(samples)
    seconds = oracle.seconds(readings)
    assert summary["precise"]["avgPower"] == pytest.approx(oracle.average(seconds))
    assert summary["precise"]["totalEnergy"] == pytest.approx(oracle.energy(readings))
    assert summary["precise"]["avgHeartrate"] == pytest.approx(oracle.average_heartrate(beats))
    stamps: Readings = [(int(time), 1.0) for time in samples.timestamps]
    assert summary["gaps"] == [{"from": a, "to": b} for a, b in oracle.gaps([watts, beats])]
    assert summary["recordedTime"] == len(oracle.recorded([stamps, watts, beats]))


@given(rides(), st.data())
def test_splitting_shuffling_and_repeating_uploads_changes_nothing(
    samples: Samples, data: st.DataObject
) -> None:
    count = len(samples)
    places = np.arange(count)
    batches = data.draw(st.lists(st.lists(st.integers(0, count - 1)), max_size=8))
    uploads = [np.isin(places, batch) for batch in batches]
    uploads.insert(data.draw(st.integers(0, len(uploads))), np.ones(count, bool))
    arrived = merge(concatenate([samples.select(chosen) for chosen in uploads]))
    assert summary_of(arrived) == summary_of(samples)


@given(rides())
def test_summaries_hold_only_what_json_can_say(samples: Samples) -> None:
    def finite(value: float | None) -> bool:
        return value is None or bool(np.isfinite(value))

    summary = asdict(summarize(Ride(samples), Athlete()))
    precise = asdict(summary.pop("precise"))
    numbers = {name: value for name, value in summary.items() if isinstance(value, int | float)}
    assert numbers.keys() >= {"duration", "recorded_time", "coverage", "sample_count"}
    assert all(map(finite, (*numbers.values(), *precise.values())))
