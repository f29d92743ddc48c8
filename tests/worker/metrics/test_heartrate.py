import pytest
from hypothesis import given

from tests.worker import oracle
from tests.worker.readings import T0, Readings, columns, readings_of
from worker.metrics.heartrate import average_heartrate, without_contact_missing


def average(readings: dict[float, float | None]) -> float | None:
    return _average([(T0 + round(1000 * t), rate) for t, rate in readings.items()])


def _average(readings: Readings) -> float | None:
    times, rates = columns(readings)
    return average_heartrate(times, without_contact_missing(rates))


def test_a_reading_weighs_as_long_as_it_holds() -> None:
    # 100 bpm for 1 s, 160 for 8 s, 130 for the last second.
    assert average({0: 100, 1: 160, 9: 130}) == pytest.approx((100 + 160 * 8 + 130) / 10)


def test_a_reading_weighs_fifteen_seconds_at_most() -> None:
    # 100 bpm for 15 of the 600 s, 180 for the last second.
    assert average({0: 100, 600: 180}) == pytest.approx((100 * 15 + 180) / 16)


def test_a_strap_without_contact_measures_nothing() -> None:
    assert average({0: 150, 1: 0, 2: 0, 3: 150}) == 150
    assert average({0: 0, 1: 0}) is None


def test_a_missing_heart_rate_is_not_zero() -> None:
    assert average({0: 150, 1: None, 2: 140}) == 145
    assert average({0: None, 1: None}) is None
    assert average({}) is None


@given(readings_of(220))
def test_heart_rate_is_what_plain_loops_find(readings: Readings) -> None:
    assert _average(readings) == pytest.approx(oracle.average_heartrate(readings))
