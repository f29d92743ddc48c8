"""How hard a ride was: xPower, stress, W′ balance, decoupling, zones, spikes, climbing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker import oracle
from tests.worker.readings import Readings, at_1hz, at_seconds, columns, readings_of
from worker.metrics.decoupling import decoupling
from worker.metrics.power import (
    intensity_factor,
    training_stress_score,
    variability_index,
    x_power,
)
from worker.metrics.series import resample
from worker.metrics.w_prime import w_prime_balance
from worker.metrics.zones import HEARTRATE_ZONES, POWER_ZONES, time_in_zones


def test_x_power_begins_at_zero_and_rises_to_the_power() -> None:
    # A second weighs 1/26: 26 W for a second are 1 W, for two 1 + 25/26.
    assert x_power(at_1hz([26.0])) == pytest.approx(1)
    assert x_power(at_1hz([26.0, 26.0])) == pytest.approx(((1 + (51 / 26) ** 4) / 2) ** 0.25)
    assert x_power(at_1hz([230.0] * 36_000)) == pytest.approx(230, rel=0.001)
    assert x_power(at_1hz([None])) is None


def test_x_power_decays_through_a_gap_until_it_is_negligible() -> None:
    # 1 W after a second at 26 W; below 0.1 W after 59 more (25/26 to the 59th is 0.0989).
    alone = ((1 + sum((25 / 26) ** (4 * n) for n in range(1, 60)) + 1) / 61) ** 0.25
    assert x_power(at_seconds({0: 26.0, 1000: 26.0})) == pytest.approx(alone, rel=1e-4)
    # In a gap of 20 s it does not get so far, and is carried on.
    decayed = [(25 / 26) ** n for n in range(21)]
    powers = [*decayed, (25 / 26) ** 21 + 1]
    expected = (sum(power**4 for power in powers) / 22) ** 0.25
    assert x_power(at_seconds({0: 26.0, 21: 26.0})) == pytest.approx(expected)


# From 100 W on: of a few watts, a tenth of a watt more or less changes for how long they count.
@given(readings_of(2000, lowest=100))
def test_x_power_is_what_golden_cheetah_s_loop_finds(readings: Readings) -> None:
    expected = oracle.x_power(readings)
    found = x_power(resample(*columns(readings)))
    assert found == (None if expected is None else pytest.approx(expected, rel=0.005, abs=0.1))


@given(st.integers(200, 900), st.integers(0, 2**32 - 1))
def test_x_power_of_a_ride_without_gaps_is_what_the_loop_finds(seconds: int, seed: int) -> None:
    watts = np.random.default_rng(seed).uniform(0, 600, seconds).tolist()
    readings: Readings = [(1000 * t, power) for t, power in enumerate(watts)]
    assert x_power(at_1hz(watts)) == pytest.approx(oracle.x_power(readings), rel=1e-9)


def test_an_hour_at_threshold_is_a_hundred_points() -> None:
    assert intensity_factor(250, 250) == 1
    assert training_stress_score(3600, 1.0) == 100
    assert training_stress_score(1800, 0.8) == pytest.approx(32)  # 100 · ½ · 0.64
    assert intensity_factor(250, None) is training_stress_score(3600, None) is None


def test_variability_is_normalized_over_average() -> None:
    assert variability_index(300, 200) == 1.5
    assert variability_index(0.0, 0.0) is variability_index(None, 200) is None


def test_stress_is_measured_over_the_hours_with_power() -> None:
    # A meter that dies after half an hour at threshold, three and a half hours before the end.
    power = at_1hz([250.0] * 1800 + [None] * 12_600)
    assert training_stress_score(len(power), 1.0) == 50


def test_w_prime_is_spent_above_and_recovers_below_critical_power() -> None:
    # 100 s at 100 W above spend 10 kJ of 20; then a second at 100 W below gives 100 · 10/20 back.
    balance = w_prime_balance(at_1hz([350.0] * 100 + [150.0]), 250, 20_000)
    assert balance[99] == pytest.approx(10_000)
    assert balance[100] == pytest.approx(10_050)


def test_w_prime_comes_back_in_a_cafe() -> None:
    # Two efforts of five minutes at 60 W above spend 18 kJ each, of 20.
    efforts = at_seconds(dict.fromkeys((*range(300), *range(3900, 4200)), 310.0))
    balance = w_prime_balance(efforts, 250, 20_000)
    assert balance.min() == pytest.approx(2000, abs=1)
    assert w_prime_balance(at_1hz([310.0] * 600), 250, 20_000).min() == pytest.approx(-16_000)
    # A minute's rest leaves (1 - 250/20,000)^60 = 0.470 of the 18 kJ spent, and of the last second.
    efforts = at_seconds(dict.fromkeys((*range(300), 360), 310.0))
    left = 20_000 - 18_000 * (1 - 250 / 20_000) ** 60 - 60
    assert w_prime_balance(efforts, 250, 20_000)[-1] == pytest.approx(left)


@given(readings_of(2000), st.floats(50, 400), st.floats(5_000, 40_000))
def test_w_prime_is_what_a_plain_loop_finds(readings: Readings, cp: float, w_prime: float) -> None:
    series = resample(*columns(readings))
    if not len(series):
        return
    lowest = min(w_prime, w_prime_balance(series, cp, w_prime).min())
    watts = oracle.elapsed(readings, int(series.seconds[0]), int(series.seconds[-1]))
    expected = oracle.lowest_w_prime(watts, cp, w_prime)
    assert lowest == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_a_heart_that_drifts_up_by_a_quarter_decouples_by_a_fifth() -> None:
    # 200 W at 100 bpm are 2 W a beat, then at 125 bpm 1.6.
    power, heartrate = at_1hz([200.0] * 100), at_1hz([100.0] * 50 + [125.0] * 50)
    assert decoupling(power, heartrate) == pytest.approx(20)


def test_decoupling_takes_only_seconds_that_have_both() -> None:
    power = at_1hz([0.0] * 20 + [200.0] * 100)
    heartrate = at_seconds(dict.fromkeys(range(20, 120), 120.0))
    assert decoupling(power, heartrate) == pytest.approx(0)
    assert decoupling(power, at_1hz([None])) is None
    assert decoupling(at_1hz([0.0] * 10), at_1hz([100.0] * 10)) is None


def test_seconds_are_counted_in_coggan_s_zones() -> None:
    # With an FTP of 200 W the bounds are 110, 150, 180, 210, 240 and 300 W.
    watts = [0.0, 110, 111, 150, 180, 181, 210, 240, 300, 301, 1000]
    assert time_in_zones(at_1hz(watts), 200, POWER_ZONES) == [2, 2, 1, 2, 1, 1, 2]
    # With a threshold of 100 bpm: 68, 83, 94 and 105.
    assert time_in_zones(at_1hz([60.0, 68, 80, 90, 100, 110]), 100, HEARTRATE_ZONES) == [
        2,
        1,
        1,
        1,
        1,
    ]


@given(readings_of(600))
def test_zones_are_what_a_plain_loop_finds(readings: Readings) -> None:
    found = time_in_zones(resample(*columns(readings)), 250, POWER_ZONES)
    assert sum(found) == len(oracle.seconds(readings))
    assert found == oracle.zone_times(oracle.seconds(readings), 250, POWER_ZONES)


@given(readings_of(600), readings_of(200))
def test_decoupling_is_what_a_plain_loop_finds(power: Readings, beats: Readings) -> None:
    beats = [(time, rate or 60.0) for time, rate in beats]
    found = decoupling(resample(*columns(power)), resample(*columns(beats)))
    watts = {second: value for part in oracle.timed_segments(power) for second, value in part}
    rates = {second: value for part in oracle.timed_segments(beats) for second, value in part}
    both = sorted(watts.keys() & rates.keys())
    expected = oracle.decoupling([watts[t] for t in both], [rates[t] for t in both])
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-6, abs=1e-6))
