"""Which two recordings are of one ride."""

import numpy as np
import pytest

from shared.samples.columns import Samples
from tests.worker.readings import steady
from worker.rides.duplicates import contradict, sameness
from worker.rides.ride import Ride

HOUR = 3600


def recorded(*stretches: tuple[int, int]) -> Ride:
    """A reading a second, from one second to before another of each stretch."""
    seconds = np.concatenate([np.arange(*each) for each in stretches])
    times = 1_700_000_000_000 + 1000 * seconds
    return Ride(Samples(times, {"power": np.full(len(times), 200.0)}))


@pytest.mark.parametrize(
    "other",
    [
        recorded((0, HOUR)),
        recorded((120, HOUR + 60)),  # a watch, started late
        recorded((0, 1000), (1300, HOUR)),  # a head unit that stops the clock at lights
        recorded((0, 1800), (2700, HOUR)),  # or that was paused for a coffee
        recorded((-300, HOUR + 300)),  # stopped only at home
    ],
)
def test_recordings_of_one_ride_are_found_whichever_was_first(other: Ride) -> None:
    one = recorded((0, HOUR))
    assert sameness(one, other)
    assert sameness(other, one)


@pytest.mark.parametrize(
    "other",
    [
        recorded((HOUR // 2, HOUR + HOUR // 2)),  # two rides that overlap: 50 %
        recorded((500, HOUR + 500)),  # 86 % of an hour
        recorded((0, 600)),  # the first ten minutes: a sixth of the ride
        recorded((0, 3 * HOUR)),  # a device that died after the first hour
        recorded((HOUR, 2 * HOUR)),
        recorded((0, 300), (HOUR - 300, HOUR), (2 * HOUR, 3 * HOUR)),
    ],
)
def test_rides_that_merely_overlap_are_two(other: Ride) -> None:
    one = recorded((0, HOUR))
    assert sameness(one, other) is None
    assert sameness(other, one) is None


@pytest.mark.parametrize(
    ("watts", "beats", "differs"),
    [(200, 140, False), (220, 150, False), (250, 140, True), (200, 170, True), (None, None, False)],
)
def test_recordings_contradict_each_other_when_they_measured_different_things(
    watts: float | None, beats: float | None, differs: bool
) -> None:
    """The means of the seconds that both have: 220 W are 9 % from 200 W, 250 W are 20 %."""
    one = Ride(steady(600, power=200, heartrate=140))
    values = {"power": watts, "heartrate": beats, "cadence": 90.0}
    other = Ride(steady(600, 60, **{name: value for name, value in values.items() if value}))
    assert contradict(one, other) == contradict(other, one) == differs


def test_why_names_the_share_and_the_other_ride() -> None:
    """Of the shorter one's 3,600 s, 3,300 are in the other."""
    why = sameness(recorded((300, HOUR + 300)), recorded((0, HOUR)))
    assert why == (
        "92% of it was recorded at the same time as the workout that began 2023-11-14 22:13:20 UTC"
    )


def test_a_recording_without_samples_is_nobody_s_duplicate() -> None:
    assert sameness(Ride(steady(0)), recorded((0, HOUR))) is None
