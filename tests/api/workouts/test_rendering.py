"""Rendering in pieces gives, byte for byte, what rendering all of a ride at once would."""

import csv
import io
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.workouts.held_samples import EncodedSamples
from api.workouts.rendering import csv_lines, json_columns, json_rows, plain_numbers
from api.workouts.selection import Selection, View, are_whole
from shared.samples import archive, stream_codec
from shared.samples.columns import Samples, concatenate, downsample, merge
from tests.shared.samples.strategies import NAN, any_samples, samples_of

SAMPLES = samples_of([5, 7], power=[210, NAN], speed=[8.5, 0])
T0 = 1_700_000_000_000


def view_of(samples: Samples, selection: Selection = Selection()) -> View:  # noqa: B008
    """As if all of them waited."""
    return View(EncodedSamples([], [stream_codec.encode(samples)]).decode(), selection)


def numbers_of(values: Any) -> list[int | float | None]:
    return list(plain_numbers(values, are_whole(values)))


def columns_at_once(samples: Samples) -> dict[str, list[Any]]:
    columns = {name: numbers_of(values) for name, values in samples.channels.items()}
    return {"timestamp": samples.timestamps.tolist(), **columns}


def rows_at_once(samples: Samples) -> bytes:
    columns = columns_at_once(samples)
    rows = zip(*columns.values(), strict=True)
    measured = [
        {name: value for name, value in zip(columns, row, strict=True) if value is not None}
        for row in rows
    ]
    return msgspec.json.encode(measured)


def csv_at_once(samples: Samples) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = columns_at_once(samples)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()


def test_a_row_leaves_out_what_was_not_measured() -> None:
    rows = b'{"timestamp":5,"power":210,"speed":8.5},{"timestamp":7,"speed":0.0}'
    assert b"".join(json_rows(view_of(SAMPLES))) == rows


def test_columns_have_null_for_what_was_not_measured() -> None:
    columns = b'{"timestamp":[5,7],"power":[210,null],"speed":[8.5,0.0]}'
    assert b"".join(json_columns(view_of(SAMPLES))) == columns


def test_csv_has_a_header_and_empty_fields() -> None:
    assert b"".join(csv_lines(view_of(SAMPLES))) == b"timestamp,power,speed\n5,210,8.5\n7,,0.0\n"


def test_whole_channels_are_whole_numbers() -> None:
    numbers = numbers_of(SAMPLES.channel("power"))
    assert [type(number) for number in numbers] == [int, type(None)]
    assert numbers_of(samples_of([1, 2], power=[NAN, NAN]).channel("power")) == [None, None]


def long_ride() -> tuple[EncodedSamples, Samples]:
    """Nine hours in four parts, as it is held, and what that is: some waits, some twice.

    The one power that is not whole comes last, in another part than nearly all.
    """
    times = T0 + 4000 * np.arange(8100)
    power = np.where(np.arange(8100) % 7 == 0, NAN, np.arange(8100) % 400.0)
    power[-1] = 250.5
    speed = np.where(times < T0 + 15_000_000, NAN, 8.186)
    archived = Samples(times, {"power": power, "speed": speed})
    late = samples_of(
        [T0 + 1, T0 + 4000, T0 + 90_000_000], heartrate=[120, 121, 122], power=[NAN, 9, NAN]
    )
    rows = [row for part, each in archive.split(archived) for row in archive.encode(each, part)]
    waits = [stream_codec.encode(late.select(slice(at, at + 1))) for at in (2, 0, 1)]
    return EncodedSamples(rows, waits), merge(concatenate([archived, late]))


@pytest.mark.parametrize("seconds", [None, 1, 3600, 86_400])
def test_a_long_ride_is_rendered_in_pieces_as_it_would_be_at_once(seconds: int | None) -> None:
    held, samples = long_ride()
    view = View(held.decode(), Selection(resolution=seconds))
    expected = downsample(samples, seconds) if seconds else samples
    assert view.outline.count == len(expected)
    rows, columns = list(json_rows(view)), list(json_columns(view))
    assert (len(rows) > 8) == (len(expected) > 8000)
    if seconds in (None, 1):  # sums over many windows differ from those at once in the last bit
        assert b"[" + b"".join(rows) + b"]" == rows_at_once(expected)
        assert b"".join(columns) == msgspec.json.encode(columns_at_once(expected))
        assert b"".join(csv_lines(view)) == csv_at_once(expected)
    decoded = msgspec.json.decode(b"[" + b"".join(rows) + b"]")
    at_once = msgspec.json.decode(rows_at_once(expected))
    assert [each.keys() for each in decoded] == [each.keys() for each in at_once]
    assert all(pytest.approx(a) == b for a, b in zip(decoded, at_once, strict=True))


def test_no_piece_is_larger_than_a_thousand_samples() -> None:
    view = View(long_ride()[0].decode(), Selection())
    assert max(len(window) for window in view.windows(["power"])) == 1000


@given(any_samples(largest=30), any_samples(largest=30), st.integers(1, 5))
def test_windows_join_to_what_is_held_in_order_of_time(
    archived: Samples, waiting: Samples, size: int
) -> None:
    archived = merge(archived)
    rows = [row for part, each in archive.split(archived) for row in archive.encode(each, part)]
    ride = EncodedSamples(rows, [stream_codec.encode(waiting)]).decode()
    joined = concatenate(list(ride.windows(ride.channels, size)))
    expected = merge(concatenate([archived, waiting]))
    assert joined.timestamps.tolist() == expected.timestamps.tolist()
    for name in ride.channels:
        assert np.array_equal(joined.channel(name), expected.channel(name), equal_nan=True)


@given(any_samples(largest=30))
def test_the_timestamps_alone_are_those_of_the_samples(samples: Samples) -> None:
    entries = [stream_codec.encode(samples), stream_codec.encode(samples.select(slice(0, 1)))]
    alone = stream_codec.decode_times(entries)
    assert sorted(alone.tolist()) == sorted(stream_codec.decode(entries).timestamps.tolist())
    assert stream_codec.count(entries) == len(alone)
