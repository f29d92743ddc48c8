import numpy as np

from tests.worker.readings import T0, columns
from worker.metrics.spikes import find_speed_spikes, find_spikes

CALM: dict[float, float | None] = dict.fromkeys(range(120), 120.0)


def spikes_of(
    readings: dict[float, float | None], *vouched: tuple[float, float], find: object = find_spikes
) -> list[float]:
    """The seconds at which there is one."""
    times, power = columns([(T0 + round(1000 * t), p) for t, p in readings.items()])
    ranges = [(T0 / 1000 + start, T0 / 1000 + end) for start, end in vouched]
    found = find_spikes(times, power, ranges)
    return [t for t, spike in zip(readings, found.tolist(), strict=True) if spike]


def sprint(*watts: float) -> dict[float, float | None]:
    """Second by second from the 40th, out of an easy 120 W."""
    return {**CALM, **{40.0 + t: power for t, power in enumerate(watts)}}


def test_what_no_rider_produces_is_a_spike() -> None:
    assert spikes_of({**CALM, 40: 2600.0, 81: 1600.0}) == [40, 81]
    assert spikes_of({**CALM, 40: 2500.0, 41: 1501.0}) == [40, 41]


def test_a_sprint_ramps_up_and_fades_and_is_no_spike() -> None:
    assert spikes_of(sprint(1200, 1500, 1620, 1680, 1650, 1580, 1450, 1200)) == []
    assert spikes_of(sprint(900, 1700, 1800, 800)) == []  # two seconds, but not out of nothing


def test_more_than_two_seconds_are_a_sprint_even_from_an_easy_pace() -> None:
    assert spikes_of(sprint(*[1600] * 8)) == []
    assert spikes_of(sprint(1600, 1600, 1600)) == []
    assert spikes_of(sprint(1600, 1600)) == [40, 41]


def test_both_sides_tell_a_spike() -> None:
    assert spikes_of(sprint(500, 1600, 500)) == [41]
    assert spikes_of(sprint(600, 1600, 120)) == []  # 1600 is less than three times 600
    assert spikes_of(sprint(120, 1600, 600)) == []


def test_at_an_end_of_the_ride_the_one_side_there_is_decides() -> None:
    assert spikes_of({0: 1600, 1: 120, 2: 120}) == [0]
    assert spikes_of({0: 120, 1: 120, 2: 1600}) == [2]
    assert spikes_of({0: 1600}) == []  # nothing to compare it with


def test_a_spike_is_found_however_densely_or_sparsely_it_was_recorded() -> None:
    assert spikes_of({0: 200, 0.2: 200, 0.4: 6000, 0.6: 200, 1: 200}) == [0.4]
    assert spikes_of({0: 200, 1: 1600, 1.25: 1700, 1.49: 1600, 2: 200}) == [1, 1.25, 1.49]
    assert spikes_of({15 * n: 2000 if n == 6 else 200 for n in range(12)}) == [90]
    assert spikes_of({0: 200, 1: None, 2: 1600, 3: None, 4: 200}) == [2]


def test_a_rider_s_word_takes_a_flag_back() -> None:
    readings = {**CALM, 40: 2600.0, 81: 1600.0}
    assert spikes_of(readings, (40, 41)) == [81]
    assert spikes_of(readings, (0, 120)) == []


def test_a_speed_no_bicycle_reaches_is_a_spike() -> None:
    times = T0 + 1000 * np.arange(8, dtype=np.int64)
    speeds = np.array([8.0, 61, 8, 30, 9, 22, 23, 22])
    assert np.flatnonzero(find_speed_spikes(times, speeds)).tolist() == [1, 3]
