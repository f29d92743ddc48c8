import numpy as np
import pytest
from hypothesis import given

from tests.worker import oracle
from tests.worker.readings import T0, Readings, columns, readings_of
from worker.metrics.heartrate import average_heartrate


def average(readings: dict[float, float | None]) -> float | None:
    return average_heartrate(*columns([(T0 + round(1000 * t), r) for t, r in readings.items()]))


def test_a_reading_weighs_as_long_as_it_holds() -> None:
    # 100 bpm for 1 s, 160 for 8 s, 130 for the last second.
    assert average({0: 100, 1: 160, 9: 130}) == pytest.approx((100 + 160 * 8 + 130) / 10)


def test_a_reading_weighs_fifteen_seconds_at_most() -> None:
    # 100 bpm for 15 of the 600 s, 180 for the last second.
    assert average({0: 100, 600: 180}) == pytest.approx((100 * 15 + 180) / 16)


def test_a_reading_of_a_strap_that_sends_every_half_minute_holds_as_long() -> None:
    # 100 bpm three times for 30 s, 160 twice, and for the last second.
    readings: dict[float, float | None] = {0: 100, 30: 100, 60: 100, 90: 160, 120: 160, 150: 160}
    assert average(readings) == pytest.approx((100 * 90 + 160 * 61) / 151)


def test_other_sensors_in_between_take_no_weight_away() -> None:
    # 100 bpm for ten minutes, power 10 ms after each reading; then 160 bpm alone for ten minutes.
    seconds = np.arange(1200)
    beats: dict[float, float | None] = {float(t): 100.0 if t < 600 else 160.0 for t in seconds}
    power: dict[float, float | None] = {t + 0.01: None for t in range(600)}
    assert average(dict(sorted((beats | power).items()))) == 130  # by the next sample: 159.4


def test_a_missing_heart_rate_is_not_zero() -> None:
    assert average({0: 150, 1: None, 2: 140}) == pytest.approx((150 * 2 + 140) / 3)
    assert average({0: None, 1: None}) is None
    assert average({}) is None


@given(readings_of(220))
def test_heart_rate_is_what_plain_loops_find(readings: Readings) -> None:
    found = average_heartrate(*columns(readings))
    assert found == pytest.approx(oracle.average_heartrate(readings))
