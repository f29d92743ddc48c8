"""Figures of laps, worked out by hand."""

import pytest

from shared.laps import Lap
from shared.samples.columns import Samples, concatenate
from tests.worker.readings import T0, ride, steady
from worker.rides.laps import summarize_laps
from worker.rides.ride import Ride


def two_halves() -> Samples:
    """Five minutes at 100 W and 5 m/s, then as long at 300 W and 10 m/s."""
    slow = ride(*({"t": t, "power": 100.0, "distance": 5 * t} for t in range(300)))
    fast = ride(
        *({"t": t, "power": 300.0, "distance": 1500 + 10 * (t - 300)} for t in range(300, 600))
    )
    return concatenate([slow, fast])


def lap(end: int, start: int | None = None) -> Lap:
    """In seconds of the ride."""
    return Lap(start=None if start is None else T0 + 1000 * start, end=T0 + 1000 * end)


def test_each_lap_has_the_figures_of_its_own_seconds() -> None:
    first, second = summarize_laps([lap(300, 0), lap(600, 300)], Ride(two_halves()))
    assert first.summary
    assert second.summary
    assert (first.summary.avg_power, second.summary.avg_power) == (100, 300)
    assert (first.summary.normalized_power, second.summary.normalized_power) == (100, 300)
    assert (first.summary.total_energy, second.summary.total_energy) == (30, 90)
    assert (first.summary.duration, second.summary.duration) == (300, 300)


def test_the_laps_distances_add_up_to_the_ride_s() -> None:
    """5 m/s for 300 s are 1,500 m. From its first to its last reading a lap has a second less."""
    whole = Ride(two_halves())
    first, second = summarize_laps([lap(300, 0), lap(600, 300)], whole)
    assert first.summary
    assert second.summary
    assert first.summary.total_distance == 1500
    assert second.summary.total_distance == 2990  # the last reading is at 599 s
    assert whole.way
    assert whole.way.total() == 4490
    assert first.summary.avg_speed == 5


def test_a_lap_without_a_start_begins_where_the_one_before_it_ends() -> None:
    laps = summarize_laps([lap(600), lap(300)], Ride(two_halves()))
    assert [(each.start, each.end) for each in laps] == [
        (T0, T0 + 300_000),
        (T0 + 300_000, T0 + 600_000),
    ]
    assert all(each.implied for each in laps)


def test_a_lap_that_comes_late_moves_the_implied_start_of_the_next() -> None:
    (folded,) = summarize_laps([lap(600)], Ride(two_halves()))
    _, second = summarize_laps([folded, lap(300)], Ride(two_halves()))
    assert (second.start, second.summary and second.summary.avg_power) == (T0 + 300_000, 300)


def test_of_a_lap_counts_what_is_not_cropped_away() -> None:
    """From 250 s to 450 s: of the first lap 50 s, of the second 150 s, of the third nothing."""
    bounds = (T0 + 250_000, T0 + 450_000)
    whole = [lap(300, 0), lap(500, 300), lap(600, 500)]
    first, second, third = summarize_laps(whole, Ride(two_halves().between(*bounds)), bounds)
    assert first.summary
    assert second.summary
    assert third.summary
    assert (first.summary.duration, second.summary.duration, third.summary.duration) == (50, 150, 0)
    assert (first.summary.total_energy, second.summary.total_energy) == (5, 45)
    assert (first.summary.total_distance, second.summary.total_distance) == (250, 1490)
    assert third.summary.total_distance == 0
    assert (second.start, second.end) == (T0 + 300_000, T0 + 500_000)


def test_folding_again_changes_nothing() -> None:
    once = summarize_laps([lap(100), lap(300, 200), lap(600)], Ride(two_halves()))
    assert summarize_laps(once, Ride(two_halves())) == once


@pytest.mark.parametrize(("start", "end"), [(1000, 2000), (-500, -100), (50, 50)])
def test_a_lap_outside_of_the_ride_has_no_figures(start: int, end: int) -> None:
    (found,) = summarize_laps([lap(end, start)], Ride(steady(100, power=100)))
    assert found.summary
    assert found.summary.avg_power is None
    assert found.summary.max_heartrate is None


def test_a_ride_without_samples_leaves_its_laps_as_they_are() -> None:
    assert summarize_laps([lap(300)], Ride(ride())) == [lap(300)]
