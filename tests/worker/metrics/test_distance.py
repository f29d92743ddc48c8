import math

import numpy as np
import pytest

from tests.worker.readings import T0
from worker.metrics.coverage import recorded_stretches
from worker.metrics.distance import Way, ridden_way
from worker.metrics.series import FloatArray

METRE = 180 / math.pi / 6_371_008.8  # degrees along a meridian
NAN = math.nan


def way_of(
    distance: FloatArray, north: FloatArray | None = None, seconds: FloatArray | None = None
) -> Way | None:
    """Of an odometer's readings and places north of 47° N, one a second unless told when."""
    times = np.arange(len(distance)) if seconds is None else seconds
    lat: FloatArray = np.full(len(distance), NAN) if north is None else 47 + north * METRE
    lng = np.where(np.isnan(lat), NAN, 8.0)
    return ridden_way((T0 + 1000 * times).astype(np.int64), distance, lat, lng)


def metres(
    distance: FloatArray, north: FloatArray | None = None, seconds: FloatArray | None = None
) -> float:
    way = way_of(distance, north, seconds)
    assert way is not None
    return way.total()


def an_hour() -> FloatArray:
    """8 m/s: 28.8 km."""
    return 8.0 * np.arange(3601.0)


def test_the_increments_of_the_odometer_are_summed() -> None:
    assert metres(np.array([0, 5, NAN, 12, 20])) == 20
    assert metres(np.array([3.0, 11, 19])) == 19  # as ridden in the second before


def test_an_odometer_of_a_lifetime_begins_at_nothing() -> None:
    assert metres(12_345_000 + an_hour()) == 28_800


def test_a_first_reading_that_comes_late_counts_if_it_can_have_been_ridden() -> None:
    late = an_hour()
    late[:600] = NAN
    assert metres(late) == 28_800
    assert metres(late + 100_000) == 24_000


def test_a_reset_counts_as_what_the_new_reading_says() -> None:
    readings = np.concatenate([an_hour()[:1801], an_hour()[:901]])
    assert metres(readings) == 21_600  # 14.4 km, then 7.2
    after_a_pause = np.concatenate([an_hour()[:1801], 3000 + an_hour()[:901]])
    times = np.concatenate([np.arange(1801), 2400 + np.arange(901)])
    assert metres(after_a_pause, seconds=times) == 14_400 + 3000 + 7200


def test_an_odometer_that_begins_anew_every_lap_counts_all_of_them() -> None:
    # Ten laps of 3 km; at each fall the second in which it fell is lost.
    lap = 8.0 * np.arange(376)
    assert metres(np.tile(lap, 10)) == pytest.approx(30_000)


def test_a_reading_that_is_wrong_for_seconds_is_left_out() -> None:
    for wrong in (0.0, 5_000_000.0, 20.0):
        for where in (slice(1000, 1001), slice(1000, 1030)):
            readings = an_hour()
            readings[where] = wrong
            assert metres(readings) == 28_800
    last = an_hour()
    last[-1] = 0
    assert metres(last) == 28_792


def test_an_increment_that_nobody_can_have_ridden_counts_for_nothing() -> None:
    assert metres(an_hour() + 1_000_000.0 * (np.arange(3601) > 1800)) == 28_792
    assert metres(an_hour() - 1e6 * (np.arange(3601) > 1800) + 2e6) == 28_792


def test_an_odometer_that_corrects_itself_by_metres_is_not_reset() -> None:
    readings = an_hour()
    readings[10::20] -= 9.0
    assert metres(readings) == 28_800
    readings[-1] -= 9
    assert metres(readings) == 28_792  # as far as it had come before


def test_places_go_on_where_the_odometer_dies() -> None:
    died = an_hour()
    died[601:] = NAN
    assert metres(died, an_hour()) == pytest.approx(28_800, abs=1)


def test_places_stand_in_until_the_odometer_wakes_up() -> None:
    late = an_hour() - 4800
    late[:600] = NAN
    assert metres(late, an_hour()) == pytest.approx(28_800, abs=1)


def test_places_fill_a_silence_that_the_odometer_does_not_count() -> None:
    asleep = an_hour()
    asleep[1200:] -= 4800
    asleep[600:1200] = NAN
    assert metres(asleep, an_hour()) == pytest.approx(28_800, abs=10)


def test_an_odometer_that_repeats_its_last_value_has_died() -> None:
    assert metres(np.minimum(an_hour(), 4800), an_hour()) == pytest.approx(28_800, abs=1)
    stuck = np.where(np.arange(3601) < 1200, np.minimum(an_hour(), 4800), an_hour())
    assert metres(stuck, an_hour()) == pytest.approx(28_800, abs=10)


def test_an_odometer_at_rest_is_believed_against_a_receiver_that_wanders() -> None:
    # Ten minutes at 8 m/s, then parked for half an hour with 2 m of noise.
    north = np.minimum(8.0 * np.arange(2401), 4800)
    north += np.random.default_rng(1).normal(0, 2, 2401) * (np.arange(2401) > 600)
    assert metres(np.minimum(8.0 * np.arange(2401), 4800), north) == 4800


def test_the_two_ends_of_a_pause_are_no_way_that_was_ridden() -> None:
    # By train: the odometer says nothing was ridden, the places are 30 km apart.
    times = np.concatenate([np.arange(600.0), np.arange(7200.0, 7800)])
    distance = 8.0 * np.arange(1200.0)
    north = np.concatenate([distance[:600], distance[600:] + 30_000])
    assert metres(distance, north, times) == 8 * 1199


def test_without_an_odometer_the_places_tell() -> None:
    nothing: FloatArray = np.full(3601, NAN)
    assert metres(nothing, an_hour()) == pytest.approx(28_800)
    assert way_of(np.full(10, NAN)) is None


def test_one_reading_is_no_distance() -> None:
    assert way_of(np.array([12.0, NAN])) is None


def test_only_what_was_ridden_in_recorded_time_makes_speed() -> None:
    # Half an hour at 8 m/s, silent for half an hour in which the odometer goes on, half an hour.
    times = np.concatenate([np.arange(1801), 3600 + np.arange(1801)])
    way = way_of(8.0 * times, seconds=times)
    assert way is not None
    assert way.total() == 43_200
    stretches = recorded_stretches((T0 + 1000 * times).astype(np.int64))
    assert way.recorded(stretches) == pytest.approx(28_808)
    assert way.recorded((stretches[0][:1], stretches[1][-1:])) == 43_200


def test_a_pause_takes_no_metres_away() -> None:
    # Ten seconds at 8 m/s, of which the last are counted after the pause.
    times = np.concatenate([np.arange(10.0), np.arange(70.0, 80)])
    way = way_of(8.0 * np.arange(20.0), seconds=times)
    assert way is not None
    stretches = recorded_stretches((T0 + 1000 * times).astype(np.int64))
    assert way.recorded(stretches) == 152
