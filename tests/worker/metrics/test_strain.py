"""How hard a ride was: xPower, stress, W′ balance, decoupling, zones, spikes, climbing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker import oracle
from tests.worker.readings import Readings, at_1hz, at_seconds, columns, readings_of
from worker.metrics.decoupling import decoupling
from worker.metrics.elevation import elevation_gain_and_loss
from worker.metrics.power import (
    intensity_factor,
    training_stress_score,
    variability_index,
    x_power,
)
from worker.metrics.series import resample
from worker.metrics.spikes import find_spikes
from worker.metrics.w_prime import w_prime_balance
from worker.metrics.zones import HEARTRATE_ZONES, POWER_ZONES, time_in_zones


def test_x_power_of_an_even_ride_is_its_power() -> None:
    assert x_power(at_1hz([230.0] * 600)) == pytest.approx(230)
    assert x_power(at_1hz([None])) is None


def test_x_power_begins_anew_after_a_gap() -> None:
    # Two even segments: nothing of the first is carried into the second.
    series = at_seconds({**dict.fromkeys(range(10), 100.0), **dict.fromkeys(range(60, 70), 300.0)})
    assert x_power(series) == pytest.approx(((100**4 + 300**4) / 2) ** 0.25)


@given(readings_of(2000))
def test_x_power_is_what_a_plain_loop_finds(readings: Readings) -> None:
    expected = oracle.x_power(oracle.segments(readings))
    found = x_power(resample(*columns(readings)))
    assert found == (None if expected is None else pytest.approx(expected, abs=1e-6))


def test_an_hour_at_threshold_is_a_hundred_points() -> None:
    assert intensity_factor(250, 250) == 1
    assert training_stress_score(3600, 1.0) == 100
    assert training_stress_score(1800, 0.8) == pytest.approx(32)  # 100 · ½ · 0.64
    assert intensity_factor(250, None) is training_stress_score(3600, None) is None


def test_variability_is_normalized_over_average() -> None:
    assert variability_index(300, 200) == 1.5
    assert variability_index(0.0, 0.0) is variability_index(None, 200) is None


def test_w_prime_is_spent_above_and_recovers_below_critical_power() -> None:
    # 100 s at 100 W above spend 10 kJ of 20; then a second at 100 W below gives 100 · 10/20 back.
    balance = w_prime_balance(at_1hz([350.0] * 100 + [150.0]), 250, 20_000)
    assert balance[99] == pytest.approx(10_000)
    assert balance[100] == pytest.approx(10_050)


@given(readings_of(2000), st.floats(50, 400), st.floats(5_000, 40_000))
def test_w_prime_is_what_a_plain_loop_finds(readings: Readings, cp: float, w_prime: float) -> None:
    series = resample(*columns(readings))
    if not len(series):
        return
    lowest = min(w_prime, w_prime_balance(series, cp, w_prime).min())
    expected = oracle.lowest_w_prime(oracle.seconds(readings), cp, w_prime)
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


def spikes_of(readings: dict[float, float | None]) -> list[float]:
    """The seconds at which there is one."""
    found = find_spikes(*columns([(round(1000 * t), p) for t, p in readings.items()]))
    return [t for t, spike in zip(readings, found.tolist(), strict=True) if spike]


def test_what_no_rider_produces_is_a_spike() -> None:
    calm: dict[float, float | None] = dict.fromkeys(range(120), 200.0)
    assert spikes_of({**calm, 40: 2600.0, 81: 1600.0}) == [40, 81]


def test_a_sprint_is_no_spike() -> None:
    watts = [400.0] * 20 + [1400.0, 1600.0, 1800.0, 1700.0] + [400.0] * 20
    assert spikes_of({float(t): power for t, power in enumerate(watts)}) == []


def test_a_spike_is_found_however_densely_or_sparsely_it_was_recorded() -> None:
    assert spikes_of({0: 200, 0.2: 200, 0.4: 6000, 0.6: 200, 1: 200}) == [0.4]
    assert spikes_of({10 * n: 9000 if n == 6 else 200 for n in range(12)}) == [60]
    assert spikes_of({15 * n: 2000 if n == 6 else 200 for n in range(12)}) == [90]
    assert spikes_of({0: 1600}) == []  # nothing to compare it with


def test_a_hill_counts_and_a_barometer_s_noise_does_not() -> None:
    up, down = [2.0 * t for t in range(50)], [98 - 2.0 * t for t in range(50)]
    # Smoothed, it begins at 5 (the mean of 0 to 10), tops at 94 and ends at 4 (of 8 to 0).
    assert elevation_gain_and_loss(at_1hz(up + down)) == pytest.approx((89, 90))
    noise = [100 + math.sin(t) for t in range(600)]
    assert elevation_gain_and_loss(at_1hz(noise)) == (0, 0)
    assert elevation_gain_and_loss(at_1hz([None])) is None


def test_a_climb_counts_whatever_drops_out_on_the_way() -> None:
    # A metre every ten seconds, in pieces of 25 s with 12 s missing between: 36 m in 370 s.
    seconds = [float(t) for n in range(10) for t in range(37 * n, 37 * n + 25)]
    gain, loss = elevation_gain_and_loss(at_seconds({t: t / 10 for t in seconds})) or (0, 0)
    assert gain == pytest.approx(35.7, abs=0.5)  # the mean takes half a metre off either end
    assert loss == 0


@given(readings_of(60))
def test_climbing_is_what_plain_loops_find(readings: Readings) -> None:
    series = resample(*columns(readings))
    if len(series):
        found = elevation_gain_and_loss(series)
        assert found == pytest.approx(oracle.climbs(oracle.segments(readings)), abs=1e-6)
