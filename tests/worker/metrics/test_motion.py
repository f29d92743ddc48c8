import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker import oracle
from tests.worker.readings import Readings, at_1hz, columns, readings_of
from worker.metrics.motion import moving_time, recorded_distance, travelled_distance
from worker.metrics.series import resample

NAN = math.nan
DEGREE = 6_371_008.8 * math.pi / 180  # metres along a meridian, 111.195 km


def travelled(*positions: oracle.Position) -> float | None:
    lat, lng = np.array(positions, float).reshape(-1, 2).T
    return travelled_distance(lat, lng)


def test_recorded_distance_runs_from_the_first_reading_to_the_last() -> None:
    assert recorded_distance(np.array([NAN, 120.5, NAN, 180, 1000.5, NAN])) == 880
    assert recorded_distance(np.array([NAN, NAN])) is None


def test_positions_are_joined_by_great_circles() -> None:
    # A degree along the equator, then one along a meridian.
    assert travelled((0, 10), (0, 11), (1, 11)) == pytest.approx(2 * DEGREE)
    # At 60° north a degree of longitude is about half as long.
    assert travelled((60, 10), (60, 11)) == pytest.approx(DEGREE / 2, rel=1e-4)


def test_riding_back_does_not_undo_the_distance() -> None:
    assert travelled((47, 8), (47.5, 8), (47, 8)) == pytest.approx(DEGREE)


def test_zero_zero_is_a_receiver_without_a_fix() -> None:
    assert travelled((47, 8), (0, 0), (NAN, NAN), (47.5, 8)) == pytest.approx(DEGREE / 2)


def test_one_position_is_no_distance() -> None:
    assert travelled((47, 8), (0, 0)) is None
    assert travelled() is None


def test_moving_is_faster_than_half_a_metre_a_second() -> None:
    assert moving_time(at_1hz([0, 0.5, 0.51, 8, 8])) == 3
    assert moving_time(at_1hz([0, 0])) == 0


def test_moving_time_is_unknown_without_speed() -> None:
    assert moving_time(at_1hz([None, None])) is None


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


@given(st.lists(st.tuples(st.floats(-89, 89), st.floats(-180, 180)), min_size=2, max_size=30))
def test_travelled_distance_is_what_vectors_give(positions: list[oracle.Position]) -> None:
    fixed = [place for place in positions if place != (0, 0)]
    expected = sum(oracle.great_circle(a, b) for a, b in pairwise(fixed))
    found = travelled(*positions)
    # The two formulas differ by centimetres only between antipodes.
    assert found == (None if len(fixed) < 2 else pytest.approx(expected, abs=0.5))


def test_one_bad_reading_on_the_way_changes_no_distance() -> None:
    assert recorded_distance(np.array([500.0, 3000.0, 0.0, 3500.0])) == 3000
    assert recorded_distance(np.array([np.nan, 500.0])) is None
