from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker import oracle
from tests.worker.readings import T0, Readings, at_1hz, at_seconds, columns, readings_of
from worker.metrics.bests import (
    POWER_DURATIONS,
    best_efforts,
    curve_durations,
    cut,
    never_rising,
)
from worker.metrics.series import Series, resample

T0_SECONDS = T0 // 1000


def values_of(series: Series, *durations: int) -> dict[int, float]:
    efforts = never_rising(best_efforts(series, np.array(durations)))
    return {effort.duration: effort.value for effort in efforts}


def test_the_best_is_the_highest_mean_and_knows_when_it_began() -> None:
    # 400 W from the 11th to the 15th second of 100 W.
    series = at_1hz([100.0] * 10 + [400.0] * 5 + [100.0] * 10)
    five, ten = best_efforts(series, np.array([5, 10]))
    assert (five.value, five.started) == (400, T0_SECONDS + 10)
    assert ten.value == (5 * 400 + 5 * 100) / 10


def test_no_effort_spans_a_gap() -> None:
    # Ten seconds of 300 W on either side of eleven missing ones.
    series = at_seconds(dict.fromkeys((*range(10), *range(21, 31)), 300.0))
    assert values_of(series, 10, 11, 20) == {10: 300}


def test_an_effort_may_span_seconds_that_were_filled() -> None:
    series = at_seconds(dict.fromkeys((*range(10), *range(20, 30)), 300.0))
    assert values_of(series, 20, 30) == {20: 300, 30: 300}


def test_a_longer_duration_never_has_a_higher_best() -> None:
    # The exact means are 10, 5 and 6.7 W.
    assert values_of(at_1hz([10.0, 0.0, 10.0]), 1, 2, 3) == pytest.approx(
        {1: 10, 2: 20 / 3, 3: 20 / 3}
    )


def test_a_constant_ride_is_its_own_best_of_every_duration() -> None:
    efforts = best_efforts(at_1hz([250.0] * 3600), curve_durations(3600))
    assert {effort.value for effort in efforts} == {250}
    assert {effort.duration for effort in efforts} >= {d for d in POWER_DURATIONS if d <= 3600}


def test_the_curve_has_every_second_to_two_minutes_and_about_a_hundred_beyond() -> None:
    durations = curve_durations(24 * 3600).tolist()
    assert durations[:120] == list(range(1, 121))
    assert 100 <= len(durations) - 120 <= 120
    assert curve_durations(600).tolist() == [d for d in durations if d <= 600]


def test_an_excluded_range_is_cut_out_and_nothing_spans_it() -> None:
    series = at_1hz([200.0] * 61)
    kept = cut(series, [(T0_SECONDS, T0_SECONDS + 10)])
    assert kept.seconds[0] == T0_SECONDS + 10
    halved = cut(series, [(T0_SECONDS + 30, T0_SECONDS + 31)])
    assert values_of(halved, 30, 31) == {30: 200}


@given(st.lists(st.tuples(st.integers(-5, 70), st.integers(0, 20)), min_size=1))
def test_what_is_left_of_many_excluded_ranges_is_what_plain_loops_leave(
    ranges: list[tuple[int, int]],
) -> None:
    excluded = [(T0_SECONDS + start, T0_SECONDS + start + length) for start, length in ranges]
    left = cut(at_1hz([200.0] * 61), excluded).seconds.tolist()
    seconds = range(T0_SECONDS, T0_SECONDS + 61)
    assert left == [s for s in seconds if not any(start <= s < end for start, end in excluded)]


@given(readings_of(2000))
def test_bests_are_what_plain_loops_find(readings: Readings) -> None:
    durations = [1, 2, 3, 5, 8, 13, 30, 60]
    found = values_of(resample(*columns(readings)), *durations)
    assert found == pytest.approx(oracle.bests(oracle.segments(readings), durations), abs=1e-4)


@given(readings_of(2000), st.floats(0.1, 3))
def test_bests_scale_with_power_and_never_rise(readings: Readings, k: float) -> None:
    series = resample(*columns(readings))
    found = values_of(series, *range(1, 61))
    scaled = values_of(Series(series.seconds, k * series.values, series.segments), *range(1, 61))
    assert scaled == pytest.approx({d: k * value for d, value in found.items()}, abs=1e-3)
    assert all(a >= b for a, b in pairwise(found.values()))
