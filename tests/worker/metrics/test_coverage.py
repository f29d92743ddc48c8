import numpy as np
import pytest
from hypothesis import given

from tests.worker import oracle
from tests.worker.readings import T0, Readings, at_1hz, columns, readings_of
from worker.metrics.coverage import coverage, elapsed_seconds, gaps
from worker.metrics.series import resample


def at(*seconds: float) -> "np.typing.NDArray[np.int64]":
    return np.array([T0 + round(1000 * second) for second in seconds], np.int64)


def test_both_ends_count_as_elapsed() -> None:
    assert elapsed_seconds(at(0, 1, 99)) == 100
    assert elapsed_seconds(at(0)) == 1
    assert elapsed_seconds(at()) == 0


def test_coverage_is_the_share_of_elapsed_seconds_with_power() -> None:
    # 30 s with power, 20 s without, 50 s with.
    power = at_1hz([200.0] * 30 + [None] * 20 + [200.0] * 50)
    assert coverage(power, 100) == 0.8
    assert coverage(at_1hz([]), 100) == 0
    assert coverage(at_1hz([]), 0) == 0


def test_only_more_than_ten_missing_seconds_are_a_gap() -> None:
    assert gaps(at(0, 11, 22)) == []
    assert gaps(at(0, 12, 13)) == [(T0, T0 + 12_000)]


def test_gaps_are_counted_in_whole_seconds() -> None:
    # 0.4 s is second 0, 11.5 s is second 12: eleven seconds are missing between them.
    assert gaps(at(0.4, 11.5)) == [(T0 + 400, T0 + 11_500)]


@given(readings_of(2000))
def test_gaps_and_coverage_are_what_plain_loops_find(readings: Readings) -> None:
    times, values = columns(readings)
    assert gaps(times) == oracle.gaps(readings)
    seconds = oracle.per_second([(time, 1.0) for time, _ in readings])
    elapsed = max(seconds) - min(seconds) + 1 if seconds else 0
    assert elapsed_seconds(times) == elapsed
    share = len(oracle.seconds(readings)) / elapsed if elapsed else 0
    assert coverage(resample(times, values), elapsed) == pytest.approx(share)
