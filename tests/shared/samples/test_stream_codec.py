import json
import struct
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.errors import LeaveToNewer, MalformedEntry
from shared.samples import stream_codec
from shared.samples.channels import CHANNEL_NAMES, CHANNELS
from shared.samples.columns import Samples, concatenate
from tests.shared.samples.strategies import NAN, any_samples, exactly, readings_of, samples_of

T0 = 1_700_000_000_000

T0 = 1_700_000_000_000


def one_reading() -> st.SearchStrategy[tuple[Any, ...]]:
    """A timestamp, and values of every channel within its bounds, as devices send them or not."""

    def values(lowest: float, highest: float, decimals: int) -> st.SearchStrategy[float | None]:
        exact = st.floats(lowest, highest)
        return st.none() | exact | exact.map(lambda value: round(value, decimals))

    columns = [values(each.minimum, each.maximum, each.decimals) for each in CHANNELS]
    return st.tuples(st.integers(T0 - 10**10, T0 + 10**10), *columns)


def ten_seconds(**columns: float) -> Samples:
    times = [T0 + 1000 * second for second in range(10)]
    return samples_of(times, **{name: [value] * 10 for name, value in columns.items()})


@given(any_samples())
@example(samples_of([-(2**63), 2**63 - 1, 0], power=[-0.0, 0.0, 5e-324]))
@example(samples_of([0], power=[NAN]))
def test_every_sample_comes_back_to_the_bit(samples: Samples) -> None:
    assert exactly(stream_codec.decode([stream_codec.encode(samples)])) == exactly(samples)


@given(st.lists(any_samples(largest=5), max_size=8))
def test_entries_of_mixed_layouts_come_back_in_their_order(batches: list[Samples]) -> None:
    entries = [stream_codec.encode(batch) for batch in batches]
    assert exactly(stream_codec.decode(entries)) == exactly(concatenate(batches))


def test_many_entries_of_two_layouts_interleaved_keep_their_order() -> None:
    batches = [
        samples_of([T0 + at, T0 + at + 1], **{("power", "cadence")[at % 2]: [at, at + 0.5]})
        for at in range(200)
    ]
    decoded = stream_codec.decode([stream_codec.encode(batch) for batch in batches])
    assert readings_of(decoded) == [reading for batch in batches for reading in readings_of(batch)]


def test_no_entries_are_no_samples() -> None:
    assert len(stream_codec.decode([])) == 0


def test_the_channels_come_back_in_the_order_of_the_format() -> None:
    entries = [stream_codec.encode(ten_seconds(**{name: 1})) for name in reversed(CHANNEL_NAMES)]
    assert tuple(stream_codec.decode(entries).channels) == CHANNEL_NAMES


def test_an_absent_channel_costs_nothing() -> None:
    lone, both = ten_seconds(power=200), ten_seconds(power=200, cadence=90)
    difference = len(stream_codec.encode(both)) - len(stream_codec.encode(lone))
    assert difference == 2 + 10 * 2  # its layout, and 900 tenths in two bytes each


def test_a_minute_of_eight_channels_takes_at_most_36_bytes_a_sample() -> None:
    second = np.arange(60, dtype=np.float64)
    samples = Samples(
        T0 + 1000 * np.arange(60),
        {
            "power": 1200.0 + second,
            "cadence": 90.0 + second % 7,
            "heartrate": 150.0 + second % 5,
            "speed": np.round(8 + second / 977, 3),
            "distance": np.round(98_765 + second * 8.18, 2),
            "altitude": np.round(1234 + second / 10, 1),
            "lat": np.round(47.123 + second / 99_991, 7),
            "lng": np.round(-122.456 - second / 99_991, 7),
        },
    )
    assert len(stream_codec.encode(samples)) <= 36 * 60


@given(any_samples(), st.data())
def test_an_entry_cut_short_or_overlong_is_malformed(samples: Samples, data: st.DataObject) -> None:
    entry = stream_codec.encode(samples)
    cut = data.draw(st.integers(0, len(entry) - 1))
    for wrong in (entry[:cut], entry + b"\0"):
        with pytest.raises(MalformedEntry):
            stream_codec.decode([wrong])


@given(any_samples(largest=4), st.data())
def test_a_flipped_byte_gives_other_samples_or_an_error(
    samples: Samples, data: st.DataObject
) -> None:
    entry = bytearray(stream_codec.encode(samples))
    entry[data.draw(st.integers(0, len(entry) - 1))] ^= data.draw(st.integers(1, 255))
    decodes_or_is_refused([bytes(entry)])


@given(st.lists(st.binary(max_size=60).map(lambda rest: b"\x01" + rest), max_size=3))
def test_garbage_gives_samples_or_an_error(entries: list[bytes]) -> None:
    decodes_or_is_refused(entries)


def decodes_or_is_refused(entries: list[bytes]) -> None:
    try:
        decoded = stream_codec.decode(entries)
    except (MalformedEntry, LeaveToNewer):
        return
    assert len(decoded) <= sum(map(len, entries))


def test_a_promise_of_four_billion_samples_is_malformed_and_not_believed() -> None:
    head = struct.pack("<BIBB", stream_codec.VERSION, 2**32 - 1, 0, 0)
    with pytest.raises(MalformedEntry):
        stream_codec.decode([head + bytes(8)])


def test_two_wrong_lengths_do_not_make_a_right_one() -> None:
    one, two = stream_codec.encode(ten_seconds(power=1)), stream_codec.encode(ten_seconds(power=2))
    with pytest.raises(MalformedEntry):
        stream_codec.decode([one[:-1], two + b"\0"])


def with_byte(at: int, value: int) -> bytes:
    """Ten seconds of power, with one byte of their entry changed."""
    entry = bytearray(stream_codec.encode(ten_seconds(power=200)))
    entry[at] = value
    return bytes(entry)


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, 0),
        (0, stream_codec.LAST_VERSION + 1),  # where text begins
        (0, 0xFF),
        (6, 200),
        (8, 8),
    ],
)
def test_a_version_or_kind_that_never_was_is_malformed(at: int, value: int) -> None:
    with pytest.raises(MalformedEntry):
        stream_codec.decode([with_byte(at, value)])


@pytest.mark.parametrize("version", [stream_codec.VERSION + 1, stream_codec.LAST_VERSION])
def test_a_newer_version_is_left_to_whoever_knows_it(version: int) -> None:
    known = stream_codec.encode(ten_seconds(power=200))
    for entry in (with_byte(0, version), bytes([version])):  # whatever its layout
        with pytest.raises(LeaveToNewer, match=f"version {version}"):
            stream_codec.decode([known, entry])


@pytest.mark.parametrize("channel", [len(CHANNEL_NAMES), 255])
def test_a_newer_channel_is_left_to_whoever_knows_it(channel: int) -> None:
    with pytest.raises(LeaveToNewer, match=f"channel {channel}"):
        stream_codec.decode([with_byte(7, channel)])


def test_a_newer_channel_in_an_entry_that_is_wrong_otherwise_is_malformed() -> None:
    for wrong in (with_byte(7, 200)[:-1], with_byte(7, 200) + b"\0"):
        with pytest.raises(MalformedEntry):
            stream_codec.decode([wrong])


def test_times_are_never_floats() -> None:
    head = struct.pack("<BIBB", stream_codec.VERSION, 1, 0, 7)
    with pytest.raises(MalformedEntry):
        stream_codec.decode([head + bytes(8) + struct.pack("<d", NAN)])


def test_an_entry_written_by_the_first_version_can_be_read_for_ever() -> None:
    """Streams outlive a deployment, so these bytes must mean the same after any change."""
    entry = bytes.fromhex(
        "01 02000000 02 02"  # version 1, two samples, two columns, offsets as u16
        "00 02 02 81"  # power as u16; heart rate as i8, some missing
        "0068e5cf8b010000 0000 e803"  # T0, then 0 and 1000 ms
        "3408 0000"  # 210.0 and 0.0 W in tenths
        "40 00 7b"  # the second alone has a heart rate: 12.3
    )
    assert readings_of(stream_codec.decode([entry])) == [
        (T0, {"power": 210.0}),
        (T0 + 1000, {"power": 0.0, "heartrate": 12.3}),
    ]


def test_a_shuffled_batch_keeps_its_shuffled_order() -> None:
    times = [T0 + 5000, T0, T0 + 3000]
    decoded = stream_codec.decode([stream_codec.encode(samples_of(times, power=[1, 2, 3]))])
    assert decoded.timestamps.tolist() == times
    assert not all(a <= b for a, b in pairwise(times))


def test_an_entry_is_a_tenth_of_its_json() -> None:
    samples = ten_seconds(power=210, cadence=91, heartrate=148, speed=8.186)
    body = [{"timestamp": time, **values} for time, values in readings_of(samples)]
    assert len(stream_codec.encode(samples)) * 6 < len(json.dumps(body))


@given(one_reading())
@example((T0, -0.0, 0.05, None, 9_999.95))
def test_a_single_sample_is_packed_like_any_batch(reading: tuple[Any, ...]) -> None:
    time, *values = reading
    columns = {
        name: [value]
        for name, value in zip(CHANNEL_NAMES, values, strict=False)
        if value is not None
    }
    entry = stream_codec.encode(samples_of([time], **columns))
    assert stream_codec.encode_one(time, values) == entry


def three_readings() -> st.SearchStrategy[list[tuple[int, float, float]]]:
    """Of distance and altitude, now and then with further decimals than devices send."""
    times = st.integers(T0, T0 + 300) | st.integers(T0 - 10**10, T0 + 10**10)
    metres = st.integers(0, 300) | st.integers(0, 10**8)
    heights = st.integers(-500, 9000) | st.just(0.001) | st.just(-0.0)
    reading = st.tuples(times, metres.map(lambda whole: whole / 100), heights.map(float))
    return st.lists(reading, min_size=3, max_size=3)


@given(st.lists(three_readings(), min_size=1, max_size=6))
def test_batches_together_are_packed_as_each_alone(
    batches: list[list[tuple[int, float, float]]],
) -> None:
    times = np.array([[time for time, *_ in batch] for batch in batches])
    values = np.array([[[*each[1:]] for each in batch] for batch in batches]).transpose(2, 0, 1)
    names = ("distance", "altitude")
    codes = tuple(CHANNEL_NAMES.index(name) for name in names)
    packed = stream_codec.encode_tables(times, codes, np.ascontiguousarray(values))
    for at, entry in enumerate(packed):
        alone = Samples(times[at], dict(zip(names, values[:, at], strict=True)))
        is_usual = all(
            height not in (0.001, -0.0) or repr(height) == "0.0" for *_, height in batches[at]
        )
        assert entry == (stream_codec.encode(alone) if is_usual else None)


@pytest.mark.parametrize(
    ("low", "high", "width"),
    [
        *((0, 255, 1), (0, 256, 2), (-1, 127, 1), (-128, 0, 1), (-1, 128, 2), (-129, 0, 2)),
        *((0, 65_535, 2), (0, 65_536, 4), (-1, 32_767, 2), (-1, 32_768, 4), (-32_769, 0, 4)),
        *((0, 2**32 - 1, 4), (0, 2**32, 8), (-1, 2**31 - 1, 4), (-1, 2**31, 8)),
    ],
)
def test_whole_numbers_take_the_fewest_bytes_that_hold_them(
    low: int, high: int, width: int
) -> None:
    times, metres = np.array([[T0, T0 + 255]]), np.array([[[low / 100, high / 100]]])
    [entry] = stream_codec.encode_tables(times, (CHANNEL_NAMES.index("distance"),), metres)
    assert entry is not None
    assert len(entry) == 7 + 2 + 8 + 2 * 1 + 2 * width  # head, layout, first time, offsets, values
    assert readings_of(stream_codec.decode([entry])) == [
        (T0, {"distance": low / 100}),
        (T0 + 255, {"distance": high / 100}),
    ]
