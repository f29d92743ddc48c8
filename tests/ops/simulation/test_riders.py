"""Riders of six kinds: the same for the same seed, and each as its kind rides."""

from itertools import pairwise

import numpy as np
import pytest

from ops.simulation.riders import PROFILES, Sample, make_riders
from shared.samples.channels import CHANNEL

T0 = 1_700_000_000_000
KINDS = [profile.name for profile in PROFILES]
RIDES = {each.profile.name: each.ride(3600, T0) for each in make_riders(6, seed=7)}


def column(kind: str, name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([sample[name] for sample in RIDES[kind]])


def test_a_seed_makes_the_same_rides_again_and_another_one_others() -> None:
    def ride(seed: int) -> list[Sample]:
        return make_riders(2, seed)[1].ride(60, T0)

    assert ride(7) == ride(7)
    assert ride(7) != ride(8)


def test_there_are_as_many_riders_of_each_kind() -> None:
    riders = make_riders(12, seed=7)
    assert [each.profile.name for each in riders] == KINDS * 2
    assert riders[8].name == "sprinter-009"


@pytest.mark.parametrize("kind", KINDS)
def test_every_second_has_values_that_a_device_could_measure(kind: str) -> None:
    ride = RIDES[kind]
    assert [sample["timestamp"] for sample in ride] == list(range(T0, T0 + 3_600_000, 1000))
    for name in ride[0].keys() - {"timestamp"}:
        values = column(kind, name)
        assert values.min() >= CHANNEL[name].minimum
        assert values.max() <= CHANNEL[name].maximum
    assert 60 <= column(kind, "heartrate").min() <= column(kind, "heartrate").max() <= 200
    assert column(kind, "speed").max() <= 18
    assert (column(kind, "cadence")[column(kind, "power") == 0] == 0).all()
    metres = [abs(b["lat"] - a["lat"]) * 111_195 for a, b in pairwise(ride)]
    assert max(metres) <= 18.2  # as far as it may go in a second; degrees have six digits


def test_each_kind_rides_in_its_own_way() -> None:
    power = {kind: column(kind, "power") for kind in KINDS}
    assert power["endurance"].std() < 40
    assert power["sprinter"].max() > 2.5 * np.median(power["sprinter"])
    assert np.ptp(column("climber", "altitude")) > 150
    assert (column("commuter", "speed") == 0).sum() > 300  # seconds at red lights
    assert column("e-bike", "speed").max() <= 6.945  # 25 km/h
    assert power["e-bike"].mean() < 0.7 * power["endurance"].mean()
    hard = power["intervals"] > 1.5 * np.percentile(power["intervals"], 10)
    assert 0.4 < hard[600:].mean() < 0.7  # four minutes of seven


def test_the_heart_follows_power_with_a_lag() -> None:
    power, beats = column("intervals", "power"), column("intervals", "heartrate")
    begin = int(np.argmax(power > 1.5 * power[:300].mean()))
    assert beats[begin + 5] < beats[begin + 120] - 20
