import numpy as np
import pytest

from tests.worker.readings import T0, at_1hz, at_seconds
from worker.metrics.intervals import Interval, find_intervals

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
