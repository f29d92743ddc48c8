"""What others see of a ride while it goes on."""

from collections.abc import Iterator

import numpy as np
import pytest

from api.sharing.hiding import Place, Trail, circles_around_ends, circles_around_places, veil_over
from api.sharing.live_veil import LiveVeil
from shared.samples.columns import Samples, concatenate, merge
from tests.api.sharing.tracks import HOME, METRE, SALT, T0, northward, shown_metres, straight

HIDDEN = 500.0


def watched(veil: LiveVeil, ride: Samples, at_once: int = 7) -> Iterator[Samples]:
    """What is shown after each few samples."""
    for part in ride.slices(at_once):
        yield veil.samples(part)


def seen_in_all(parts: Iterator[Samples]) -> Samples:
    """As a viewer merges them."""
    return merge(concatenate(list(parts)))


def veil() -> LiveVeil:
    return LiveVeil([], HIDDEN, SALT)


def test_power_comes_at_once_and_positions_once_the_rider_is_far_away() -> None:
    ride = straight(10_000)
    so_far = 0
    for part in watched(veil(), ride, at_once=1):
        so_far += 1
        assert 200 in part.channel("power")
        metres = shown_metres(part)
        if len(metres):
            assert metres.max() < 10 * so_far - 3.2 * HIDDEN + HIDDEN + 10
    assert so_far == 1001


def test_start_and_end_are_never_shown_and_no_odometer() -> None:
    seen = seen_in_all(watched(veil(), straight(10_000)))
    metres = shown_metres(seen)
    assert metres.min() > 500
    assert 5000 < metres.max() < 10_000 - 2.2 * HIDDEN
    assert "distance" not in seen.channels
    assert np.array_equal(np.isnan(seen.channel("speed")), np.isnan(seen.channel("lat")))


@pytest.mark.parametrize("end", range(3000, 10_000, 700))
def test_wherever_the_ride_ends_nothing_was_shown_that_is_hidden_afterwards(end: int) -> None:
    ride = straight(end)
    live = shown_metres(seen_in_all(watched(veil(), ride)))
    circles = circles_around_ends(ride, HIDDEN, SALT)
    after = shown_metres(veil_over(ride, circles).apply(ride))
    assert set(live) <= set(after)


def test_the_batches_in_which_it_comes_make_no_difference() -> None:
    one, other = (seen_in_all(watched(veil(), straight(8000), size)) for size in (1, 300))
    assert np.array_equal(one.channel("lat"), other.channel("lat"), equal_nan=True)


def test_what_is_held_back_does_not_tell_the_distance_to_the_rider() -> None:
    """It differs from mark to mark: by up to the hidden distance."""
    trail, radii = Trail(HIDDEN, SALT), set[float]()
    for part in straight(20_000).slices(10):
        trail.extend(part.timestamps, part.channel("lat"), part.channel("lng"))
        near = trail.circle()
        assert near is not None
        radii.add(near.radius)
    assert 38 <= len(radii) <= 41  # a mark every 500 m
    assert 3.2 * HIDDEN <= min(radii) < 3.3 * HIDDEN
    assert 4.1 * HIDDEN < max(radii) <= 4.2 * HIDDEN


def test_places_of_the_rider_are_hidden_too() -> None:
    place = Place(HOME[0] + 5000 * METRE, HOME[1], 500)
    veil = LiveVeil(circles_around_places([place], SALT), HIDDEN, SALT)
    metres = shown_metres(seen_in_all(watched(veil, straight(12_000))))
    assert not ((metres > 4500) & (metres < 5500)).any()
    assert ((metres > 6500) & (metres < 7000)).any()


def test_both_sides_of_a_long_pause_are_hidden() -> None:
    ride = concatenate([straight(5000), northward(np.arange(5000.0, 12_001, 10), begin=5000)])
    metres = shown_metres(seen_in_all(watched(veil(), ride)))
    assert not ((metres > 4500) & (metres < 5500)).any()


def test_with_nothing_to_hide_positions_come_at_once() -> None:
    shown = LiveVeil([], 0, SALT).samples(straight(100))
    assert len(shown_metres(shown)) == 11


def test_running_figures_are_without_body_and_distance() -> None:
    summary = {
        "avgPower": 200,
        "precise": {"avgPower": 200.4},
        "intensityFactor": 0.8,
        "trainingStressScore": 64.0,
        "wPrimeBalanceMin": 8.1,
        "powerZones": [60, 0],
        "heartrateZones": [60, 0],
        "totalDistance": 12_345.0,
        "avgSpeed": 8.5,
        "wattsPerKilogram": {"avgPower": 2.8},
        "parameters": {"weight": 71.0},
        "intervals": [{"duration": 60, "avgSpeed": 9.0, "wattsPerKilogram": 4.0}],
    }
    shown = veil().figures({"through": 1, "summary": summary})
    assert shown == {
        "through": 1,
        "summary": {
            "avgPower": 200,
            "totalDistance": None,
            "avgSpeed": None,
            "wattsPerKilogram": None,
            "precise": {"avgPower": None},
            "intensityFactor": None,
            "trainingStressScore": None,
            "wPrimeBalanceMin": None,
            "powerZones": None,
            "heartrateZones": None,
            "parameters": {},
            "intervals": [{"duration": 60, "avgSpeed": None, "wattsPerKilogram": None}],
        },
    }


def test_no_running_best_is_of_speed_and_no_balance_is_shown() -> None:
    """60 s at 14 m/s from the door on would say that it is 840 m to where they end."""
    power = {"metric": "power", "duration": 60, "value": 300.0, "start": T0}
    speed = {"metric": "speed", "duration": 60, "value": 14.0, "start": T0}
    figures = {"through": 1, "summary": None, "bests": [power, speed], "wPrimeBalance": 12.3}
    shown = {"through": 1, "summary": None, "bests": [power], "wPrimeBalance": None}
    assert veil().figures(figures) == shown


@pytest.mark.parametrize("at_once", [1, 1000])
def test_a_ride_of_very_many_pauses_shows_no_position_any_more(at_once: int) -> None:
    ride = straight(9000)
    scattered = Samples(T0 + 16 * 60_000 * np.arange(len(ride)), ride.channels)
    parts = list(watched(veil(), scattered, at_once))
    assert not any(len(shown_metres(each)) for each in parts[-100:])
