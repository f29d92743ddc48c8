import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker import oracle
from tests.worker.readings import T0, Readings, at_1hz, at_seconds, columns, readings_of
from worker.metrics.elevation import elevation_gain_and_loss, plausible_altitude
from worker.metrics.series import resample


def climbed(heights: dict[float, float | None]) -> tuple[float, float]:
    readings = [(T0 + round(1000 * t), height) for t, height in heights.items()]
    found = elevation_gain_and_loss(plausible_altitude(*columns(readings)))
    assert found is not None
    return found


def second_by_second(*heights: float) -> dict[float, float | None]:
    return {float(t): height for t, height in enumerate(heights)}


def test_a_hill_counts_and_a_barometer_s_noise_does_not() -> None:
    up, down = [2.0 * t for t in range(50)], [98 - 2.0 * t for t in range(50)]
    # Smoothed, it begins at 5 (the mean of 0 to 10), tops at 94 and ends at 4 (of 8 to 0).
    assert climbed(second_by_second(*up, *down)) == pytest.approx((89, 90))
    assert climbed(second_by_second(*(100 + math.sin(t) for t in range(600)))) == (0, 0)
    assert elevation_gain_and_loss(at_1hz([None])) is None


def test_a_climb_counts_whatever_drops_out_on_the_way() -> None:
    # A metre every ten seconds, in pieces of 25 s with 12 s missing between: 36 m in 370 s.
    seconds = [float(t) for n in range(10) for t in range(37 * n, 37 * n + 25)]
    gain, loss = elevation_gain_and_loss(at_seconds({t: t / 10 for t in seconds})) or (0, 0)
    assert gain == pytest.approx(35.7, abs=0.5)  # the mean takes half a metre off either end
    assert loss == 0


def test_a_second_top_little_above_the_first_counts() -> None:
    # Up to 50 m, a minute 1.5 m lower, up to 52 m: the dip is none, and the two metres are climbed.
    heights = np.interp(np.arange(600), [0, 200, 230, 290, 330, 599], [0, 50, 48.5, 48.5, 52, 52])
    gain, loss = climbed(second_by_second(*heights))
    assert (gain, loss) == pytest.approx((52 - 0.6, 0), abs=0.1)


def test_a_constant_added_to_every_height_changes_nothing() -> None:
    # Rises and falls of exactly 2 m, in plateaus of a minute.
    heights = [100.1 + 2 * (n % 2) for n in range(20) for _ in range(60)]
    expected = climbed(second_by_second(*heights))
    assert expected == pytest.approx((20, 18))
    for constant in (0.1, 0.2, 0.7, 100, 1234.5):
        shifted = [round(height + constant, 1) for height in heights]
        assert climbed(second_by_second(*shifted)) == pytest.approx(expected, abs=1e-6)


def test_a_rise_of_two_metres_counts_whatever_binary_fractions_make_of_it() -> None:
    # Smoothed, its lowest and its highest point are 2.00 m apart; as sums of tenths, a hair less.
    tenths = [994, 992, 990, 984, 982, 988, 982, 988, 994, 988, 990, 988, 986, 988, 982, 988, 994]
    tenths += [992, 986, 984, 982, 976, 982, 980, 986, 980, 982, 984, 990, 992, 998, 992, 994, 996]
    tenths += [990, 992, 990, 984, 978, 972, 970, 976, 982, 984, 986, 992, 990, 996, 1002, 1000]
    tenths += [998, 1000, 998, 1000, 1002, 1008, 1006, 1000, 994, 992]
    for constant in (0, 1, 3, 7, 10_000):
        shifted = ((height + constant) / 10 for height in tenths)
        assert climbed(second_by_second(*shifted)) == pytest.approx((2, 0))


@given(st.lists(st.integers(0, 300), min_size=1, max_size=150), st.integers(-5000, 50_000))
def test_gain_does_not_hang_on_where_zero_is(tenths: list[int], constant: int) -> None:
    plain = climbed(second_by_second(*(height / 10 for height in tenths)))
    shifted = climbed(second_by_second(*((height + constant) / 10 for height in tenths)))
    assert shifted == pytest.approx(plain, abs=1e-6)


def test_a_height_that_is_wrong_for_seconds_is_left_out() -> None:
    flat = [100.0] * 300
    climbing = [8000.0 + 4 * t for t in range(20)]
    for wrong in ([8000.0], [8000.0, 7000.0, 9000.0], [0.0] * 40, climbing):
        assert climbed(second_by_second(*flat, *wrong, *flat)) == (0, 0)
    assert climbed(second_by_second(*flat, 8000.0)) == (0, 0)
    assert climbed({**second_by_second(*flat), 2100: 8000.0, 2101: 100.0}) == (0, 0)


def test_the_first_heights_before_the_fix_are_no_climb() -> None:
    hill = [400 + 0.1 * t for t in range(300)]
    for before in (1, 30, 400):
        gain, _ = climbed(second_by_second(*[0.0] * before, *hill))
        assert gain == pytest.approx(29.9, abs=1)


def test_a_leap_that_stays_is_no_climb_but_what_follows_is() -> None:
    # A barometer that sets itself 60 m higher in mid-climb.
    heights = [0.1 * t + (60 if t >= 300 else 0) for t in range(600)]
    assert climbed(second_by_second(*heights))[0] == pytest.approx(59.9 - 0.1, abs=1)


@given(readings_of(60))
def test_climbing_is_what_plain_loops_find(readings: Readings) -> None:
    series = resample(*columns(readings))
    if len(series):
        found = elevation_gain_and_loss(series)
        assert found == pytest.approx(oracle.climbs(oracle.segments(readings)), abs=1e-5)
