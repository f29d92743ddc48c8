import math

import numpy as np
import pytest
from hypothesis import given

from tests.worker.readings import T0, Readings, at_1hz, at_seconds, columns, readings_of
from worker.metrics.intervals import Interval, find_intervals
from worker.metrics.series import resample

T0_SECONDS = T0 // 1000


def ride(*parts: tuple[int, float], scatter: float = 0) -> list[float]:
    """So many seconds at so many watts, with so much scatter from second to second."""
    watts = np.concatenate([np.full(seconds, power) for seconds, power in parts])
    noise = np.random.default_rng(1).normal(0, scatter, len(watts)) if scatter else 0
    return [float(value) for value in np.maximum(watts + noise, 0)]


def test_five_times_five_minutes_are_five_intervals() -> None:
    blocks = [(300, 300.0), (180, 120.0)] * 5
    found = find_intervals(at_1hz(ride((607, 150), *blocks, (600, 140))))
    assert found == [Interval(T0_SECONDS + 607 + 480 * n, 300, 300) for n in range(5)]


def test_four_times_eight_minutes_are_four_intervals_and_the_easy_minutes_none() -> None:
    blocks = [(480, 280.0), (240, 120.0)] * 4
    found = find_intervals(at_1hz(ride((900, 160), *blocks, (300, 120), scatter=40)))
    # 40 W from second to second are 40/√480 = 1.8 W in the mean of eight minutes.
    assert [each.power for each in found] == pytest.approx([280] * 4, abs=6)
    assert [each.duration for each in found] == pytest.approx([480] * 4, abs=10)
    starts = [each.started - T0_SECONDS for each in found]
    assert starts == pytest.approx([900, 1620, 2340, 3060], abs=10)


def test_a_single_effort_in_hours_of_easy_riding_is_found() -> None:
    # It lifts the mean of what follows by a twentieth only, as a cut in two halves would see it.
    found = find_intervals(at_1hz(ride((5400, 180), (600, 280), (5400, 180), scatter=30)))
    assert [each.duration for each in found] == pytest.approx([600], abs=10)


def test_ten_seconds_without_pedalling_do_not_part_an_interval() -> None:
    found = find_intervals(at_1hz(ride((600, 150), (240, 300), (10, 0), (230, 300), (600, 150))))
    assert [(each.duration, each.power) for each in found] == [(480, 300 * 470 / 480)]


@pytest.mark.parametrize("seed", range(6))
def test_the_chance_of_a_road_makes_few_intervals(seed: int) -> None:
    # An hour of power that wanders by 60 W around 200 W and forgets within half a minute; five to
    # nine each, were chance measured over 10 s.
    pushes, watts = np.random.default_rng(seed).normal(0, 60, 3600), [0.0]
    for push in pushes:
        watts.append(0.95 * watts[-1] + (1 - 0.95**2) ** 0.5 * push)
    assert len(find_intervals(at_1hz([max(200 + each, 0) for each in watts]))) <= 3


def test_a_sprint_parts_an_interval_and_takes_nothing_from_its_halves() -> None:
    parts = (600, 150), (240, 300), (20, 900), (240, 300), (600, 150)
    found = find_intervals(at_1hz(ride(*parts, scatter=20)))
    assert [each.started - T0_SECONDS for each in found] == pytest.approx([600, 860], abs=2)
    assert [each.duration for each in found] == pytest.approx([240, 240], abs=2)


def test_ten_minutes_of_short_bursts_are_no_steady_effort() -> None:
    # 15 s of 600 W and 45 s of 200 W are 300 W on the mean of a minute.
    bursts = [(15, 600.0), (45, 200.0)] * 10
    assert find_intervals(at_1hz(ride((1500, 150), *bursts, (1500, 150)))) == []


@pytest.mark.parametrize("scatter", [10, 30, 60])
def test_intervals_are_found_in_the_scatter_of_a_road(scatter: float) -> None:
    blocks = [(480, 290.0), (240, 150.0)] * 3
    found = find_intervals(at_1hz(ride((900, 190), *blocks, (900, 170), scatter=scatter)))
    assert [interval.power for interval in found] == pytest.approx([290] * 3, abs=10)
    assert [interval.duration for interval in found] == pytest.approx([480] * 3, abs=15)
    starts = [interval.started - T0_SECONDS for interval in found]
    assert starts == pytest.approx([900, 1620, 2340], abs=15)


def test_two_efforts_of_different_power_side_by_side_are_two() -> None:
    found = find_intervals(at_1hz(ride((600, 150), (300, 260), (300, 330), (600, 150))))
    assert [(each.duration, each.power) for each in found] == [(300, 260), (300, 330)]


def test_a_steady_ride_and_an_easy_one_have_none() -> None:
    assert find_intervals(at_1hz(ride((3600, 200)))) == []
    assert find_intervals(at_1hz(ride((3600, 200), scatter=50))) == []
    assert find_intervals(at_1hz([None])) == find_intervals(at_1hz([200.0] * 30)) == []


def test_sprints_of_seconds_are_no_intervals() -> None:
    assert find_intervals(at_1hz(ride(*[(8, 900.0), (292, 150.0)] * 10))) == []


def test_an_interval_ends_at_a_pause() -> None:
    watts = dict.fromkeys((*range(600), *range(1200, 1800)), 150.0)
    watts |= dict.fromkeys((*range(300, 600), *range(1200, 1500)), 300.0)
    found = find_intervals(at_seconds(dict(watts)))
    assert [(each.started - T0_SECONDS, each.duration) for each in found] == [
        (300, 300),
        (1200, 300),
    ]


@given(readings_of(600))
def test_intervals_lie_apart_within_segments(readings: Readings) -> None:
    series = resample(*columns(readings))
    ends = -math.inf
    for each in find_intervals(series):
        assert each.started >= ends
        ends = each.started + each.duration
        part = each.of(series)
        assert len(part) == each.duration > 50
        assert part.segments[0] == part.segments[-1]
        assert each.power == pytest.approx(float(part.values.mean()))
