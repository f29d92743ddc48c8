"""FIT files as other decoders read them. Those of real rides are in test_round_trips.py."""

import struct
from collections import Counter
from typing import Any

import fitdecode
import numpy as np
import pytest

from shared.files.fit import read_fit
from shared.files.fit_encoding import checksum
from shared.files.fit_writer import write_fit
from shared.files.recording import Device, Figures, Lap, Recording
from shared.samples.columns import Samples
from tests.shared.files.fit_bytes import checksum as checksum_by_bits
from tests.shared.files.written import FIGURES, RECEIVED, T0, ride, samples

Message = dict[str, Any]


def decoded(data: bytes) -> list[Message]:
    """By an independent decoder, which raises for wrong checksums and what is against the rules."""
    found = []
    with fitdecode.FitReader(
        data,
        check_crc=fitdecode.CrcCheck.RAISE,
        error_handling=fitdecode.ErrorHandling.RAISE,
    ) as reader:
        for frame in reader:
            if isinstance(frame, fitdecode.FitDataMessage):
                fields = {field.name: field.value for field in frame.fields}
                found.append({"message": frame.name} | fields)
    return found


def of(name: str, messages: list[Message]) -> list[Message]:
    return [each for each in messages if each["message"] == name]


def read(recording: Recording) -> Recording:
    (found,) = read_fit(write_fit(recording), RECEIVED)
    return found


def test_another_decoder_sees_a_whole_activity() -> None:
    messages = decoded(write_fit(ride()))
    counts = Counter(each["message"] for each in messages)
    once = dict.fromkeys(("file_id", "file_creator", "device_info", "session", "activity"), 1)
    assert counts == {**once, "event": 4, "record": 8, "lap": 2}
    assert messages[0]["message"] == "file_id"
    assert messages[0]["type"] == "activity"
    assert messages[0]["manufacturer"] == "garmin"
    assert messages[0]["garmin_product"] == "edge810"
    assert messages[0]["serial_number"] == 12345
    assert [each["message"] for each in messages[-2:]] == ["session", "activity"]


def test_another_decoder_sees_what_was_measured() -> None:
    records = of("record", decoded(write_fit(ride())))
    assert [each["power"] for each in records] == [200, 210, None, 0, 250, 251, 252, 253]
    assert [each["heart_rate"] for each in records[:3]] == [140, None, 142]
    assert records[0]["enhanced_speed"] == 8.123
    assert records[7]["distance"] == 47.25
    assert records[0]["enhanced_altitude"] == pytest.approx(400.2)
    assert records[0]["position_lat"] * 180 / 2**31 == pytest.approx(47.1234567, abs=1e-7)
    assert records[6]["temperature"] == -3
    assert records[0]["left_right_balance"] == 0x80 + 51  # of the right leg


def test_the_timer_stops_and_starts_where_the_ride_was_paused() -> None:
    messages = decoded(write_fit(ride()))
    order = [
        (each["message"], each["event_type"] if each["message"] == "event" else "")
        for each in messages
        if each["message"] in ("event", "record", "lap")
    ]
    record = ("record", "")
    assert order == [
        *(("event", "start"), record, record, record, ("lap", ""), record, ("event", "stop_all")),
        *(("event", "start"), record, record, record, record, ("event", "stop_all"), ("lap", "")),
    ]


def test_all_that_is_said_of_the_ride_is_read_again() -> None:
    found = read(ride())
    assert (found.sport, found.utc_offset) == ("gravel-cycling", 3600)
    assert found.device == Device("Garmin", "Edge 810", "12345")
    assert found.figures == FIGURES
    assert found.laps[1].figures == Figures(elapsed_time=63, timer_time=63, calories=1)
    assert [(lap.start, lap.end) for lap in found.laps] == [
        *((T0, T0 + 3000), (T0 + 3000, T0 + 66_000)),
    ]
    assert found.pauses == ride().pauses


def test_samples_are_read_again_to_the_formats_resolution() -> None:
    found = read(ride()).samples
    expected = samples()
    assert found.timestamps.tolist() == expected.timestamps.tolist()
    near = {"power": 0.5, "altitude": 0.11, "lat": 1e-7, "lng": 1e-7}
    for name, values in expected.channels.items():
        if name != "balance":
            missing = np.nan if name != "heartrate" else 0  # a strap without contact
            wanted = np.where(values == missing, np.nan, values)
            atol = near.get(name, 1e-9)
            np.testing.assert_allclose(found.channel(name), wanted, rtol=0, atol=atol, err_msg=name)


def test_the_balance_of_one_leg_alone_is_no_measurement() -> None:
    """99.8 % are written as 99 %, which a meter of two legs says; 100 % say that there is one."""
    balance = read(ride()).samples.channel("balance")
    assert balance.tolist() == pytest.approx([49, 51, np.nan, np.nan, 50, 50, 99, 50], nan_ok=True)


def test_several_samples_a_second_become_their_mean() -> None:
    """0.6 s is of the next second: 100 W at 0 s, and the mean of 200 and 300 W at 1 s."""
    times = T0 + np.array([0, 600, 1400, 2000], np.int64)
    quick = Samples(times, {"power": np.array([100.0, 200, 300, 400])})
    found = read(Recording(quick)).samples
    assert ((found.timestamps - T0) // 1000).tolist() == [0, 1, 2]
    assert found.channel("power").tolist() == [100, 250, 400]


def test_a_ride_without_laps_is_one_lap_and_names_this_program() -> None:
    found = read(Recording(samples(power=[200.0] * 8)))
    assert [(lap.start, lap.end) for lap in found.laps] == [(T0, T0 + 66_000)]
    assert found.device == Device("Development", "Bike Power Tracker", None)
    assert (found.figures.elapsed_time, found.figures.timer_time) == (66, 66)
    assert found.figures.avg_power is None


def test_what_has_no_room_in_a_field_is_missing() -> None:
    """A byte holds 254 beats; 300 would be written as 44, and 255 is the mark for none."""
    found = read(Recording(samples(heartrate=[254, 255, 300, 140, 141, 142, 143, 144])))
    wanted = [254, np.nan, np.nan, 140, 141, 142, 143, 144]
    assert found.samples.channel("heartrate").tolist() == pytest.approx(wanted, nan_ok=True)


def test_figures_that_no_field_holds_are_missing() -> None:
    impossible = Figures(total_energy=1e308, avg_power=-5.0, max_power=70_000.0)
    found = read(ride(figures=impossible)).figures
    assert (found.total_energy, found.avg_power, found.max_power) == (None, None, None)


@pytest.mark.parametrize(
    ("sport", "read_as"),
    [
        ("indoor-cycling", "indoor-cycling"),
        ("treadmill-running", "treadmill-running"),
        ("e-bike", "e-bike"),
        ("inline-skating", "inline-skating"),
        ("MountainBikeRide", "mountain-biking"),
        ("Ride", "cycling"),
        ("quidditch", "cycling"),  # with power
        (None, "cycling"),
    ],
)
def test_sports_are_written_by_fits_numbers(sport: str | None, read_as: str | None) -> None:
    assert read(ride(sport=sport)).sport == read_as


def test_many_laps_stand_in_their_places() -> None:
    """More samples than a window holds, and a lap every 700 of them."""
    times = T0 + 1000 * np.arange(5000, dtype=np.int64)
    laps = tuple(Lap(T0 + 700_000 * n, T0 + 700_000 * (n + 1)) for n in range(7))
    long = Recording(
        Samples(times, {"power": (np.arange(5000) % 400).astype(np.float64)}), laps=laps
    )
    messages = decoded(write_fit(long))
    places = [index for index, each in enumerate(messages) if each["message"] == "lap"]
    between = [len(of("record", messages[:place])) for place in places]
    assert between == [700, 1400, 2100, 2800, 3500, 4200, 4900]
    assert read(long).samples.channel("power").tolist() == (np.arange(5000) % 400).tolist()


@pytest.mark.parametrize("size", [0, 1, 2, 100, 2047, 2048, 2049, 4096, 40_000])
def test_the_checksum_of_many_bytes_is_that_of_them_one_by_one(size: int) -> None:
    data = bytes(n * 7919 % 251 for n in range(size))
    assert checksum(data) == checksum_by_bits(data)
    assert checksum(data, 0x1234) == checksum_by_bits(before_state(0x1234) + data)


def before_state(crc: int) -> bytes:
    """Two bytes whose checksum is this one: any state can be reached by two."""
    return next(pair for n in range(65_536) if checksum(pair := struct.pack("<H", n)) == crc)
