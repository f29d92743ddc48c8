import json
import struct
import zlib

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.errors import LeaveToNewer, MalformedEntry
from shared.samples import archive
from shared.samples.archive import ENCODING, ArchivedChannel
from shared.samples.channels import CHANNELS
from shared.samples.columns import FloatArray, Samples, no_samples
from tests.shared.samples.strategies import NAN, any_samples, exactly, readings_of, samples_of


def an_hour() -> Samples:
    """Nine channels at 1 Hz, wandering as a ride does, in the decimals devices send."""
    random = np.random.default_rng(1)

    def around(mean: float, spread: float) -> FloatArray:
        return np.abs(np.round(random.normal(mean, spread, 3600)))

    def wander(start: float, step: float, decimals: int) -> FloatArray:
        return np.round(start + np.cumsum(random.normal(0, step, 3600)), decimals)

    speed: FloatArray = np.abs(wander(8, 0.05, 3))
    distance = np.round(np.cumsum(speed), 2).astype(np.float64)
    return Samples(
        1_700_000_000_000 + 1000 * np.arange(3600),
        {
            "power": around(210, 30),
            "cadence": around(90, 4),
            "heartrate": wander(145, 0.5, 0),
            "speed": speed,
            "distance": distance,
            "altitude": wander(400, 0.2, 1),
            "lat": wander(47, 5e-5, 7),
            "lng": wander(8, 5e-5, 7),
            "temperature": wander(20, 0.01, 0),
        },
    )


@given(any_samples(smallest=0))
@example(samples_of([0, 1], power=[-0.0, NAN]))
@example(samples_of([2**63 - 1, -(2**63)], lat=[5e-324, 1.7e308]))
def test_every_sample_comes_back_to_the_bit(samples: Samples) -> None:
    assert exactly(archive.decode(archive.encode(samples))) == exactly(samples)


def test_an_hour_takes_a_quarter_of_its_json_at_most() -> None:
    samples = an_hour()
    body = [{"timestamp": time, **values} for time, values in readings_of(samples)]
    size = sum(len(row.data) for row in archive.encode(samples))
    assert exactly(archive.decode(archive.encode(samples))) == exactly(samples)
    assert size * 4 <= len(json.dumps(body, separators=(",", ":")))
    assert size < 40_000


def test_power_alone_can_be_read() -> None:
    rows = archive.encode(an_hour())
    read = archive.decode([row for row in rows if row.channel in ("timestamp", "power")])
    assert exactly(read) == exactly(
        Samples(an_hour().timestamps, {"power": an_hour().channel("power")})
    )


def test_a_row_counts_its_measured_values() -> None:
    rows = archive.encode(samples_of([1, 2, 3], power=[NAN, 0, 5], cadence=[NAN, NAN, NAN]))
    assert [(row.channel, row.samples) for row in rows] == [("timestamp", 3), ("power", 2)]


def test_nothing_archived_is_no_samples() -> None:
    assert len(archive.decode([])) == 0
    assert len(archive.decode(archive.encode(no_samples()))) == 0


def test_channels_come_back_in_their_order_whatever_that_of_the_rows() -> None:
    measured = an_hour().channels
    decoded = archive.decode(reversed(archive.encode(an_hour())))
    assert len(measured) > 5
    assert list(decoded.channels) == [each.name for each in CHANNELS if each.name in measured]


def test_channels_without_timestamps_are_malformed() -> None:
    _, power = archive.encode(samples_of([1], power=[5]))
    with pytest.raises(MalformedEntry):
        archive.decode([power])


@pytest.mark.parametrize("encoding", ["", "pco", "PCO2", "pco2\n", "2", "what is this?"])
def test_what_is_no_name_of_an_encoding_is_malformed(encoding: str) -> None:
    times, power = archive.encode(samples_of([1], power=[5]))
    with pytest.raises(MalformedEntry, match="power has the unknown encoding"):
        archive.decode([times, power._replace(encoding=encoding)])


def test_a_newer_encoding_is_left_to_whoever_knows_it() -> None:
    times, power = archive.encode(samples_of([1], power=[5]))
    for rows in ([times, power._replace(encoding="pco2")], [times._replace(encoding="zstd1")]):
        with pytest.raises(LeaveToNewer, match="has the unknown encoding"):
            archive.decode(rows)


def test_a_newer_channel_is_left_out_by_who_reads_and_left_alone_by_who_merges() -> None:
    times, power = archive.encode(samples_of([1], power=[5]))
    rows = [times, power, power._replace(channel="saddle-pressure")]
    assert readings_of(archive.decode(rows)) == [(1, {"power": 5.0})]
    with pytest.raises(LeaveToNewer, match="saddle-pressure"):
        archive.decode_parts(rows)


def test_a_channel_of_another_length_is_malformed() -> None:
    (times, _), (_, power) = (
        archive.encode(samples_of(list(range(n)), power=[5.0] * n)) for n in (2, 3)
    )
    with pytest.raises(MalformedEntry, match="2 archived values expected, 3 found"):
        archive.decode([times, power])


def test_a_mask_that_does_not_fit_its_values_is_malformed() -> None:
    times, power = archive.encode(samples_of([1, 2, 3], power=[NAN, 5, 6]))
    mask = zlib.compress(b"\xe0")  # three values, where two are stored
    head, numbers = struct.pack("<BI", power.data[0], len(mask)), power.data[5 + power.data[1] :]
    with pytest.raises(MalformedEntry, match="3 archived values expected, 2 found"):
        archive.decode([times, power._replace(data=head + mask + numbers)])


@pytest.mark.parametrize(("values", "decimals"), [([5.0, 6.0], 255), ([0.05, 1 / 3], 1)])
def test_whole_numbers_and_floats_are_not_taken_for_each_other(
    values: list[float], decimals: int
) -> None:
    times, power = archive.encode(samples_of([1, 2], power=values))
    assert power.data[0] != decimals
    with pytest.raises(MalformedEntry):
        archive.decode([times, power._replace(data=bytes([decimals]) + power.data[1:])])


damaged = st.sampled_from(
    [
        archive.encode(samples_of([1, 2, 3, 9], power=values))
        for values in ([1.0, 2, 3, 4], [NAN, 2, 3, 4], [0.05, NAN, 1 / 3, NAN])
    ]
)


@given(damaged, st.sampled_from([0, 1]), st.data())
def test_a_row_cut_short_is_malformed(
    rows: list[ArchivedChannel], at: int, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(rows[at].data) - 1))
    with pytest.raises(MalformedEntry):
        archive.decode(with_data(rows, at, rows[at].data[:cut]))


@given(damaged, st.sampled_from([0, 1]), st.data())
def test_a_flipped_byte_gives_other_values_or_a_malformed_row(
    rows: list[ArchivedChannel], at: int, data: st.DataObject
) -> None:
    flipped = bytearray(rows[at].data)
    flipped[data.draw(st.integers(0, len(flipped) - 1))] ^= data.draw(st.integers(1, 255))
    decodes_or_is_malformed(with_data(rows, at, bytes(flipped)))


@given(st.binary(max_size=60), st.sampled_from([0, 1]))
def test_garbage_gives_values_or_a_malformed_row(garbage: bytes, at: int) -> None:
    rows = archive.encode(samples_of([1, 2], power=[5, 6]))
    decodes_or_is_malformed(with_data(rows, at, garbage))


def with_data(rows: list[ArchivedChannel], at: int, data: bytes) -> list[ArchivedChannel]:
    return [row._replace(data=data) if place == at else row for place, row in enumerate(rows)]


def decodes_or_is_malformed(rows: list[ArchivedChannel]) -> None:
    assert all(row.encoding == ENCODING for row in rows)
    try:
        decoded = archive.decode(rows)
    except MalformedEntry:
        return
    assert all(len(values) == len(decoded) for values in decoded.channels.values())
