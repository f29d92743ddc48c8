import numpy as np

from tests.worker.readings import T0
from worker.metrics.strays import Stray, find_strays

DAY = 86_400
HOUR = range(3600)


def strays_of(*seconds: "range | tuple[float, ...]") -> list[tuple[float, float, int]]:
    """First and last second of each, from T0, and how many samples it holds."""
    times = np.array([T0 + round(1000 * t) for part in seconds for t in part], np.int64)
    found, mask = find_strays(np.sort(times))
    assert sum(stray.samples for stray in found) == np.count_nonzero(mask)
    return [((a - T0) / 1000, (b - T0) / 1000, samples) for a, b, samples in found]


def shifted(seconds: range, days: float) -> range:
    by = round(days * DAY)
    return range(seconds.start + by, seconds.stop + by)


def test_five_samples_of_last_week_are_not_the_ride() -> None:
    assert strays_of(shifted(range(5), -6), HOUR) == [(-6 * DAY, -6 * DAY + 4, 5)]


def test_a_clock_that_boots_at_the_turn_of_the_century_is_not_the_ride() -> None:
    assert len(strays_of(shifted(range(20), -8000), HOUR)) == 1
    assert len(strays_of(HOUR, shifted(range(3), 30))) == 1


def test_strays_may_be_several_and_on_either_side() -> None:
    groups = [shifted(range(4), -9), shifted(range(4), -3), HOUR, shifted(range(2), 5)]
    assert [samples for _, _, samples in strays_of(*groups)] == [4, 4, 2]


def test_two_bursts_hours_apart_are_one_group_that_holds_seconds() -> None:
    assert len(strays_of(shifted(range(3), -6), shifted(range(2), -5.5), HOUR)) == 1


def test_a_tour_with_nights_and_rest_days_is_one_ride() -> None:
    days = [shifted(HOUR, day) for day in (0, 1, 2, 5, 6, 11)]
    assert strays_of(*days) == []


def test_what_is_within_a_day_belongs_to_the_ride() -> None:
    assert strays_of(shifted(range(5), -0.9), HOUR) == []


def test_a_group_of_one_percent_or_of_five_minutes_is_no_stray() -> None:
    assert strays_of(shifted(range(37), -6), HOUR) == []  # 37 of 3,637 are more than 1 %
    assert len(strays_of(shifted(range(36), -6), HOUR)) == 1
    assert strays_of(shifted(range(301), -6), range(40_000)) == []
    assert len(strays_of(shifted(range(300), -6), range(40_000))) == 1


def test_a_short_ride_too_may_begin_by_a_clock_at_the_turn_of_the_century() -> None:
    ride = range(600)
    assert len(strays_of(shifted(range(20), -8000), ride)) == 1  # 3 %
    assert strays_of(shifted(range(20), -29), ride) == []
    assert len(strays_of(shifted(range(290), -31), range(300))) == 1
    assert strays_of(shifted(range(290), -31), range(290)) == []  # neither is the lesser


def test_a_few_samples_of_last_week_are_not_a_short_ride() -> None:
    ride = range(600)
    assert len(strays_of(shifted(range(8), -6), ride)) == 1  # 1.3 %
    assert strays_of(shifted(range(10), -6), ride) == []
    assert strays_of(shifted(range(8), -6), range(72)) == []  # a tenth of all
    assert len(strays_of((-6.0 * DAY, -6.0 * DAY + 30), range(0, 3600, 30))) == 1


def test_samples_that_are_all_far_apart_are_the_ride_itself() -> None:
    assert strays_of(*((day * 2.0 * DAY,) for day in range(200))) == []
    assert strays_of((0.0,), (5.0 * DAY,)) == []
    assert strays_of(()) == []


def test_a_stray_tells_its_bounds_and_size() -> None:
    times = np.array([T0 - 6 * DAY * 1000, *(T0 + 1000 * t for t in HOUR)], np.int64)
    found, mask = find_strays(times)
    assert found == [Stray(T0 - 6 * DAY * 1000, T0 - 6 * DAY * 1000, 1)]
    assert mask.nonzero()[0].tolist() == [0]
