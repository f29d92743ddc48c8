import math

import numpy as np
import pytest
from hypothesis import given

from tests.worker import oracle
from tests.worker.readings import T0, Readings, at_1hz, columns, readings_of
from worker.metrics.motion import average_speed, moving_time
from worker.metrics.places import follow_places
from worker.metrics.series import FloatArray, resample

METRE = 180 / math.pi / 6_371_008.8  # degrees along a meridian


def test_moving_is_faster_than_half_a_metre_a_second() -> None:
    assert moving_time(at_1hz([0, 0.5, 0.51, 8, 8])) == 3
    assert moving_time(at_1hz([0, 0])) == 0


def test_moving_time_is_unknown_without_speed_and_places() -> None:
    assert moving_time(at_1hz([None, None])) is None


def test_the_places_tell_where_speed_is_unknown() -> None:
    # Ten minutes at 8 m/s, ten at rest, ten at 8 m/s; the speed is known for the first five only.
    metres = [8.0 * (min(t, 600) + max(t - 1200, 0)) for t in range(1800)]
    lat: FloatArray = 47 + METRE * np.array(metres)
    times = T0 + 1000 * np.arange(1800, dtype=np.int64)
    places = follow_places(times, lat, np.full(1800, 8.0))
    assert moving_time(at_1hz([]), places) == pytest.approx(1200, abs=2)
    assert moving_time(at_1hz([8.0] * 150 + [0.0] * 150), places) == pytest.approx(1050, abs=2)


def test_an_average_speed_is_never_above_the_highest() -> None:
    assert average_speed(28_800, 3600, None) == 8
    assert average_speed(28_800, 3600, 8.5) == 8
    assert average_speed(28_800, 1800, 8.5) == 8.5
    assert average_speed(0, 0, None) is None


@given(readings_of(3))
def test_moving_time_is_what_plain_loops_find(readings: Readings) -> None:
    seconds = oracle.seconds(readings)
    found = moving_time(resample(*columns(readings)))
    if not seconds:
        assert found is None
        return
    # A filled second may lie within a rounding error of the threshold.
    surely, perhaps = (sum(speed > limit for speed in seconds) for limit in (0.5001, 0.4999))
    assert found is not None
    assert surely <= found <= perhaps
