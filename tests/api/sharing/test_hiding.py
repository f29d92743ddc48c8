"""What is hidden of a track."""

import numpy as np
import pytest

from api.sharing.hiding import (
    Circle,
    Place,
    Veil,
    circle_around,
    circles_around_ends,
    circles_around_places,
    metres_between,
    veil_over,
)
from shared.samples.columns import Samples, concatenate
from tests.api.sharing.tracks import HOME, METRE, SALT, T0, northward, shown_metres, straight

HIDDEN = 500.0


def veil(samples: Samples, metres: float = HIDDEN, places: tuple[Place, ...] = ()) -> Veil:
    circles = circles_around_ends(samples, metres, SALT)
    return veil_over(samples, [*circles, *circles_around_places(places, SALT)])


def test_a_degree_of_latitude_is_111_km() -> None:
    [metres] = metres_between(47.0, 8.5, np.array([48.0]), np.array([8.5]))
    assert metres == pytest.approx(111_195, abs=1)


@pytest.mark.parametrize("salt", [bytes([each]) * 32 for each in range(20)])
def test_a_circle_hides_all_within_the_distance_and_its_middle_is_elsewhere(salt: bytes) -> None:
    circle = circle_around(Place(*HOME, HIDDEN), salt, HOME)
    [away] = metres_between(*HOME, np.array([circle.lat]), np.array([circle.lng]))
    assert 0 < away <= 0.6 * HIDDEN + 1
    assert circle.radius == 1.6 * HIDDEN
    around = np.linspace(0, 2 * np.pi, 36)
    lat = HOME[0] + np.cos(around) * HIDDEN * METRE * 0.999
    lng = HOME[1] + np.sin(around) * HIDDEN * METRE * 0.999 / np.cos(np.radians(HOME[0]))
    assert circle.contains(lat, lng).all()


def test_rides_from_one_door_are_hidden_by_the_same_shift_and_others_differ() -> None:
    """So that many of them tell no more of the door than one."""

    def shift(lat: float, salt: bytes) -> tuple[float, float]:
        [circle] = circles_around_ends(northward(np.array([lat])), HIDDEN, salt)
        return round(circle.lat - HOME[0] - lat * METRE, 9), round(circle.lng - HOME[1], 7)

    assert shift(0, SALT) == shift(12, SALT) == shift(-20, SALT)
    assert shift(0, SALT) != shift(0, b"t" * 32)


def test_both_ends_of_a_ride_are_hidden_and_its_middle_is_not() -> None:
    ride = straight(10_000)
    shown = shown_metres(veil(ride).apply(ride))
    assert 500 < shown.min() < 1110  # 1.6 × 500 m, and 300 m for the shift
    assert 8890 < shown.max() < 9500
    assert np.array_equal(np.diff(shown), np.full(len(shown) - 1, 10))


def test_where_a_position_is_hidden_so_are_speed_and_odometer_and_nothing_else() -> None:
    ride = straight(10_000)
    seen = veil(ride).apply(ride)
    hidden = np.isnan(seen.channel("lat"))
    for name in ("lng", "speed", "distance"):
        assert np.array_equal(np.isnan(seen.channel(name)), hidden)
    assert not np.isnan(seen.channel("power")).any()
    assert np.array_equal(seen.timestamps, ride.timestamps)


def test_the_odometer_begins_where_the_ride_is_shown() -> None:
    ride = straight(10_000)
    over = veil(ride)
    shown = over.apply(ride).channel("distance")
    shown = shown[~np.isnan(shown)]
    assert shown[0] == 0
    assert shown[-1] == over.metres == 10 * (len(shown) - 1)


def test_the_way_through_a_hidden_place_is_not_in_the_odometer() -> None:
    ride = straight(10_000)
    place = Place(HOME[0] + 5000 * METRE, HOME[1], 1000)
    seen = veil(ride, places=(place,)).apply(ride)
    metres, shown = shown_metres(seen), seen.channel("distance")
    shown = shown[~np.isnan(shown)]
    [gap] = np.flatnonzero(np.diff(metres) > 10)
    assert metres[gap] < 4000
    assert metres[gap + 1] > 6000
    assert shown[gap + 1] == shown[gap]


def test_a_visit_to_a_hidden_place_is_hidden_whenever_it_was() -> None:
    out = np.arange(0.0, 5001, 10)
    ride = northward(np.concatenate([out, out[::-1], out]))
    seen = veil(ride).apply(ride)
    assert shown_metres(seen).min() > 500


def test_both_sides_of_a_long_pause_are_hidden() -> None:
    """Lunch at home, with the recording stopped."""
    first, second = straight(5000), northward(np.arange(5000.0, 10_001, 10), begin=5000)
    ride = concatenate([first, second])
    shown = shown_metres(veil(ride).apply(ride))
    assert not ((shown > 4500) & (shown < 5500)).any()
    assert ((shown > 3000) & (shown < 3500)).any()


def test_without_a_fix_a_sample_is_hidden_beside_hidden_ones() -> None:
    ride = straight(10_000)
    for name in ("lat", "lng"):
        ride.channels[name][:20] = np.nan  # the receiver needs 20 s
        ride.channels[name][500:520] = np.nan  # a tunnel
    seen = veil(ride).apply(ride)
    assert np.isnan(seen.channel("speed")[:20]).all()
    assert not np.isnan(seen.channel("speed")[500:520]).any()


def test_a_receiver_without_a_fix_is_no_start() -> None:
    ride = straight(10_000)
    for name in ("lat", "lng"):
        ride.channels[name][:3] = 0.0
    assert shown_metres(veil(ride).apply(ride).select(slice(3, None))).min() > 500


def test_a_ride_that_stays_near_its_start_shows_no_position() -> None:
    ride = straight(400)
    assert not len(shown_metres(veil(ride).apply(ride)))
    assert veil(ride).metres == 0


def test_a_ride_indoors_hides_nothing() -> None:
    ride = straight(10_000)
    indoors = Samples(ride.timestamps, {name: ride.channel(name) for name in ("power", "speed")})
    over = veil(indoors)
    assert not over.hides
    assert over.apply(indoors) is indoors
    assert over.metres is None


def test_nothing_is_hidden_where_the_rider_says_so() -> None:
    ride = straight(2000)
    over = veil(ride, metres=0)
    assert not over.hides
    assert over.metres == 2000


def test_without_an_odometer_the_shown_positions_tell_the_distance() -> None:
    ride = straight(10_000)
    del ride.channels["distance"]
    over = veil(ride)
    shown = shown_metres(over.apply(ride))
    assert over.metres == pytest.approx(shown[-1] - shown[0], abs=0.5)


def test_no_samples_are_no_ride() -> None:
    empty = straight(100).select(slice(0, 0))
    assert not veil(empty).hides
    assert veil_over(empty, [Circle(*HOME, 1)]).apply(empty).timestamps.tolist() == []


def test_a_sample_before_all_others_is_hidden() -> None:
    """It came after the veil was made; nobody knows where it is."""
    ride = straight(10_000)
    early = straight(10, begin=-100)
    assert early.timestamps[0] == T0 - 100_000
    assert not len(shown_metres(veil(ride).apply(early)))


def test_a_ride_of_very_many_pauses_shows_no_position() -> None:
    """It would take too long to look at each of them."""
    ride = straight(3000)
    scattered = Samples(T0 + 16 * 60_000 * np.arange(len(ride)), ride.channels)
    assert not len(shown_metres(veil(scattered).apply(scattered)))
