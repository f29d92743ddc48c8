import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.samples.channels import CHANNEL, CHANNELS
from shared.samples.columns import (
    Samples,
    concatenate,
    count_overwritten,
    downsample,
    merge,
    no_samples,
    without_marks,
)
from tests.shared.samples.strategies import (
    NAN,
    Reading,
    exactly,
    readings_of,
    samples_from,
    samples_of,
)

# Few timestamps and channels, so that arrivals meet.
measured = st.dictionaries(st.sampled_from(["power", "cadence", "lat"]), st.integers(0, 90))
readings = st.lists(st.tuples(st.integers(0, 5), measured), max_size=20)


def last_arrivals(arrived: list[Reading]) -> list[Reading]:
    """Slow and plain: each timestamp and channel has the value that arrived last."""
    latest: dict[int, dict[str, float]] = {}
    for time, values in arrived:
        latest.setdefault(time, {}).update(values)
    return sorted(latest.items())


@given(readings)
def test_merging_keeps_the_last_arrival_of_each_timestamp_and_channel(
    arrived: list[Reading],
) -> None:
    assert readings_of(merge(samples_from(arrived))) == last_arrivals(arrived)


@given(readings, st.integers(0, 20))
def test_merging_in_two_steps_is_merging_at_once(arrived: list[Reading], cut: int) -> None:
    early, late = samples_from(arrived[:cut]), samples_from(arrived[cut:])
    in_steps = merge(concatenate([merge(early), late]))
    assert exactly(in_steps) == exactly(merge(samples_from(arrived)))


@given(readings)
def test_sending_everything_again_changes_nothing(arrived: list[Reading]) -> None:
    assert exactly(merge(samples_from(arrived + arrived))) == exactly(merge(samples_from(arrived)))


@given(readings, st.data())
def test_the_order_of_batches_that_agree_does_not_matter(
    arrived: list[Reading], data: st.DataObject
) -> None:
    """However a ride is cut into batches, shuffled and repeated, the same ride comes out."""
    ride = last_arrivals(arrived)
    repeated = data.draw(st.lists(st.sampled_from(ride))) if ride else []
    shuffled = data.draw(st.permutations(ride + repeated))
    assert readings_of(merge(samples_from(shuffled))) == ride


def test_a_later_upload_takes_nothing_away() -> None:
    arrived = samples_of([7, 7], power=[200, NAN], cadence=[80, 90])
    assert readings_of(merge(arrived)) == [(7, {"power": 200.0, "cadence": 90.0})]


def test_samples_in_order_are_not_even_copied() -> None:
    samples = samples_of([1, 2], power=[1, 2])
    assert merge(samples) is samples


def test_concatenating_fills_what_a_part_lacks_with_nan() -> None:
    joined = concatenate([samples_of([1], cadence=[90]), samples_of([2], power=[200])])
    assert list(joined.channels) == ["power", "cadence"]  # in the order of the stream format
    assert readings_of(joined) == [(1, {"cadence": 90.0}), (2, {"power": 200.0})]


def test_concatenating_nothing_gives_no_samples() -> None:
    assert len(concatenate([])) == len(concatenate([no_samples(), no_samples()])) == 0


def test_a_channel_never_measured_reads_as_missing() -> None:
    assert np.isnan(samples_of([1, 2]).channel("power")).all()


def test_selecting_keeps_the_columns_together() -> None:
    chosen = samples_of([1, 2, 3], power=[10, 20, 30]).select(np.array([True, False, True]))
    assert readings_of(chosen) == [(1, {"power": 10.0}), (3, {"power": 30.0})]


def ride() -> Samples:
    return samples_of(
        [10_000, 11_000, 12_000, 14_999, 25_000],
        power=[100, 200, NAN, 600, 50],
        heartrate=[NAN, NAN, NAN, NAN, 120],
    )


def test_downsampling_gives_means_of_what_was_measured() -> None:
    # 10 to 15 s: (100 + 200 + 600) / 3; 15 to 25 s: nothing at all; 25 s: alone.
    assert readings_of(downsample(ride(), 5)) == [
        (10_000, {"power": 300.0}),
        (25_000, {"power": 50.0, "heartrate": 120.0}),
    ]


def test_stretches_begin_at_whole_multiples() -> None:
    # 12 s is the only multiple of 4 within 10 to 15 s.
    assert readings_of(downsample(ride(), 4)) == [
        (8_000, {"power": 150.0}),
        (12_000, {"power": 600.0}),
        (24_000, {"power": 50.0, "heartrate": 120.0}),
    ]


def test_a_zero_counts_in_a_mean() -> None:
    assert readings_of(downsample(samples_of([0, 1], power=[0, 300]), 1)) == [(0, {"power": 150.0})]


def test_downsampling_nothing_gives_nothing() -> None:
    assert len(downsample(no_samples(), 60)) == 0


def one_mean(**channels: list[float]) -> dict[str, float]:
    """Of samples a second apart."""
    count = max(len(values) for values in channels.values())
    samples = samples_of([1000 * n for n in range(count)], **channels)
    ((_, values),) = readings_of(downsample(samples, 60))
    return values


def test_a_mark_of_no_value_is_no_part_of_a_mean() -> None:
    assert one_mean(heartrate=[0, 140, 0, 140, 255]) == {"heartrate": 140}
    assert one_mean(cadence=[255, 90], speed=[65.535, 8], temperature=[127, 21.5]) == {
        "cadence": 90,
        "speed": 8,
        "temperature": 21.5,
    }
    assert one_mean(altitude=[-500, 12_607, 300]) == {"altitude": 300}
    assert one_mean(lat=[46.5] * 9 + [0], lng=[7.25] * 9 + [0]) == {"lat": 46.5, "lng": 7.25}


def test_a_place_on_the_equator_or_the_meridian_is_a_place() -> None:
    assert one_mean(lat=[0, 0], lng=[7, 9]) == {"lat": 0, "lng": 8}
    assert one_mean(lat=[50, 52], lng=[0, 0]) == {"lat": 51, "lng": 0}


def test_longitudes_are_averaged_on_their_circle() -> None:
    assert abs(one_mean(lng=[179.9995, -179.9995])["lng"]) == 180
    assert one_mean(lng=[-179.998, 179.999, NAN])["lng"] == pytest.approx(-179.9995)
    assert one_mean(lng=[179.998, -179.999])["lng"] == pytest.approx(179.9995)
    assert one_mean(lng=[-1, 2])["lng"] == 0.5


def test_means_have_no_more_decimals_than_their_channel() -> None:
    found = one_mean(power=[200, 200, 201], lat=[47, 47, 47.0000001], speed=[8, 8, 8.001])
    assert found == {"power": 200.3, "lat": 47.0, "speed": 8.0}


def test_marks_are_known_by_their_value_to_the_channel_s_decimals() -> None:
    samples = samples_of([1, 2, 3], speed=[65.53500366, 65.5, 0], heartrate=[254, 1, 0])
    assert readings_of(without_marks(samples)) == [
        (1, {"heartrate": 254.0}),
        (2, {"speed": 65.5, "heartrate": 1.0}),
        (3, {"speed": 0.0}),
    ]


def test_five_minutes_recorded_twice_with_other_values_are_overwritten() -> None:
    first = samples_of([1000 * t for t in range(600)], power=[200.0] * 600)
    again = samples_of([1000 * t for t in range(300)], power=[210.0] * 300)
    assert count_overwritten(first, again) == 300
    assert count_overwritten(no_samples(), concatenate([first, again])) == 300


def test_what_is_sent_again_or_added_overwrites_nothing() -> None:
    first = samples_of([1, 2, 3], power=[200, NAN, 210])
    assert count_overwritten(first, first) == 0
    assert count_overwritten(first, samples_of([1, 2], cadence=[90, 90])) == 0
    assert count_overwritten(first, samples_of([2], power=[205])) == 0
    assert count_overwritten(no_samples(), no_samples()) == 0


def test_a_value_that_comes_before_the_archived_one_comes_again_replaces_nothing() -> None:
    first, other = samples_of([1], power=[200]), samples_of([1], power=[300])
    assert count_overwritten(first, concatenate([other, first])) == 0


@given(readings)
def test_overwritten_timestamps_are_those_with_two_values_of_a_channel(
    arrived: list[Reading],
) -> None:
    seen: dict[tuple[int, str], set[float]] = {}
    for time, values in arrived:
        for name, value in values.items():
            seen.setdefault((time, name), set()).add(value)
    expected = {time for (time, _), values in seen.items() if len(values) > 1}
    assert count_overwritten(no_samples(), samples_from(arrived)) == len(expected)


@given(readings, readings)
def test_what_is_merged_already_overwrites_nothing_when_it_comes_again(
    before: list[Reading], arrived: list[Reading]
) -> None:
    archived, fresh = merge(samples_from(before)), samples_from(arrived)
    assert count_overwritten(merge(concatenate([archived, fresh])), fresh) == 0


@given(readings, st.integers(1, 3))
def test_a_mean_lies_within_its_stretch(arrived: list[Reading], seconds: int) -> None:
    samples = merge(samples_from([(time * 1000, values) for time, values in arrived]))
    for time, values in readings_of(downsample(samples, seconds)):
        stretch = range(time, time + seconds * 1000)
        inside = [values for at, values in readings_of(samples) if at in stretch]
        for name, value in values.items():
            measured = [values[name] for values in inside if name in values]
            expected = sum(measured) / len(measured)
            assert value == round(value, CHANNEL[name].decimals)
            assert value == pytest.approx(expected, abs=0.5001 / 10 ** CHANNEL[name].decimals)


def test_no_channel_accepts_what_means_missing_elsewhere() -> None:
    """65535 is the "no value" of 16-bit devices."""
    bounded = [channel for channel in CHANNELS if channel.name != "distance"]
    assert all(channel.maximum < 65535 for channel in bounded)


def test_every_mark_of_no_value_can_be_sent() -> None:
    """A batch is refused as a whole for one value beyond its bounds."""
    for channel in CHANNELS:
        assert all(channel.minimum <= mark <= channel.maximum for mark in channel.no_value)
