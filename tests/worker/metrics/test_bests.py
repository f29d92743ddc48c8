from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker import oracle
from tests.worker.readings import T0, Readings, at_1hz, at_seconds, columns, readings_of
from worker.metrics.bests import (
    POWER_DURATIONS,
    Effort,
    best_efforts,
    best_unbroken_efforts,
    curve_durations,
    cut,
)
from worker.metrics.series import Series, resample

T0_SECONDS = T0 // 1000


def efforts_of(series: Series, *durations: int, until: int | None = None) -> list[Effort]:
    """Of a ride that begins at T0 and ends with the series, or after so many seconds."""
    last = int(series.seconds[-1]) if until is None else T0_SECONDS + until - 1
    return best_efforts(series, np.array(durations), T0_SECONDS, last)


def values_of(series: Series, *durations: int, until: int | None = None) -> dict[int, float]:
    return {effort.duration: effort.value for effort in efforts_of(series, *durations, until=until)}


def unbroken_values_of(series: Series, *durations: int) -> dict[int, float]:
    efforts = best_unbroken_efforts(series, np.array(durations))
    return {effort.duration: effort.value for effort in efforts}


def test_the_best_is_the_highest_mean_and_knows_when_it_began() -> None:
    # 400 W from the 11th to the 15th second of 100 W.
    series = at_1hz([100.0] * 10 + [400.0] * 5 + [100.0] * 10)
    five, ten = efforts_of(series, 5, 10)
    assert (five.value, five.started) == (400, T0_SECONDS + 10)
    assert ten.value == (5 * 400 + 5 * 100) / 10


def test_a_stop_counts_as_zero_work_and_takes_no_best_away() -> None:
    # 20 min at 250 W, a minute's stop, 20 min more.
    series = at_seconds(dict.fromkeys((*range(1200), *range(1260, 2460)), 250.0))
    found = values_of(series, 1200, 1800, 2460)
    assert found == pytest.approx({1200: 250, 1800: 250 * 1740 / 1800, 2460: 250 * 2400 / 2460})


def test_a_best_is_an_exact_mean_though_a_longer_one_be_higher() -> None:
    # 400 W in the first and the last half minute of 21 min at 200 W: no 20 min hold both.
    series = at_1hz([400.0] * 30 + [200.0] * 1200 + [400.0] * 30)
    found = values_of(series, 60, 1200, 1260)
    assert found == {60: 300, 1200: 205, 1260: pytest.approx(200 + 200 * 60 / 1260)}
    assert values_of(at_1hz([10.0, 0.0, 10.0]), 1, 2, 3) == pytest.approx({1: 10, 2: 5, 3: 20 / 3})


def test_no_best_is_longer_than_the_ride_nor_shorter_for_a_meter_that_died() -> None:
    series = at_1hz([240.0] * 600)
    assert values_of(series, 600, 601) == {600: 240}
    assert values_of(series, 600, 1200, 1201, until=1200) == {600: 240, 1200: 120}
    assert efforts_of(at_1hz([]), 1, until=60) == []


def test_heart_rate_stays_within_segments() -> None:
    # Ten seconds of 160 bpm on either side of eleven missing ones.
    series = at_seconds(dict.fromkeys((*range(10), *range(21, 31)), 160.0))
    assert unbroken_values_of(series, 10, 11, 20) == {10: 160}


def test_an_effort_may_span_seconds_that_were_filled() -> None:
    series = at_seconds(dict.fromkeys((*range(10), *range(20, 30)), 300.0))
    assert values_of(series, 20, 30) == unbroken_values_of(series, 20, 30) == {20: 300, 30: 300}


def test_a_constant_ride_is_its_own_best_of_every_duration() -> None:
    efforts = efforts_of(at_1hz([250.0] * 3600), *curve_durations(3600).tolist())
    assert {effort.value for effort in efforts} == {250}
    assert {effort.duration for effort in efforts} >= {d for d in POWER_DURATIONS if d <= 3600}


def test_the_curve_has_every_second_to_two_minutes_and_about_a_hundred_beyond() -> None:
    durations = curve_durations(24 * 3600).tolist()
    assert durations[:120] == list(range(1, 121))
    assert 100 <= len(durations) - 120 <= 120
    assert curve_durations(600).tolist() == [d for d in durations if d <= 600]


def test_no_best_touches_an_excluded_range() -> None:
    # 61 s at 200 W: without the first ten, and without the one in the middle.
    series = at_1hz([200.0] * 61)
    last = T0_SECONDS + 60
    start = [(T0_SECONDS, T0_SECONDS + 10)]
    assert cut(series, start).seconds[0] == T0_SECONDS + 10
    durations = np.array([30, 31, 51, 52])
    found = best_efforts(series, durations, T0_SECONDS, last, start)
    assert [effort.duration for effort in found] == [30, 31, 51]
    middle = [(T0_SECONDS + 30, T0_SECONDS + 31)]
    assert unbroken_values_of(cut(series, middle), 30, 31) == {30: 200}
    found = best_efforts(series, durations, T0_SECONDS, last, middle)
    assert [(effort.duration, effort.value) for effort in found] == [(30, 200)]
    everything = [(T0_SECONDS - 0.5, T0_SECONDS + 100.5)]
    assert best_efforts(series, durations, T0_SECONDS, last, everything) == []


def test_excluded_ranges_may_overlap_and_the_best_part_wins() -> None:
    series = at_1hz([200.0] * 20 + [300.0] * 20 + [250.0] * 20)
    ranges = [(T0_SECONDS + 25.5, T0_SECONDS + 45), (T0_SECONDS + 18, T0_SECONDS + 30.2)]
    found = best_efforts(series, np.array([15, 18]), T0_SECONDS, T0_SECONDS + 59, ranges)
    assert [(effort.duration, effort.value) for effort in found] == [(15, 250), (18, 200)]
    assert found[0].started == T0_SECONDS + 45


def test_readings_years_apart_need_no_room_for_the_time_between() -> None:
    # A thousand days with ten seconds each: a second would take 690 MB.
    seconds = [86_400 * day + t for day in range(1000) for t in range(10)]
    series = at_seconds({float(t): 100.0 + (t >= 86_400 * 500) for t in seconds})
    at_the_end = at_seconds({float(t): 100.0 for t in (0, 1_000_000)})
    assert efforts_of(at_the_end, 5)[0].started == T0_SECONDS
    louder_at_the_end = at_seconds({0: 100.0, 1_000_000: 110.0})
    assert efforts_of(louder_at_the_end, 5)[0].started == T0_SECONDS + 1_000_000 - 4
    found = efforts_of(series, 1, 10, 100, 86_400 + 10)
    assert [effort.value for effort in found] == pytest.approx(
        [101, 101, 10.1, 101 * 20 / (86_400 + 10)]
    )
    assert found[1].started == T0_SECONDS + 86_400 * 500


@given(readings_of(2000), st.integers(0, 200))
def test_bests_are_what_plain_loops_find(readings: Readings, rest: int) -> None:
    durations = [1, 2, 3, 5, 8, 13, 30, 60]
    series = resample(*columns(readings))
    if not len(series):
        return
    last = int(series.seconds[-1]) + rest
    found = {
        e.duration: e.value for e in best_efforts(series, np.array(durations), T0_SECONDS, last)
    }
    elapsed = oracle.elapsed(readings, T0_SECONDS, last)
    assert found == pytest.approx(oracle.bests([elapsed], durations), abs=1e-4)
    unbroken = oracle.bests(oracle.segments(readings), durations)
    assert unbroken_values_of(series, *durations) == pytest.approx(unbroken, abs=1e-4)


WHOLE = st.lists(st.integers(0, 2000).map(float), min_size=1, max_size=200)
TENTHS = st.lists(st.integers(0, 20_000).map(lambda tenths: tenths / 10), min_size=1, max_size=200)
# Sums of these need more than 32 bits, and half of them are negative.
LARGE = st.lists(st.integers(-(2**40), 2**40).map(float), min_size=1, max_size=50)


@given(WHOLE | TENTHS | LARGE)
def test_every_best_is_to_the_last_bit_the_first_highest_difference_of_running_sums(
    watts: list[float],
) -> None:
    sums = list(accumulate(watts, initial=0.0))
    plain = []
    for duration in range(1, len(watts) + 1):
        totals = [sums[end] - sums[end - duration] for end in range(duration, len(sums))]
        start = totals.index(max(totals))
        plain.append(Effort(duration, totals[start] / duration, T0_SECONDS + start))
    assert efforts_of(at_1hz(watts), *range(1, len(watts) + 1)) == plain


@given(st.lists(st.tuples(st.integers(-5, 70), st.integers(0, 20)), min_size=1))
def test_what_is_left_of_many_excluded_ranges_is_what_plain_loops_leave(
    ranges: list[tuple[int, int]],
) -> None:
    excluded = [(T0_SECONDS + start, T0_SECONDS + start + length) for start, length in ranges]
    left = cut(at_1hz([200.0] * 61), excluded).seconds.tolist()
    seconds = range(T0_SECONDS, T0_SECONDS + 61)
    assert left == [s for s in seconds if not any(start <= s < end for start, end in excluded)]


@given(readings_of(2000))
def test_few_seconds_far_apart_have_the_bests_that_plain_loops_find(readings: Readings) -> None:
    """The same ride once with every second in an array, and once from its recorded ones alone."""
    series = resample(*columns(readings))
    if not len(series):
        return
    late = 400_000 + 4 * len(series)  # so much time after the ride that no array is made of it
    dense = {e.duration: e.value for e in efforts_of(series, 1, 5, 30, until=10_000)}
    sparse = {e.duration: e.value for e in efforts_of(series, 1, 5, 30, until=late)}
    assert sparse == pytest.approx(dense, abs=1e-6)


@given(readings_of(2000), st.floats(0.1, 3))
def test_bests_scale_with_power(readings: Readings, k: float) -> None:
    series = resample(*columns(readings))
    if not len(series):
        return
    found = values_of(series, *range(1, 61))
    scaled = values_of(Series(series.seconds, k * series.values, series.segments), *range(1, 61))
    assert scaled == pytest.approx({d: k * value for d, value in found.items()}, abs=1e-3)
