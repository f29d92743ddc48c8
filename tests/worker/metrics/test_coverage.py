import numpy as np
import pytest
from hypothesis import given

from tests.worker import oracle
from tests.worker.readings import T0, Readings, at_1hz, columns, readings_of
from worker.metrics.coverage import (
    coverage,
    elapsed_seconds,
    gaps,
    recorded_stretches,
    recorded_time,
    recording_interval,
)
from worker.metrics.series import FloatArray, IntArray, resample


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


def gaps_of(times: IntArray, *channels: FloatArray) -> list[tuple[int, int]]:
    return gaps(times, recorded_stretches(times, channels))


def test_only_more_than_ten_missing_seconds_are_a_gap() -> None:
    assert gaps_of(at(0, 11, 22)) == []
    assert gaps_of(at(0, 12, 13)) == [(T0, T0 + 12_000)]
    assert gaps_of(at()) == []


def test_gaps_are_counted_in_whole_seconds() -> None:
    # 0.4 s is second 0, 11.5 s is second 12: eleven seconds are missing between them.
    assert gaps_of(at(0.4, 11.5)) == [(T0 + 400, T0 + 11_500)]


def test_a_ride_recorded_every_twenty_seconds_has_no_gaps() -> None:
    times = at(*range(0, 3601, 20))
    assert gaps_of(times) == []
    assert recorded_time(recorded_stretches(times)) == 3601
    assert recording_interval(times) == 20


def test_a_channel_recorded_sparsely_bridges_what_the_dense_ones_leave() -> None:
    # Heart rate each second for a minute, power every 12 s for two: the second minute is recorded.
    seconds = [*range(61), *range(72, 121, 12)]
    power = np.array([200.0 if t % 12 == 0 else np.nan for t in seconds])
    assert gaps_of(at(*seconds)) == [
        (T0 + 1000 * t, T0 + 1000 * (t + 12)) for t in range(60, 120, 12)
    ]
    assert gaps_of(at(*seconds), power) == []
    assert recorded_time(recorded_stretches(at(*seconds), [power])) == 121


def test_one_sample_has_no_interval() -> None:
    assert recording_interval(at(0)) is None
    assert recorded_time(recorded_stretches(at(0))) == 1


@given(readings_of(2000))
def test_gaps_and_coverage_are_what_plain_loops_find(readings: Readings) -> None:
    times, values = columns(readings)
    assert gaps_of(times, values) == (oracle.gaps([readings]) if readings else [])
    seconds = oracle.per_second([(time, 1.0) for time, _ in readings])
    elapsed = max(seconds) - min(seconds) + 1 if seconds else 0
    assert elapsed_seconds(times) == elapsed
    share = len(oracle.seconds(readings)) / elapsed if elapsed else 0
    assert coverage(resample(times, values), elapsed) == pytest.approx(share)
