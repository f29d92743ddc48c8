import pytest
from hypothesis import given

from tests.worker import oracle
from tests.worker.readings import Readings, at_1hz, columns, readings_of
from worker.metrics.cadence import average_cadence, average_cadence_with_zeros
from worker.metrics.series import resample


def test_coasting_counts_only_in_the_average_with_zeros() -> None:
    series = at_1hz([90, 80, 0, 0])
    assert average_cadence(series) == 85
    assert average_cadence_with_zeros(series) == 42.5


def test_a_ride_of_coasting_has_no_cadence_but_a_zero_with_zeros() -> None:
    series = at_1hz([0, 0, 0])
    assert average_cadence(series) is None
    assert average_cadence_with_zeros(series) == 0


def test_a_ride_without_cadence_has_neither() -> None:
    series = at_1hz([None, None])
    assert average_cadence(series) is average_cadence_with_zeros(series) is None


@given(readings_of(200))
def test_cadence_is_what_plain_loops_find(readings: Readings) -> None:
    series = resample(*columns(readings))
    seconds = oracle.seconds(readings)
    pedalling = [rpm for rpm in seconds if rpm > 0]
    assert average_cadence(series) == pytest.approx(oracle.average(pedalling))
    assert average_cadence_with_zeros(series) == pytest.approx(oracle.average(seconds))
