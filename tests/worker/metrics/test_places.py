"""Ways along positions. Most run north from 47° N at so many metres a second."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker import oracle
from tests.worker.readings import T0
from worker.metrics.places import Places, follow_places
from worker.metrics.series import FloatArray

METRE = 180 / math.pi / 6_371_008.8  # degrees along a meridian


def follow(
    north: FloatArray, east: FloatArray | float = 0.0, seconds: FloatArray | None = None
) -> Places:
    """Along places in metres from 47° N, 8° E; one a second unless told when."""
    times = np.arange(len(north)) if seconds is None else seconds
    lng = 8 + np.broadcast_to(east, north.shape) * METRE / math.cos(math.radians(47))
    found = follow_places((T0 + 1000 * times).astype(np.int64), 47 + north * METRE, lng)
    assert found is not None
    return found


def metres(
    north: FloatArray, east: FloatArray | float = 0.0, seconds: FloatArray | None = None
) -> float:
    return float(follow(north, east, seconds).metres[-1])


def steady(seconds: int, speed: float = 8.0) -> FloatArray:
    return speed * np.arange(float(seconds))


def noise(seed: int, count: int, size: float) -> FloatArray:
    return np.random.default_rng(seed).normal(0, size, count)


def test_a_way_is_as_long_as_its_great_circles() -> None:
    assert metres(steady(601)) == pytest.approx(4800)
    there_and_back = np.concatenate([steady(301), steady(301)[::-1]])
    assert metres(there_and_back) == pytest.approx(4800, abs=20)


def test_one_position_is_no_way() -> None:
    nothing = np.array([np.nan, 47.0, np.nan])
    assert follow_places(T0 + 1000 * np.arange(3), nothing, nothing) is None
    assert follow_places(np.empty(0, np.int64), np.empty(0), np.empty(0)) is None


def test_positions_that_nobody_can_have_ridden_to_are_left_out() -> None:
    for where in (slice(0, 1), slice(600, 601), slice(600, 607), slice(1162, 1163)):
        north = steady(1163)
        north[where] += 11_000_000 / 2
        lost = 8 if where.start == 0 or where.stop == 1163 else 0
        assert metres(north) == pytest.approx(9296 - lost, abs=1)


def test_scattered_positions_far_off_are_left_out() -> None:
    north = steady(1163)
    north[100::97] += 40_000.0
    north[150::201] -= 3_000.0
    assert metres(north) == pytest.approx(9296, abs=1)


def test_a_leap_after_which_the_receiver_stays_is_no_way() -> None:
    # A flight, or a receiver that finds itself 100 km off: 500 s on either side.
    assert metres(steady(1001) + 100_000.0 * (np.arange(1001) > 500)) == pytest.approx(7992, abs=1)


def test_a_pause_is_crossed_by_its_great_circle() -> None:
    times = np.concatenate([np.arange(300.0), np.arange(900.0, 1200)])
    assert float(follow(8.0 * times, 0.0, times).metres[-1]) == pytest.approx(8 * 1199)


@pytest.mark.parametrize("size", [0.5, 1, 2, 3, 5])
@pytest.mark.parametrize("parked", [60, 300, 1800])
def test_wandering_while_parked_is_no_way(size: float, parked: int) -> None:
    # Ten minutes at 8 m/s, then parked with so much noise: 1,800 s of 2 m would add 6.3 km.
    count = 601 + parked
    at_rest = np.arange(count) > 600
    north = np.minimum(8.0 * np.arange(count), 4800) + at_rest * noise(1, count, size)
    found = follow(north, at_rest * noise(2, count, size))
    assert found.metres[-1] == pytest.approx(4800, rel=0.01)
    assert np.count_nonzero(found.moving) == pytest.approx(600, abs=5)


def test_a_slow_drift_of_the_receiver_while_parked_is_no_way() -> None:
    # Some metres around, over minutes.
    count = 3600
    north, east = (
        4 * np.sin(np.arange(count) / period) + noise(seed, count, 0.3)
        for seed, period in ((1, 170.0), (2, 230.0))
    )
    assert metres(north, east) < 60


def test_wheeling_the_bike_up_a_path_still_counts() -> None:
    assert metres(steady(1801, 0.7)) == pytest.approx(1260)
    north, east = steady(1801, 0.7) + noise(1, 1801, 1), noise(2, 1801, 1)
    assert metres(north, east) == pytest.approx(1260, rel=0.05)


@pytest.mark.parametrize("size", [0.5, 1, 2, 3])
def test_noise_on_the_way_makes_it_hardly_longer(size: float) -> None:
    # 28.8 km. With 2 m of noise the great circles would add up to 30.5.
    north, east = steady(3601) + noise(1, 3601, size), noise(2, 3601, size)
    assert metres(north, east) == pytest.approx(28_800, rel=0.005)


def test_rounds_on_a_track_are_not_taken_for_noise_or_rest() -> None:
    # Radius 25 m at 12 m/s, as fast as a bend allows; and 14 m, round in 11 s and in 29.
    for radius, speed in ((25.0, 12.0), (14.0, 8.0), (14.0, 3.0)):
        angle = speed / radius * np.arange(1201)
        north, east = radius * np.sin(angle), radius * np.cos(angle)
        chord = 2 * radius * math.sin(speed / radius / 2)
        assert metres(north, east) == pytest.approx(1200 * chord, rel=0.001)


def test_places_every_twelve_seconds_are_a_way_too() -> None:
    times = np.arange(0.0, 3601, 12)
    found = follow(8 * times, 0.0, times)
    assert found.metres[-1] == pytest.approx(28_800)
    assert np.count_nonzero(found.moving) == 3601
    parked = follow(noise(1, 301, 2), noise(2, 301, 2), times)
    assert parked.metres[-1] < 150


def test_the_date_line_is_no_leap() -> None:
    times = T0 + 1000 * np.arange(1001, dtype=np.int64)
    east = 179.98 + 8 * METRE * np.arange(1001)
    found = follow_places(times, np.zeros(1001), np.where(east > 180, east - 360, east))
    assert found is not None
    assert found.metres[-1] == pytest.approx(8000)


def test_positions_that_leap_at_every_second_take_no_time() -> None:
    north = np.where(np.arange(86_400) % 2, 1e6, 0.0) + np.arange(86_400) * 100.0
    assert metres(north) == pytest.approx(0, abs=1)


@given(st.floats(3, 25), st.lists(st.floats(-0.05, 0.05), min_size=30, max_size=90))
def test_a_way_without_noise_is_what_vectors_give(speed: float, turns: list[float]) -> None:
    """Turning by so many radians each second; as gently as the noise of a good receiver."""
    heading, places = 0.0, [(0.0, 0.0)]
    for turn in turns:
        heading += turn
        north, east = places[-1]
        places.append((north + speed * math.cos(heading), east + speed * math.sin(heading)))
    degrees = [(47 + n * METRE, 8 + e * METRE) for n, e in places]
    expected = sum(oracle.great_circle(a, b) for a, b in pairwise(degrees))
    lat, lng = np.array(degrees).T
    found = follow_places(T0 + 1000 * np.arange(len(places), dtype=np.int64), lat, lng)
    assert found is not None
    assert found.metres[-1] == pytest.approx(expected, rel=0.01)
