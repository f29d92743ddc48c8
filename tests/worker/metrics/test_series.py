import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker import oracle
from tests.worker.readings import T0, Readings, at_1hz, at_seconds, columns, readings_of
from worker.metrics.series import (
    fill_limit,
    holding_times,
    linear_recurrence,
    resample,
    window_means,
)


def test_timestamps_are_rounded_to_whole_seconds() -> None:
    series = at_seconds({0.0: 1, 0.6: 2, 2.499: 3, 2.5: 4})
    assert (series.seconds - T0 // 1000).tolist() == [0, 1, 2, 3]
    assert series.values.tolist() == [1, 2, 3, 4]


def test_several_readings_of_a_second_are_averaged() -> None:
    # Half past belongs to the next second: 100, 200 and 300 | 500 and 700.
    series = at_seconds({0.0: 100, 0.25: 200, 0.499: 300, 0.5: 500, 0.75: 700})
    assert series.values.tolist() == [200, 600]


def test_ten_missing_seconds_are_filled_on_a_line() -> None:
    series = at_seconds({0: 100, 11: 210})
    assert series.values.tolist() == [100, 110, 120, 130, 140, 150, 160, 170, 180, 190, 200, 210]
    assert set(series.segments.tolist()) == {0}


def test_eleven_missing_seconds_end_the_segment_and_are_left_out() -> None:
    series = at_seconds({0: 100, 12: 220})
    assert series.values.tolist() == [100, 220]
    assert series.segments.tolist() == [0, 1]


def test_missing_is_not_zero() -> None:
    assert at_1hz([100, None, None, 130]).values.tolist() == [100, 110, 120, 130]


def test_nothing_is_filled_before_the_first_or_after_the_last_reading() -> None:
    assert at_1hz([None, None, 100, 200, None]).values.tolist() == [100, 200]


def test_missing_values_are_not_compressed_away() -> None:
    # Twenty missing seconds stay twenty seconds: the readings around them are no neighbours.
    series = at_1hz([100.0] * 5 + [None] * 20 + [200.0] * 5)
    assert series.seconds[5] - series.seconds[4] == 21
    assert series.segments.tolist() == [0] * 5 + [1] * 5


def test_a_channel_that_was_never_measured_has_no_seconds() -> None:
    assert len(at_1hz([None, None])) == len(at_1hz([])) == 0


def test_a_window_never_spans_two_segments() -> None:
    series = at_seconds({**dict.fromkeys(range(4), 100.0), **dict.fromkeys(range(15, 19), 200.0)})
    assert window_means(series, 3).tolist() == [100, 100, 200, 200]


def test_only_full_windows_count() -> None:
    assert window_means(at_1hz([1, 2, 3]), 4).tolist() == []
    assert window_means(at_1hz([1, 2, 3, 6]), 4).tolist() == [3]


def test_what_is_recorded_every_thirty_seconds_is_filled() -> None:
    # Three times 30 s: two lost readings are bridged, three end the segment.
    series = at_seconds({30.0 * n: 200.0 for n in (0, 1, 2, 3, 6, 7, 8, 12, 13)})
    lengths = np.unique(series.segments, return_counts=True)[1].tolist()
    assert lengths == [241, 31]


def test_the_fill_limit_is_three_usual_intervals_between_ten_and_ninety_seconds() -> None:
    assert fill_limit(np.array([1, 1, 1, 40])) == 10
    assert fill_limit(np.array([5, 5, 5, 40])) == 15
    assert fill_limit(np.array([20, 20, 20, 70])) == 60
    assert fill_limit(np.array([60, 60, 60, 400])) == 90
    assert fill_limit(np.array([60, 60])) == 10  # two steps do not tell what is usual


def test_a_channel_sparser_than_the_others_has_its_own_limit() -> None:
    # Every 5 s, and a drop-out of 14 s: three times 5 s are filled.
    assert len(at_seconds({**{5.0 * n: 140.0 for n in range(10)}, 60: 140.0})) == 61


def test_a_reading_holds_until_the_next_up_to_the_limit_and_the_last_for_a_second() -> None:
    times = np.array([0, 250, 5_250, 35_250], np.int64)
    assert holding_times(times).tolist() == [0.25, 5, 15, 1]  # the usual step is 5 s
    assert holding_times(times[:3], longest=3).tolist() == [0.25, 5, 1]
    assert holding_times(np.array([0, 60_000])).tolist() == [10, 1]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1000)), max_size=1000))
def test_a_recurrence_is_what_a_plain_loop_finds(steps: list[tuple[float, float]]) -> None:
    level, expected = 0.0, []
    for a, b in steps:
        level = a * level + b
        expected.append(level)
    kept, added = np.array(steps, float).reshape(-1, 2).T
    assert linear_recurrence(kept, added) == pytest.approx(np.array(expected))


@given(readings_of(2000))
def test_the_series_is_what_plain_loops_find(readings: Readings) -> None:
    series = resample(*columns(readings))
    lengths = np.unique(series.segments, return_counts=True)[1].tolist()
    assert lengths == [len(segment) for segment in oracle.segments(readings)]
    assert series.values.tolist() == pytest.approx(oracle.seconds(readings))


@given(readings_of(2000))
def test_every_second_stands_once_and_in_order(readings: Readings) -> None:
    series = resample(*columns(readings))
    steps = np.diff(series.seconds)
    assert (steps[np.diff(series.segments) == 0] == 1).all()
    assert (steps[np.diff(series.segments) == 1] > 11).all()
    assert (np.diff(series.segments) <= 1).all()


@given(readings_of(2000), st.integers(-1_000_000, 1_000_000))
def test_the_time_of_day_makes_no_difference(readings: Readings, shift: int) -> None:
    series = resample(*columns(readings))
    later = resample(*columns([(time + 1000 * shift, value) for time, value in readings]))
    assert later.values.tolist() == series.values.tolist()
