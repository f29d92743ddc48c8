"""Uploads as pure functions: bytes in, samples or a problem out."""

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import cycle
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.ingest.batch import NDJSON, Limits, PackedBatch, ParsedBatch
from api.ingest.inspection import inspect
from api.ingest.parsing import pack_all, pack_batch, pack_fast, read_fast
from api.ingest.table import Rows
from api.web.body import JSON
from api.web.problems import BadRequest, Problem, TooLarge, Unprocessable, UnsupportedMediaType
from shared.samples import stream_codec
from shared.samples.channels import CHANNELS, Channel
from tests.api.answers import T0
from tests.shared.samples.strategies import exactly, readings_of

LIMITS = Limits.at(T0 + 1_000_000, 100)
DAY = 86_400_000


def parse(document: Any, *, lenient: bool = False) -> ParsedBatch:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return whole(pack_batch(body, JSON, LIMITS, lenient=lenient))


def parse_lines(*lines: str, lenient: bool = False) -> ParsedBatch:
    return whole(pack_batch("\n".join(lines).encode(), NDJSON, LIMITS, lenient=lenient))


def whole(batch: PackedBatch) -> ParsedBatch:
    """The samples of an entry, as whoever reads it finds them."""
    samples = stream_codec.decode([batch.entry] if batch.samples else [])
    assert len(samples) == batch.samples
    assert batch.latest == max(samples.timestamps.tolist(), default=None)
    return ParsedBatch(samples, list(batch.dropped))


TWO = [(T0, {"power": 210.0, "cadence": 90.0}), (T0 + 1000, {"power": 0.0})]
ROWS = [{"timestamp": T0, "power": 210, "cadence": 90}, {"timestamp": T0 + 1000, "power": 0}]


@pytest.mark.parametrize(
    "document",
    [
        {"samples": ROWS},
        ROWS,
        {"timestamp": [T0, T0 + 1000], "power": [210, 0], "cadence": [90, None]},
        {"samples": None, "timestamp": [T0, T0 + 1000], "power": [210, 0], "cadence": [90, None]},
        {"samples": ROWS, "timestamp": None},
    ],
)
def test_samples_arrays_and_columns_say_the_same(document: Any) -> None:
    assert readings_of(parse(document).samples) == TWO


def test_a_line_is_a_sample() -> None:
    assert readings_of(parse_lines(*map(json.dumps, ROWS)).samples) == TWO


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", "\n \n", ""])
def test_lines_may_end_in_any_way_and_be_empty(end: str) -> None:
    assert len(parse_lines(f'{{"timestamp":{T0}}}{end}{{"timestamp":{T0}}}{end}').samples) == 2


@pytest.mark.parametrize("text", ["2023-11-14T22:13:20Z", "2023-11-14T23:13:20.000+01:00"])
def test_a_timestamp_may_be_rfc_3339_with_an_offset(text: str) -> None:
    assert parse([{"timestamp": text}]).samples.timestamps.tolist() == [T0]


def test_fractions_of_a_timestamp_are_rounded_to_milliseconds() -> None:
    moments = [T0 + 0.6, "2023-11-14T22:13:20.0016Z"]
    assert parse({"timestamp": moments}).samples.timestamps.tolist() == [T0 + 1, T0 + 2]


def test_null_and_absent_are_missing_and_never_zero() -> None:
    samples = parse([{"timestamp": T0, "power": None}, {"timestamp": T0, "cadence": 0}]).samples
    assert list(samples.channels) == ["cadence"]
    assert readings_of(samples) == [(T0, {}), (T0, {"cadence": 0.0})]


def test_what_a_device_sends_besides_is_ignored() -> None:
    extras = {"battery": 80, "laps": [1, {"x": None}], "name": "Zoë"}
    assert readings_of(parse([{**ROWS[0], **extras}]).samples) == TWO[:1]
    columns = {
        "timestamp": [T0],
        "power": [210],
        "cadence": [90],
        "device": "left",
        "extra": [1, 2],
    }
    assert readings_of(parse(columns).samples) == TWO[:1]


@pytest.mark.parametrize("document", [[], {"samples": []}, {"timestamp": []}])
def test_no_samples_are_no_fault(document: Any) -> None:
    assert len(parse(document).samples) == len(parse_lines().samples) == 0


def test_samples_keep_the_order_they_were_sent_in() -> None:
    sent = [T0 + 5, T0, T0 + 5, T0 + 3]
    assert parse({"timestamp": sent}).samples.timestamps.tolist() == sent


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.name)
def test_the_bounds_of_a_channel_are_within_it(channel: Any) -> None:
    for value in (channel.minimum, channel.maximum):
        samples = parse([{"timestamp": T0, channel.name: value}]).samples
        assert readings_of(samples) == [(T0, {channel.name: float(value)})]


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.name)
def test_a_value_beyond_the_bounds_of_its_channel_names_index_and_member(channel: Any) -> None:
    for value in (channel.minimum - 0.1, channel.maximum + 0.1):
        with pytest.raises(Unprocessable) as caught:
            parse([{"timestamp": T0}, {"timestamp": T0, channel.name: value}])
        assert [(f.index, f.member) for f in caught.value.errors] == [(1, channel.name)]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("power", -1),
        ("power", 65535),
        ("power", True),
        ("power", "210"),
        ("power", [210]),
        ("power", {}),
        ("power", 10**400),
        ("heartrate", 400),
        ("lat", 91),
        ("lng", -180.5),
        ("timestamp", None),
        ("timestamp", True),
        ("timestamp", 946_684_799_999),  # a millisecond before 2000
        ("timestamp", T0 // 1000),  # seconds instead of milliseconds
        ("timestamp", LIMITS.latest + 1),
        ("timestamp", 10**400),
        ("timestamp", 1e300),
        ("timestamp", str(T0)),
        ("timestamp", "yesterday"),
        ("timestamp", "2023-11-14T22:13:20"),
        ("timestamp", "0001-01-01T00:00:00+23:59"),
        ("timestamp", "9999-12-31T23:59:59-23:59"),
        ("timestamp", [T0]),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_bad_value_is_refused_in_every_form(member: str, value: Any) -> None:
    good, bad = {"timestamp": T0, "power": 1}, {"timestamp": T0, "power": 1, member: value}
    columns = {name: [good.get(name), bad[name]] for name in bad}
    lines = "\n".join(map(json.dumps, [good, bad])).encode()
    for body, media in ([good, bad], JSON), ({"samples": [good, bad]}, JSON), (columns, JSON):
        refused(json.dumps(body).encode(), media, member)
    refused(lines, NDJSON, member)


def refused(body: bytes, media: str, member: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        pack_batch(body, media, LIMITS)
    assert [(fault.index, fault.member) for fault in caught.value.errors] == [(1, member)]
    assert caught.value.detail.startswith(f"{member} of sample 1 ")
    assert len(caught.value.detail) < 200


def test_a_missing_timestamp_is_named() -> None:
    with pytest.raises(
        Unprocessable, match=r"^timestamp of sample 0 is missing; nothing was stored"
    ):
        parse([{"power": 210}])


def test_a_clock_may_run_ahead_by_a_day_and_not_more() -> None:
    limits = Limits.at(T0, 10)
    assert pack_batch(b'[{"timestamp":%d}]' % (T0 + DAY), JSON, limits)
    with pytest.raises(Unprocessable, match="more than a day ahead"):
        pack_batch(b'[{"timestamp":%d}]' % (T0 + DAY + 1), JSON, limits)


def test_the_first_bad_samples_are_listed_and_not_all_of_ten_thousand() -> None:
    with pytest.raises(Unprocessable) as caught:
        parse([{"timestamp": T0, "power": -1}] * 100)
    assert [fault.index for fault in caught.value.errors] == list(range(20))


@pytest.mark.parametrize(
    "columns",
    [
        {"timestamp": [T0, T0 + 1], "power": [1]},
        {"timestamp": [T0], "power": [1, 2]},
        {"timestamp": [T0], "power": 1},
        {"timestamp": [], "power": [1]},
    ],
)
def test_unequal_columns_are_refused_by_name(columns: Any) -> None:
    for lenient in (False, True):
        with pytest.raises(Unprocessable) as caught:
            parse(columns, lenient=lenient)
        assert caught.value.errors[0].member == "power"


@pytest.mark.parametrize(
    "document",
    [
        None,
        1,
        "samples",
        {},
        {"power": [1]},
        {"samples": {}},
        {"samples": None},
        {"samples": 1},
        {"timestamp": T0, "power": 1},
        {"samples": ROWS, "timestamp": [T0]},
    ],
)
def test_json_of_another_shape_is_unprocessable_and_told_where(document: Any) -> None:
    with pytest.raises(Unprocessable) as caught:
        parse(document)
    assert caught.value.errors


@pytest.mark.parametrize("sample", [None, 1, "x", [], [T0]])
def test_a_sample_that_is_no_object_is_named_by_its_index(sample: Any) -> None:
    with pytest.raises(Unprocessable, match=r"^sample 1 is not an object"):
        parse([ROWS[0], sample])


def with_value(text: str) -> bytes:
    return b'[{"timestamp":%d,"power":%s}]' % (T0, text.encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"power=210",
        b"[",
        b"[]]",
        b"[]\x00",
        b"\x00",
        b"\xef\xbb\xbf[]",
        b'["\xff"]',
        b'[{"timestamp":1700000000000,"ignored":"\xff"}]',
        b'[{"timestamp":"\\ud800"}]',
        b"[" * 100_000,
        b'{"x":' * 100_000,
        with_value("[" * 100_000 + "]" * 100_000),
        with_value("9" * 5000),
        with_value("NaN"),
        with_value("Infinity"),
        with_value("-Infinity"),
        with_value("1e400"),
        with_value("0x10"),
        with_value("01"),
    ],
    ids=lambda body: repr(body[:40]),
)
def test_what_is_not_json_is_a_bad_request(body: bytes) -> None:
    for media in (JSON, NDJSON):
        if body or media == JSON:
            with pytest.raises(BadRequest):
                pack_batch(body, media, LIMITS)


def test_a_broken_line_is_a_bad_request_that_names_its_index() -> None:
    with pytest.raises(BadRequest, match=r"^sample 1 is not a line of JSON"):
        parse_lines(f'{{"timestamp":{T0}}}', '{"timestamp":')


@pytest.mark.parametrize("media", [JSON, NDJSON])
def test_too_many_samples_are_too_large(media: str) -> None:
    line = b'{"timestamp":%d}' % T0
    hundred, more = [line] * 100, [line] * 101
    faulty = [b'{"timestamp":1}', *hundred]

    def body(lines: list[bytes]) -> bytes:
        return b"\n".join(lines) if media == NDJSON else b"[" + b",".join(lines) + b"]"

    assert len(whole(pack_batch(body(hundred), media, LIMITS)).samples) == 100
    for lines in (more, faulty):
        with pytest.raises(TooLarge, match="send at most 100 at a time"):
            pack_batch(body(lines), media, LIMITS)


@pytest.mark.parametrize("media", ["text/plain", "text/csv", "application/octet-stream"])
def test_other_media_types_are_unsupported(media: str) -> None:
    with pytest.raises(UnsupportedMediaType, match=media):
        pack_batch(b"[]", media, LIMITS)


def test_leniently_the_good_is_kept_and_the_bad_is_listed() -> None:
    batch = parse(
        [
            {"timestamp": T0, "power": 210, "heartrate": 400},
            {"timestamp": T0 + 1000, "power": True, "cadence": 90},
            {"timestamp": None, "power": 1, "cadence": -1},
            "not a sample",
            {"timestamp": T0 + 4000, "power": 0},
        ],
        lenient=True,
    )
    assert readings_of(batch.samples) == [
        (T0, {"power": 210.0}),
        (T0 + 1000, {"cadence": 90.0}),
        (T0 + 4000, {"power": 0.0}),
    ]
    assert [(fault.index, fault.member) for fault in batch.dropped] == [
        (0, "heartrate"),
        (1, "power"),
        (2, "timestamp"),
        (2, "cadence"),
        (3, None),
    ]


def test_leniently_a_broken_line_is_left_out() -> None:
    batch = parse_lines(f'{{"timestamp":{T0}}}', "{broken", f'{{"timestamp":{T0}}}', lenient=True)
    assert len(batch.samples) == 2
    assert [fault.index for fault in batch.dropped] == [1]


def test_leniently_a_good_batch_is_stored_whole() -> None:
    batch = parse(ROWS, lenient=True)
    assert (readings_of(batch.samples), batch.dropped) == (TWO, [])


def test_leniently_what_is_not_json_is_still_a_bad_request() -> None:
    with pytest.raises(BadRequest):
        parse(b"[", lenient=True)


numbers = {
    channel.name: st.one_of(
        st.none(),
        st.integers(int(channel.minimum), int(channel.maximum)),
        st.floats(channel.minimum, channel.maximum),
    )
    for channel in CHANNELS
}
timestamps = st.one_of(
    st.integers(946_684_800_000, LIMITS.latest),
    st.floats(946_684_800_000, LIMITS.latest),
    st.datetimes(
        min_value=datetime(2000, 1, 2),
        max_value=datetime(2023, 11, 14),
    ).flatmap(
        lambda moment: st.sampled_from(["Z", "+00:00", "-11:30", "+14:00"]).map(
            lambda offset: moment.isoformat() + offset
        )
    ),
)
words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
extras = {"device": words, "nested": st.lists(st.dictionaries(words, st.integers()))}
good_rows = st.lists(
    st.fixed_dictionaries({"timestamp": timestamps}, optional={**numbers, **extras}), max_size=8
)


@st.composite
def good_columns(draw: st.DrawFn) -> dict[str, list[Any]]:
    count = draw(st.integers(0, 8))
    names = draw(st.sets(st.sampled_from(sorted(numbers))))
    times = draw(st.lists(timestamps, min_size=count, max_size=count))
    columns = {name: st.lists(numbers[name], min_size=count, max_size=count) for name in names}
    return {"timestamp": times, **draw(st.fixed_dictionaries(columns))}


good_documents = st.one_of(
    good_rows, good_rows.map(lambda rows: {"samples": rows, "device": "x"}), good_columns()
)


@given(good_documents)
def test_the_fast_way_takes_every_good_document_and_packs_it_as_the_slow_one(document: Any) -> None:
    body = json.dumps(document).encode()
    assert_packed_alike(body, JSON)


@given(good_rows)
def test_the_fast_way_takes_every_good_line_and_packs_it_as_the_slow_one(rows: list[Any]) -> None:
    assert_packed_alike("\n".join(map(json.dumps, rows)).encode(), NDJSON)


@st.composite
def rows_alike(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Up to 70 rows of the same channels, as devices send them; a few values come again."""

    def column(values: st.SearchStrategy[Any]) -> Iterator[Any]:
        return cycle(draw(st.lists(values, min_size=1, max_size=4)))

    count, names = draw(st.integers(1, 70)), draw(st.sets(st.sampled_from(CHANNELS)))
    columns = {each.name: column(decimals_of(each)) for each in names}
    columns["timestamp"] = column(st.integers(946_684_800_000, LIMITS.latest))
    return [{name: next(values) for name, values in columns.items()} for _ in range(count)]


def decimals_of(channel: Channel) -> st.SearchStrategy[float]:
    """Values of a channel with the decimals that devices send; now and then with one more."""
    scale = 10**channel.decimals
    bounds = int(channel.minimum * scale), int(channel.maximum * scale)
    usual = st.integers(*bounds).map(lambda whole: whole / scale)
    return st.one_of(usual, usual, usual, st.floats(channel.minimum, channel.maximum))


@example([{"timestamp": T0 - 200_000_000 * at, "altitude": -0.0} for at in range(3)])
@example([{"timestamp": T0 + at, "lat": -90, "lng": 180} for at in (0, 65_535, 70_000)])
@example([{"timestamp": T0, "power": 1}, {"timestamp": T0, "cadence": 1}])
@example([{"timestamp": T0 + at, "power": 6_553.6} for at in range(16)])
@given(rows_alike())
def test_rows_of_the_same_channels_are_packed_as_any_others(rows: list[dict[str, Any]]) -> None:
    assert_packed_alike(json.dumps(rows).encode(), JSON)


def assert_packed_alike(body: bytes, media: str) -> None:
    fast, slow = pack_fast(body, media, LIMITS), inspect(body, media, LIMITS, False).samples
    assert fast is not None
    assert fast.entry == (stream_codec.encode(slow) if len(slow) else b"")
    assert exactly(whole(fast).samples) == exactly(slow)


def test_batches_of_one_moment_are_packed_as_each_alone_and_a_wrong_one_is_left_out() -> None:
    """Five of one sample and four of two, of which one time is late and one shape is mixed."""
    late = [{"timestamp": LIMITS.latest + 1, "power": 1}]
    mixed = [{"timestamp": T0, "power": 1}, {"timestamp": T0, "cadence": 1}]
    right = [
        *([{"timestamp": T0 + at, "power": at}] for at in range(4)),
        *(
            [{"timestamp": T0, "power": at}, {"timestamp": T0 + 300, "power": 0.5}]
            for at in (1, 900)
        ),
        [{"timestamp": T0, "power": 1.23456789}, {"timestamp": T0, "power": 2}],
    ]
    bodies = [json.dumps(rows).encode() for rows in (*right, late, mixed)]
    batches = [read_fast(body, JSON, LIMITS) for body in bodies]
    rows = [batch for batch in batches if isinstance(batch, Rows)]
    assert len(rows) == len(bodies)
    assert not pack_all(rows, T0 + 1_000_000)
    assert [batch.entry for batch in rows[-2:]] == [b"", b""]
    for body, batch in zip(bodies[:-2], rows, strict=False):
        packed = pack_fast(body, JSON, LIMITS)
        assert packed is not None
        assert (batch.entry, batch.samples, batch.latest) == packed[:3]
        assert len(batch.entry) <= batch.most_bytes
    assert pack_all(rows[:-2], T0 + 1_000_000)


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | timestamps,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["samples", "timestamp", "power", "lat"]), inner)
    ),
    max_leaves=12,
)


@example({"power": [], "timestamp": False})
@example({"samples": [{"timestamp": T0}], "timestamp": [T0 + 1000], "power": [3]})
@example([{"timestamp": T0 + 400 * 86_400_000}] * 2)
@example([{"timestamp": T0 + second} for second in range(21)])
@example([{"timestamp": T0, "note": "\u0000"}])
@given(anything)
def test_whatever_is_sent_ends_in_samples_or_a_problem(document: Any) -> None:
    body = json.dumps(document).encode()
    for media in (JSON, NDJSON):
        strict = outcome(body, media)
        for lenient in (False, True):
            batch = outcome(body, media, lenient=lenient)
            if isinstance(strict, ParsedBatch):
                slow = inspect(body, media, LIMITS, lenient)
                assert isinstance(batch, ParsedBatch)
                assert slow.dropped == batch.dropped == []
                assert exactly(slow.samples) == exactly(batch.samples)


def outcome(body: bytes, media: str, *, lenient: bool = False) -> ParsedBatch | Problem:
    try:
        return whole(pack_batch(body, media, LIMITS, lenient=lenient))
    except (BadRequest, TooLarge, Unprocessable) as refusal:
        return refusal


@given(st.binary(max_size=200))
def test_any_bytes_end_in_samples_or_a_problem(body: bytes) -> None:
    for media in (JSON, NDJSON):
        for lenient in (False, True):
            outcome(body, media, lenient=lenient)


def test_leniently_columns_beside_null_samples_are_still_columns() -> None:
    batch = parse({"samples": None, "timestamp": [T0], "power": [-1]}, lenient=True)
    assert (readings_of(batch.samples), len(batch.dropped)) == ([(T0, {})], 1)


@pytest.mark.parametrize("count", [1, 2])
def test_a_batch_of_just_as_many_samples_as_there_may_be_is_taken(count: int) -> None:
    body = json.dumps([{"timestamp": T0 + each} for each in range(count)]).encode()
    assert pack_batch(body, JSON, Limits(LIMITS.latest, count)).samples == count
    with pytest.raises(TooLarge):
        pack_batch(body, JSON, Limits(LIMITS.latest, count - 1))
