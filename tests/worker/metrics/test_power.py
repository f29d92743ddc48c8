import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker import oracle
from tests.worker.readings import T0, Readings, at_1hz, at_seconds, columns, readings_of
from worker.metrics.power import average_power, max_power, normalized_power, total_energy
from worker.metrics.series import resample


def energy(readings: dict[float, float | None]) -> float | None:
    return total_energy(*columns([(T0 + round(1000 * t), p) for t, p in readings.items()]))


def close(value: float | None) -> object:
    """What a sum in another order may differ by."""
    return None if value is None else pytest.approx(value, rel=1e-9, abs=1e-6)


def test_coasting_counts_in_the_average() -> None:
    # Leaving the zeros out would give 263 W instead of 219.
    assert average_power(at_1hz([263.0] * 5 + [0.0])) == pytest.approx(263 * 5 / 6)


def test_an_average_of_zero_is_zero() -> None:
    coasting = at_1hz([0.0] * 60)
    assert average_power(coasting) == max_power(coasting) == normalized_power(coasting) == 0


def test_a_ride_without_power_has_no_power_rather_than_zero() -> None:
    nothing = at_1hz([None] * 60)
    assert average_power(nothing) is max_power(nothing) is normalized_power(nothing) is None
    assert energy(dict.fromkeys(range(60), None)) is None


def test_average_and_maximum_are_those_of_the_seconds() -> None:
    # Seconds 0 to 4: 100, then 150 and 200 filled in, 250, and 600 as the mean of 400 and 800.
    series = at_seconds({0: 100, 3: 250, 4: 400, 4.25: 800})
    assert average_power(series) == (100 + 150 + 200 + 250 + 600) / 5
    assert max_power(series) == 600


def test_surges_shorter_than_the_window_average_out() -> None:
    # Without the 30 s window it would be 336 W.
    assert normalized_power(at_1hz([0.0, 400.0] * 600)) == pytest.approx(200)


def test_a_block_of_power_counts_window_by_window() -> None:
    # 60 s at 400 W, then 60 s of coasting: 31 windows at 400 W, 29 on the way down, 31 at zero.
    # Counting partial windows at the beginning would give 353 W.
    falling = sum((400 * k / 30) ** 4 for k in range(1, 30))
    expected = ((31 * 400**4 + falling) / 91) ** 0.25
    assert round(expected, 2) == 318.35
    assert normalized_power(at_1hz([400.0] * 60 + [0.0] * 60)) == pytest.approx(expected)


def test_normalized_power_begins_with_thirty_seconds() -> None:
    assert normalized_power(at_1hz([250.0] * 29)) is None
    assert normalized_power(at_1hz([250.0] * 30)) == pytest.approx(250)


def test_two_halves_of_a_window_do_not_make_one_across_a_pause() -> None:
    halves = [200.0] * 29 + [None] * 11 + [200.0] * 29
    assert normalized_power(at_1hz(halves)) is None


def test_a_pause_adds_no_zeros_to_normalized_power() -> None:
    # 31 windows at 100 W and 31 at 300 W, whatever the length of the pause between.
    expected = ((100**4 + 300**4) / 2) ** 0.25
    for pause in (11, 3600):
        parts = [100.0] * 60 + [None] * pause + [300.0] * 60
        assert normalized_power(at_1hz(parts)) == pytest.approx(expected)


def test_energy_is_power_over_time() -> None:
    # 100 W for 1 s, 200 W for 5 s, 300 W for half a second, 400 W for the last second.
    assert energy({0: 100, 1: 200, 6: 300, 6.5: 400}) == pytest.approx(1.65)


def test_a_reading_is_worth_ten_seconds_at_most() -> None:
    # 200 W for 10 of the 60 s, and 100 W for the last second.
    assert energy({0: 200, 60: 100}) == pytest.approx(2.1)


def test_a_reading_holds_past_samples_without_power() -> None:
    # Another sensor's samples between two of the meter's take nothing from its work.
    assert energy({0: 100, 0.4: None, 1: 100, 1.4: None}) == pytest.approx(0.2)


def test_a_drop_out_of_the_meter_is_worth_ten_seconds_at_most() -> None:
    # 200 W for a second each at 0 to 4 and at 36, and for 10 of the 31 s at 5.
    silent: dict[float, float | None] = dict.fromkeys(range(6, 36))
    dense: dict[float, float | None] = dict.fromkeys(range(6), 200.0)
    assert energy({**dense, **silent, 36: 200}) == pytest.approx(0.2 * (5 + 10 + 1))


def test_a_meter_that_sends_every_twenty_seconds_measures_an_hour() -> None:
    assert energy({20 * n: 200 for n in range(181)}) == pytest.approx(720.2)
    series = at_seconds({20 * n: 200 for n in range(181)})
    assert normalized_power(series) == pytest.approx(200)
    assert len(series) == 3601


@given(readings_of(2000))
def test_power_is_what_plain_loops_find(readings: Readings) -> None:
    series = resample(*columns(readings))
    seconds = oracle.seconds(readings)
    assert average_power(series) == pytest.approx(oracle.average(seconds))
    assert max_power(series) == pytest.approx(max(seconds, default=None))
    assert normalized_power(series) == close(oracle.normalized_power(readings))
    assert total_energy(*columns(readings)) == pytest.approx(oracle.energy(readings))


@given(st.integers(30, 3600), st.floats(0, 2000))
def test_an_even_ride_has_its_average_as_normalized_power(seconds: int, watts: float) -> None:
    series = at_1hz([watts] * seconds)
    assert normalized_power(series) == pytest.approx(average_power(series))


@given(readings_of(2000), st.floats(0.1, 3))
def test_normalized_power_scales_with_power(readings: Readings, k: float) -> None:
    plain = normalized_power(resample(*columns(readings)))
    scaled = [(time, None if watts is None else k * watts) for time, watts in readings]
    expected = None if plain is None else k * plain
    assert normalized_power(resample(*columns(scaled))) == close(expected)


@given(st.lists(st.floats(0, 2000), min_size=30, max_size=200))
def test_normalized_power_lies_within_the_ride(watts: list[float]) -> None:
    value = normalized_power(at_1hz(watts))
    assert value is not None
    assert min(watts) - 1e-6 <= value <= max(watts) + 1e-6
