"""What no device can have measured is left out of a file's samples."""

import numpy as np
import pytest

from shared.files.readings import readings, reason_without
from tests.shared.samples.strategies import NAN

NOW = 1_700_000_000_000


def test_values_beyond_their_bounds_are_missing_and_counted() -> None:
    times = NOW + 1000 * np.arange(3)
    found = readings(times, {"power": np.array([65_535.0, 200, -1])}, NOW)
    assert np.isnan(found.samples.channel("power")).tolist() == [True, False, True]
    assert found.warnings == ("2 readings of impossible power left out",)


def test_a_sensor_that_says_zero_all_along_is_none_and_one_that_rests_is() -> None:
    columns = {"power": np.zeros(2), "cadence": np.array([0.0, 80]), "speed": np.zeros(2)}
    found = readings(NOW + np.arange(2), columns, NOW)
    assert list(found.samples.channels) == ["cadence", "speed"]
    assert found.warnings == ("power is 0 throughout: taken for no power meter",)


def test_a_channel_never_measured_is_none() -> None:
    assert readings(np.array([NOW]), {"power": np.array([NAN])}, NOW).samples.channels == {}


def test_samples_of_before_2000_and_after_tomorrow_are_left_out() -> None:
    times = np.array([946_684_799_999, 946_684_800_000, NOW + 86_400_000, NOW + 86_400_001])
    found = readings(times, {"power": np.arange(4.0)}, NOW)
    assert found.samples.channel("power").tolist() == [1, 2]
    assert found.warnings == ("2 readings with an impossible date left out",)


def test_samples_are_in_order_of_time_and_equal_times_in_that_of_the_file() -> None:
    times = NOW + np.array([5, 1, 5, 2])
    found = readings(times, {"power": np.array([1.0, 2, 3, 4])}, NOW)
    assert (found.samples.timestamps - NOW).tolist() == [1, 2, 5, 5]
    assert found.samples.channel("power").tolist() == [2, 4, 1, 3]
    assert found.warnings == (
        "the device's clock went back 2 times: readings put into order of time",
    )


def test_a_minute_of_one_timestamp_keeps_its_order() -> None:
    """An unstable sort leaves small ones alone."""
    times = np.array([NOW + 1] * 60 + [NOW])
    found = readings(times, {"power": np.arange(61.0)}, NOW)
    assert found.samples.channel("power").tolist() == [60, *range(60)]


def test_values_have_the_decimals_of_their_channel() -> None:
    """The altitude of a FIT file comes as 132.20000000000005."""
    columns = {"altitude": np.array([132.20000000000005]), "lng": np.array([-52.81548612])}
    found = readings(np.array([NOW]), columns, NOW).samples
    assert found.channel("altitude").tolist() == [132.2]
    assert found.channel("lng").tolist() == [-52.8154861]


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ([], "no times"),
        ([NOW + 86_400_001], "dated in the future"),
        ([946_684_799_999], "before the year 2000: the clock was not set"),
        ([946_684_799_999, NOW + 86_400_001], "before the year 2000 or in the future"),
        ([946_684_799_999, NOW], "have times, but no values"),
    ],
)
def test_a_file_without_a_reading_that_counts_is_told_what_is_wrong(
    times: list[int], words: str
) -> None:
    assert words in reason_without(np.array(times, np.int64), NOW)
