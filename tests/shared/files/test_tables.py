import json

import numpy as np
import pytest

from shared.files.reading import read_rides
from shared.files.recording import Recording, UnreadableFile
from shared.files.tables import write_csv, write_json
from shared.samples.columns import Samples
from tests.shared.files.written import RECEIVED, T0, ride, samples


def read(data: bytes | str) -> Recording:
    (found,) = read_rides(data if isinstance(data, bytes) else data.encode(), RECEIVED)
    return found


def assert_same(found: Samples, expected: Samples) -> None:
    assert found.timestamps.tolist() == expected.timestamps.tolist()
    assert list(found.channels) == list(expected.channels)
    for name, values in expected.channels.items():
        np.testing.assert_allclose(found.channels[name], values, rtol=0, atol=0, err_msg=name)


def test_csv_has_a_line_a_sample_and_nothing_where_nothing_was_measured() -> None:
    lines = write_csv(ride()).decode().splitlines()
    assert len(lines) == 9
    assert lines[0] == (
        "timestamp,power,cadence,heartrate,speed,distance,altitude,lat,lng,temperature,balance"
        ",sport"
    )
    assert lines[1].endswith(",gravel-cycling")
    assert lines[3] == "1700000002000,,,142,8.3,16.5,,,,21,,"
    assert lines[4] == "1700000003000,0,0,143,,24.9,400.8,,,,100,"


def test_csv_is_read_again() -> None:
    found = read(write_csv(ride(sport="e-bike")))
    assert_same(found.samples, samples())
    assert found.sport == "e-bike"


def test_csv_of_more_samples_than_are_written_at_once_says_its_sport_once() -> None:
    times = T0 + 1000 * np.arange(2500)
    written = write_csv(Recording(Samples(times, {"power": np.full(2500, 200.0)}), sport="rowing"))
    assert written.count(b"rowing") == 1
    assert read(written).sport == "rowing"
    without = write_csv(Recording(Samples(times[:2], {"power": np.full(2, 200.0)})))
    assert without.splitlines()[0] == b"timestamp,power"
    assert read(without).sport is None


def test_json_is_read_again_with_all_that_it_says() -> None:
    found, expected = read(write_json(ride())), ride()
    assert_same(found.samples, expected.samples)
    for name in ("title", "description", "sport", "laps", "pauses", "device", "figures"):
        assert getattr(found, name) == getattr(expected, name), name
    assert found.utc_offset == 3600


def test_json_says_its_figures_by_our_names() -> None:
    document = json.loads(write_json(ride()))
    assert document["figures"]["normalizedPower"] == 240
    assert document["columns"]["power"][:4] == [200, 210, None, 0]
    assert document["laps"][1]["end"] == T0 + 66_000


@pytest.mark.parametrize(
    "text",
    [
        '[{"timestamp": 1700000000000, "power": 200}, {"timestamp": 1700000001000}]',
        '{"samples": [{"timestamp": 1700000000000, "power": 200}, {"timestamp": 1700000001000}]}',
        '{"timestamp": [1700000000000, 1700000001000], "power": [200, null]}',
        '{"sampleCount": 2, "columns": {"timestamp": [1700000000000, 1700000001000],'
        ' "power": [200, null]}}',
        '{"workout": {"title": null, "telemetry": 1}, "telemetry":'
        ' [{"timestamp": 1700000000000, "power": 200}, {"timestamp": 1700000001000}]}',
        '{"timestamp": 1700000000000, "power": 200}\n{"timestamp": 1700000001000}\n',
        '[{"timestamp": "2023-11-14T22:13:20Z", "power": 200},'
        ' {"timestamp": "2023-11-14T23:13:21+01:00"}]',
        "power,timestamp,mood\r\n200,1700000000000,fine\r\n,1700000001000,fine\r\n",
        'timestamp,power\n2023-11-14T22:13:20Z,"200"\n2023-11-14T22:13:21Z\n',
    ],
)
def test_samples_are_read_as_they_are_uploaded_and_answered(text: str) -> None:
    found = read(text).samples
    assert found.timestamps.tolist() == [T0, T0 + 1000]
    assert found.channel("power").tolist() == pytest.approx([200, np.nan], nan_ok=True)


def test_the_answer_about_a_workout_gives_its_words() -> None:
    found = read(
        '{"workout": {"title": "Home", "sport": "MountainBikeRide", "summary": null},'
        ' "telemetry": [{"timestamp": 1700000000000, "power": 200}]}'
    )
    assert (found.title, found.sport) == ("Home", "MountainBikeRide")


def test_words_that_are_none_are_left_out_and_the_samples_kept() -> None:
    found = read('{"title": 7, "columns": {"timestamp": [1700000000000], "power": [200]}}')
    assert found.title is None
    assert found.warnings == ("what the file says of the ride beside its samples cannot be read",)


def test_what_cannot_be_of_the_ride_is_left_out() -> None:
    """A lap of another year, one that ends before it begins, an offset of no time zone, a NUL."""
    found = read(
        '{"title": "A\\u0000B", "utcOffset": 999999, "laps": [{"start": 1, "end": 2},'
        ' {"start": 1700000000000, "end": 1699999999999},'
        ' {"start": 1699999990000, "end": 1700000000000}],'
        ' "pauses": [{"start": 1, "end": 2}],'
        ' "columns": {"timestamp": [1700000000000], "power": [200]}}'
    )
    assert found.title == "AB"
    assert found.utc_offset is None
    assert [(lap.start, lap.end) for lap in found.laps] == [(T0 - 10_000, T0)]
    assert found.pauses == ()


def test_a_sport_that_no_workout_may_have_is_made_one() -> None:
    found = read('{"sport": "my own!", "columns": {"timestamp": [1700000000000], "power": [2]}}')
    assert found.sport == "my-own"


def test_values_that_are_no_numbers_are_missing() -> None:
    """A whole number of 400 digits among them, which no float holds."""
    found = read(
        '{"timestamp": [1700000000000, 1700000001000, 1e300, null],'
        f' "power": [200, {"9" * 400}, 1, 2],'
        ' "cadence": [90, true, 1, 1], "speed": [1, "x", 1, 1]}'
    )
    assert found.samples.timestamps.tolist() == [T0, T0 + 1000]
    assert found.samples.channel("cadence").tolist() == pytest.approx([90, np.nan], nan_ok=True)
    assert found.samples.channel("speed").tolist() == pytest.approx([1, np.nan], nan_ok=True)


@pytest.mark.parametrize(
    "text",
    [
        '{"timestamp": [1700000000000], "power": [1',
        '{"timestamp": [1700000000000, 1700000001000], "power": [1]}',
        '{"timestamp": [1700000000000], "cadence": [null]}',
        '{"hello": "world"}',
        "[]",
        "[1, 2]",
        "[" * 100_000,
        "timestamp,power\n",
        "timestamp,power\nyesterday,12\n",
    ],
)
def test_what_gives_no_ride_is_refused(text: str) -> None:
    with pytest.raises(UnreadableFile):
        read(text)
