"""Merging two recordings, channel by channel."""

import numpy as np

from tests.worker.readings import T0, ride, steady
from worker.files.placing import combine


def test_each_channel_is_of_the_recording_that_has_more_of_it() -> None:
    unit = ride(*({"t": t, "power": 200.0, "heartrate": 90.0} for t in range(60)))
    watch = ride(*({"t": t, "heartrate": 140.0} for t in range(100)))
    both = combine(unit, watch)
    assert len(both) == 100
    assert set(both.channel("heartrate")) == {140}
    assert np.count_nonzero(both.channel("power") == 200) == 60


def test_of_equals_the_stored_one_stays() -> None:
    assert set(combine(steady(60, power=200), steady(60, power=250)).channel("power")) == {200}


def test_places_are_of_one_receiver() -> None:
    """The watch has one more longitude, and so both of its own."""
    unit = steady(60, lat=47, lng=8)
    watch = ride(*({"t": t, "lat": 46.0, "lng": 7.0} for t in range(60)), {"t": 60, "lng": 7.0})
    both = combine(unit, watch)
    assert set(both.channel("lat")[:60]) == {46}
    assert set(both.channel("lng")) == {7}


def test_readings_of_the_same_moment_are_one_sample() -> None:
    """The watch's clock is 0.3 s ahead; what is half a second away is another moment."""
    unit = ride(*({"t": t, "power": 200.0} for t in range(60)))
    watch = ride(*({"t": t + 0.3, "heartrate": 140.0} for t in range(60)))
    assert len(combine(unit, watch)) == 60
    off = ride(*({"t": t + 0.5, "heartrate": 140.0} for t in range(60)))
    assert len(combine(unit, off)) == 120


def test_merging_with_nothing_is_the_recording() -> None:
    fresh = steady(60, power=200)
    both = combine(ride(), fresh)
    assert both.timestamps[0] == T0
    assert set(both.channel("power")) == {200}
