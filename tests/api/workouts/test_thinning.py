"""A ride thinned to the pixels of a chart, by hand."""

import numpy as np
import pytest

from api.workouts.thinning import Grid, grid_over, thin
from shared.samples.columns import Samples

T0 = 1_700_000_000_000
NAN = np.nan


def ride(seconds: list[int], **columns: list[float]) -> Samples:
    times = T0 + 1000 * np.array(seconds, np.int64)
    return Samples(times, {name: np.array(values, float) for name, values in columns.items()})


@pytest.mark.parametrize(
    ("seconds", "points", "step", "count"),
    [(100, 1000, 1, 101), (999, 1000, 1, 1000), (1000, 1000, 2, 501), (43_199, 1000, 44, 982)],
)
def test_a_stretch_is_whole_seconds_and_there_are_no_more_than_asked_for(
    seconds: int, points: int, step: int, count: int
) -> None:
    grid = grid_over(T0, T0 + seconds * 1000, points)
    assert (grid.step, grid.count) == (step * 1000, count)
    assert grid.end > T0 + seconds * 1000


def test_a_stretch_has_its_mean_and_its_ends_so_that_no_peak_is_lost() -> None:
    samples = ride([0, 1, 2, 3, 4, 9], power=[100, 200, 900, 0, 50, 70])
    power = thin([samples], Grid(T0, 5000, 2), ["power"])["power"]
    assert power.values.tolist() == [250, 70]
    assert power.low.tolist() == [0, 70]
    assert power.high.tolist() == [900, 70]


def test_it_matters_not_in_which_windows_the_samples_come() -> None:
    whole = ride([0, 1, 2, 3, 4], power=[100, NAN, 900, 0, 50])
    grid = Grid(T0, 5000, 1)
    apart = thin([*whole.slices(2)], grid, ["power"])["power"]
    assert apart.values.tolist() == thin([whole], grid, ["power"])["power"].values.tolist()
    assert (apart.values[0], apart.low[0], apart.high[0]) == (262.5, 0, 900)


def test_missing_is_missing_and_a_mark_of_no_value_too() -> None:
    samples = ride([0, 1, 6], heartrate=[0, 255, 140])
    heartrate = thin([samples], Grid(T0, 5000, 2), ["heartrate"])["heartrate"]
    assert np.isnan(heartrate.values[0])
    assert np.isnan(heartrate.high[0])
    assert heartrate.values[1] == 140


def test_of_positions_and_the_odometer_the_first_reading_stands() -> None:
    """A mean of places would lie beside the road."""
    samples = ride([0, 1, 2], lat=[NAN, 47, 48], lng=[8, 8, 9], distance=[5, 10, 15])
    thinned = thin([samples], Grid(T0, 5000, 1), ["lat", "lng", "distance"])
    assert {name: each.values[0] for name, each in thinned.items()} == {
        "lat": 47,
        "lng": 8,
        "distance": 5,
    }


def test_what_lies_outside_the_grid_is_not_there() -> None:
    samples = ride([0, 10, 20], power=[1, 2, 3])
    power = thin([samples], Grid(T0 + 5000, 1000, 10), ["power"])["power"]
    assert np.nansum(power.values) == 2
