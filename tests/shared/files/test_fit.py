"""FIT files, made by hand, to recordings."""

import struct
from collections.abc import Callable

import numpy as np
import pytest

from shared.files.fit import read_fit
from shared.files.fit_messages import Decoded, decode, salvage
from shared.files.recording import Device, Lap, NotAnActivity, Pause, Recording, UnreadableFile
from tests.shared.files.fit_bytes import (
    BYTE,
    DEVELOPER_DATA_ID,
    FIELD_DESCRIPTION,
    FIT_EPOCH,
    FLOAT32,
    HR,
    LAP,
    RECORD,
    STRING,
    T0,
    UINT8,
    UINT16,
    UINT32,
    Message,
    Value,
    activity,
    checksum,
    file_id,
    fit_file,
    lap,
    record,
    session,
    stamp,
    timer,
)

RECEIVED = (T0 + 86_400) * 1000
MS = T0 * 1000


def ride_of(*messages: Message) -> Recording:
    (ride,) = read_fit(fit_file(file_id(), *messages), RECEIVED)
    return ride


def column(ride: Recording, name: str) -> list[float]:
    return [float(value) for value in ride.samples.channel(name)]


def test_every_channel_is_read_in_our_units() -> None:
    """Altitude 3,000 is 3000/5 − 500 = 100 m; 2^30 semicircles are 90 degrees."""
    ride = ride_of(
        record(
            0,
            altitude=3000,
            heartrate=140,
            cadence=90,
            distance=12345,
            speed=8186,
            power=210,
            temperature=-3,
            lat=2**29,
            lng=-(2**30),
            balance=0x80 | 52,
        )
    )
    found = {name: values.tolist() for name, values in ride.samples.channels.items()}
    assert found == {
        "power": [210],
        "cadence": [90],
        "heartrate": [140],
        "speed": [8.186],
        "distance": [123.45],
        "altitude": [100],
        "lat": [45],
        "lng": [-90],
        "temperature": [-3],
        "balance": [48],
    }
    assert ride.start == ride.end == MS


def test_a_balance_that_names_no_leg_is_the_left_ones() -> None:
    assert column(ride_of(record(0, balance=46), record(1, balance=0x80 | 46)), "balance") == [
        46,
        54,
    ]


def test_marks_of_no_value_are_missing_not_numbers() -> None:
    """65535 W and 255 bpm are how FIT writes that a sensor was silent."""
    ride = ride_of(record(0, power=200, heartrate=120), record(1, power=0xFFFF, heartrate=0xFF))
    assert np.isnan(ride.samples.channel("power")).tolist() == [False, True]
    assert np.isnan(ride.samples.channel("heartrate")).tolist() == [False, True]


def test_a_device_without_a_meter_says_zero_watts_throughout() -> None:
    ride = ride_of(
        record(0, power=0, speed=5000), record(1, power=0, speed=5000), session(0, 2, avg_power=0)
    )
    assert list(ride.samples.channels) == ["speed"]
    assert ride.figures.avg_power is None
    assert ride.warnings == ("power is 0 throughout: taken for no power meter",)


def test_the_devices_own_figures_are_kept() -> None:
    """Work is stored in joules, TSS in tenths, distance in centimetres."""
    figures = {"work": 1_296_229, "np": 301, "tss": 1187, "ftp": 315, "ascent": 514}
    ride = ride_of(
        record(0, power=200), session(0, 60, calories=1293, distance=4_133_938, **figures)
    )
    assert ride.figures.total_energy == 1296.229
    assert ride.figures.normalized_power == 301
    assert ride.figures.training_stress_score == 118.7
    assert ride.figures.threshold_power == 315
    assert ride.figures.total_elevation_gain == 514
    assert ride.figures.calories == 1293
    assert ride.figures.total_distance == 41_339.38
    assert ride.figures.elapsed_time == 60


@pytest.mark.parametrize(
    ("work", "power", "kilojoules"),
    [
        (60_000, 100, 60),  # ten minutes at 100 W
        (60, 100, 60),  # in kilojoules, as devices of one maker store that of laps
        (60_000, 150, 60),  # a mean over a ride without its zeros
        (60, 150, 60),
        (1_200, 100, 1.2),  # neither: as it is stored
        (6, 100, 0.006),
        (0, 100, 0),
    ],
)
def test_work_that_only_agrees_with_power_in_kilojoules_is_in_kilojoules(
    work: int, power: int, kilojoules: float
) -> None:
    told = {"work": work, "avg_power": power, "max_power": 200}
    ride = ride_of(record(0, power=100), lap(0, 600, **told), session(0, 600, **told))
    assert ride.laps[0].figures.total_energy == ride.figures.total_energy == kilojoules


def test_the_device_is_named() -> None:
    assert ride_of(record(0, power=200)).device == Device("Garmin", "Edge 810", "12345")


@pytest.mark.parametrize(
    ("sport", "sub_sport", "name"),
    [
        (2, 0, "cycling"),
        (2, 7, "road-cycling"),
        (2, 8, "mountain-biking"),
        (2, 46, "gravel-cycling"),
        (2, 6, "indoor-cycling"),
        (2, 58, "virtual-cycling"),
        (2, 28, "e-bike"),
        (21, 0, "e-bike"),
        (1, 0, "running"),
        (1, 3, "trail-running"),
    ],
)
def test_the_sport_is_the_sessions(sport: int, sub_sport: int, name: str | None) -> None:
    assert ride_of(record(0, power=200), session(0, 1, sport, sub_sport)).sport == name


@pytest.mark.parametrize("sport", [0, 200])
def test_a_general_or_unknown_sport_is_a_ride_only_with_power(sport: int) -> None:
    assert ride_of(record(0, heartrate=100), session(0, 1, sport, 0)).sport == "other"
    assert ride_of(record(0, power=200), session(0, 1, sport, 0)).sport == "cycling"


def test_a_file_that_says_no_sport_leaves_it_open() -> None:
    assert ride_of(record(0, heartrate=100)).sport is None


def test_laps_and_pauses_are_kept() -> None:
    messages = [
        timer(0, 0),
        record(0, power=200),
        timer(10, 4),
        timer(70, 0),
        record(70, power=200),
    ]
    ride = ride_of(*messages, timer(80, 4), lap(0, 30), lap(30, 50), session(0, 80))
    assert [(each.start, each.end) for each in ride.laps] == [
        (MS, MS + 30_000),
        (MS + 30_000, MS + 80_000),
    ]
    assert ride.pauses == (Pause(MS + 10_000, MS + 70_000),)


def test_laps_and_pauses_that_end_before_they_begin_are_none() -> None:
    backwards = Message(LAP, {253: stamp(T0), 2: stamp(T0 + 60)})
    ride = ride_of(timer(10, 4), timer(5, 0), record(0, power=200), backwards)
    assert (ride.laps, ride.pauses) == ((), ())


def test_laps_of_no_time_or_none_of_the_ride_s_are_none_and_a_lone_one_is_all_of_it() -> None:
    records = [record(second, power=200) for second in range(10)]
    ride = ride_of(*records, lap(0, 0), lap(-60, 30), lap(2, 5), lap(60, 5))
    assert [(each.start, each.end) for each in ride.laps] == [(MS + 2000, MS + 7000)]
    (whole,) = ride_of(*records, Message(LAP, {253: stamp(T0)})).laps
    assert (whole.start, whole.end) == (MS, MS + 9000)


def test_each_session_is_a_ride_of_its_sport_and_time_and_a_transition_is_none() -> None:
    rides = read_fit(
        fit_file(
            file_id(),
            *(record(second, heartrate=100 + second) for second in range(6)),
            *(lap(second, 2) for second in (0, 2, 4)),
            *(session(0, 2, sport=1), session(2, 2, sport=3), session(4, 2, sport=2)),
        ),
        RECEIVED,
    )
    assert [(ride.sport, column(ride, "heartrate")) for ride in rides] == [
        ("running", [100, 101]),
        ("cycling", [104, 105]),
    ]
    assert [[each.start for each in ride.laps] for ride in rides] == [[MS], [MS + 4000]]


def test_a_chain_of_files_gives_the_rides_of_each() -> None:
    first = fit_file(file_id(), record(0, power=100))
    settings = fit_file(file_id(kind=2))
    second = fit_file(file_id(), record(100, power=300))
    rides = read_fit(first + settings + second, RECEIVED)
    assert [column(ride, "power") for ride in rides] == [[100], [300]]


def test_times_that_fall_are_put_in_order_and_said() -> None:
    ride = ride_of(*(record(second, power=second) for second in (10, 11, 3, 4)))
    assert column(ride, "power") == [3, 4, 10, 11]
    assert ride.warnings == ("the device's clock went back once: readings put into order of time",)


def test_a_second_recorded_twice_stays_twice_in_the_order_of_the_file() -> None:
    ride = ride_of(record(0, power=100), record(1, power=200), record(1, power=300))
    assert column(ride, "power") == [100, 200, 300]


def test_readings_before_the_clock_was_set_are_left_out_and_said() -> None:
    ride = ride_of(record(5 - T0 + 946_000_000, power=100), record(0, power=200))
    assert column(ride, "power") == [200]
    assert ride.warnings == ("1 reading with an impossible date left out",)


def test_a_device_without_a_date_rode_until_the_file_was_sent() -> None:
    """Below 2^28 a FIT time counts seconds from the power-up."""
    start = 1000 + 631_065_600 - T0
    ride = ride_of(record(start, power=100), record(start + 60, power=200))
    assert (ride.start, ride.end) == (RECEIVED - 60_000, RECEIVED)
    assert ride.warnings == ("the device had no date: the ride is taken to end when it was sent",)


def test_a_device_that_only_knew_its_local_time_is_dated_by_it() -> None:
    start = 1000 + 631_065_600 - T0
    ride = ride_of(record(start, power=100), activity(start, offset=T0 - (start + T0)))
    assert ride.start == MS
    assert ride.warnings == ("the device knew its local time only: it is taken for UTC",)


def test_the_utc_offset_is_local_time_less_utc() -> None:
    assert ride_of(record(0, power=1), activity(0, offset=7200)).utc_offset == 7200
    assert ride_of(record(0, power=1), activity(0, offset=-9000)).utc_offset == -9000
    assert ride_of(record(0, power=1), activity(0, offset=90 * 3600)).utc_offset is None
    assert ride_of(record(0, power=1)).utc_offset is None


def developer_field(number: int, name: bytes, native: int | None = None) -> list[Message]:
    description: dict[int, tuple[int, Value]] = {
        0: (UINT8, 0),
        1: (UINT8, number),
        2: (UINT8, 0x84),
        3: (STRING, name + b"\0"),
    }
    if native is not None:
        description |= {14: (UINT16, 20), 15: (UINT8, native)}
    owner = Message(DEVELOPER_DATA_ID, {1: (BYTE, (1,) * 16), 3: (UINT8, 0)})
    return [owner, Message(FIELD_DESCRIPTION, description)]


@pytest.mark.parametrize(("name", "native"), [(b"Power", None), (b"RP", 7)])
def test_running_power_in_a_developer_field_is_power(name: bytes, native: int | None) -> None:
    watts = [struct.pack("<H", 250), struct.pack("<H", 0xFFFF)]
    ride = ride_of(
        *developer_field(4, name, native),
        *(record(second, {4: raw}, heartrate=150) for second, raw in enumerate(watts)),
    )
    assert column(ride, "power")[0] == 250
    assert np.isnan(column(ride, "power")[1])


def test_the_mark_of_no_value_in_a_developer_field_is_missing() -> None:
    """255 bpm would pass for a heart rate."""
    fields: dict[int, tuple[int, Value]] = {0: (UINT8, 0), 1: (UINT8, 4), 2: (UINT8, UINT8)}
    described = Message(FIELD_DESCRIPTION, {**fields, 14: (UINT16, 20), 15: (UINT8, 3)})
    owner = Message(DEVELOPER_DATA_ID, {1: (BYTE, (1,) * 16), 3: (UINT8, 0)})
    ride = ride_of(owner, described, record(0, {4: b"\x80"}), record(1, {4: b"\xff"}))
    assert np.isnan(ride.samples.channel("heartrate")).tolist() == [False, True]


def test_a_number_that_two_developer_fields_share_is_no_channel() -> None:
    raw = struct.pack("<H", 250)
    twice = [*developer_field(4, b"Power"), *developer_field(4, b"Form Power")]
    ride = ride_of(*twice, record(0, {4: raw}, heartrate=150))
    assert list(ride.samples.channels) == ["heartrate"]


def test_a_developer_field_of_another_meaning_is_no_channel() -> None:
    raw = struct.pack("<H", 250)
    ride = ride_of(*developer_field(4, b"Form Power"), record(0, {4: raw}, heartrate=150))
    assert list(ride.samples.channels) == ["heartrate"]


def test_the_heart_rate_of_a_strap_under_water_fills_what_the_watch_has_not() -> None:
    """1,024 ticks a second; the short form counts on in twelve bits: 1024, then 2048 ticks."""
    start = Message(HR, {253: stamp(T0), 9: (UINT32, 0), 6: (UINT8, 120)})
    packed = (1024 & 255, (1024 >> 8) | (2048 & 15) << 4, 2048 >> 4)
    more = Message(HR, {10: (BYTE, packed), 6: (UINT8, (130, 140))})
    records = [record(second, distance=second) for second in range(3)]
    assert column(ride_of(*records, start, more), "heartrate") == [120, 130, 140]


def test_a_strap_says_nothing_of_a_time_without_its_readings() -> None:
    """Two seconds after its last one, its heart rate is not known."""
    start = Message(HR, {253: stamp(T0), 9: (UINT32, 0), 6: (UINT8, 120)})
    ride = ride_of(*(record(second, distance=second) for second in range(3)), start)
    assert np.isnan(ride.samples.channel("heartrate")).tolist() == [False, False, True]


def test_a_strap_with_an_endless_count_is_not_believed() -> None:
    endless = Message(HR, {253: stamp(T0), 9: (FLOAT32, struct.pack("<f", np.inf)), 6: (UINT8, 99)})
    data = fit_file(file_id(), record(0, power=200), endless)
    (ride,) = read_fit(data, RECEIVED, salvage)
    assert list(ride.samples.channels) == ["power"]


def test_compressed_timestamps_count_on_from_the_last_full_one() -> None:
    """A header with its highest bit set holds five bits of the time."""
    base = T0 - 631_065_600
    definition = struct.pack("<BBBHB", 0x41, 0, 0, RECORD, 1) + bytes((7, 2, UINT16))
    head = fit_file(file_id(), record(0, power=100))
    body = head[14:-2] + definition
    for second in (1, 2):
        body += bytes([0x80 | 1 << 5 | (base + second & 31)]) + struct.pack("<H", 100 + second)
    file = struct.pack("<BBHI4s", 12, 0x20, 2132, len(body), b".FIT") + body
    (ride,) = read_fit(file + struct.pack("<H", checksum(file)), RECEIVED)
    assert column(ride, "power") == [100, 101, 102]
    assert (ride.samples.timestamps - MS).tolist() == [0, 1000, 2000]


def test_a_field_that_is_too_short_for_its_type_shifts_no_other() -> None:
    odd = Message(RECORD, {253: stamp(T0), 5: (UINT32, b"\x01"), 7: (UINT16, 200)})
    assert column(ride_of(odd), "power") == [200]


def test_a_list_where_a_number_or_a_time_should_be_is_nothing() -> None:
    """The slower decoder gives it as it stands; one of every reading's made a table of a column."""
    now = T0 - FIT_EPOCH
    timeless = Message(RECORD, {253: (UINT32, (now, now)), 7: (UINT16, 100)})
    listed = Message(RECORD, {253: stamp(T0), 7: (UINT16, 200), 4: (UINT8, (1, 2))})
    (ride,) = read_fit(fit_file(file_id(), timeless, listed, listed), RECEIVED, salvage)
    assert {name: values.tolist() for name, values in ride.samples.channels.items()} == {
        "power": [200, 200]
    }
    assert ride.warnings == ()


def test_a_string_that_is_no_utf_8_harms_nothing() -> None:
    wrong = Message(23, {253: stamp(T0), 27: (STRING, b"\xff\xfe\xe4\0")})
    assert column(ride_of(wrong, record(0, power=200)), "power") == [200]


def test_what_stands_before_the_end_of_a_cut_off_file_is_kept_and_said() -> None:
    data = fit_file(file_id(), *(record(second, power=200) for second in range(100)))
    (ride,) = read_fit(data[: len(data) // 2], RECEIVED)
    assert 40 < len(ride.samples) < 60
    assert ride.warnings == (
        f"the file is damaged or cut off: what follows reading {len(ride.samples)} is lost",
    )


def test_a_wrong_checksum_is_said_and_the_readings_stay() -> None:
    data = fit_file(file_id(), record(0, power=200))
    (ride,) = read_fit(data[:-1] + bytes([data[-1] ^ 1]), RECEIVED)
    assert column(ride, "power") == [200]
    assert ride.warnings == ("the file's checksum is wrong: some of its readings may be, too",)


def test_bytes_after_the_file_that_are_no_file_are_said() -> None:
    data = fit_file(file_id(), record(0, power=200)) + b"no header of a FIT file"
    (ride,) = read_fit(data, RECEIVED)
    assert column(ride, "power") == [200]
    assert len(ride.warnings) == 1


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (2, "this FIT file holds settings, not a ride"),
        (5, "this FIT file holds a planned workout, not a ride"),
        (6, "this FIT file holds a course, not a ride"),
        (32, "this FIT file holds daily monitoring, not a ride"),
    ],
)
def test_what_is_no_activity_is_refused_by_its_kind(kind: int, words: str) -> None:
    """A course has records like a ride."""
    with pytest.raises(NotAnActivity) as refused:
        read_fit(fit_file(file_id(kind), record(0, lat=1, lng=1)), RECEIVED)
    assert str(refused.value) == words


def test_laps_without_readings_are_no_ride() -> None:
    with pytest.raises(NotAnActivity, match="laps or lengths, but no readings over time"):
        read_fit(fit_file(file_id(), lap(0, 60), session(0, 60, sport=5)), RECEIVED)


def test_a_ride_that_is_all_in_the_future_is_refused_for_its_date() -> None:
    with pytest.raises(UnreadableFile, match="every reading of this file is dated in the future"):
        read_fit(fit_file(file_id(), record(3 * 86_400, power=200), session(0, 1)), RECEIVED)


def test_a_file_damaged_from_its_beginning_is_unreadable() -> None:
    with pytest.raises(UnreadableFile, match="damaged before its first reading"):
        read_fit(fit_file(file_id(), record(0, power=1))[:20], RECEIVED)


def test_both_decoders_say_the_same() -> None:
    data = fit_file(
        file_id(), record(0, power=210, heartrate=140, speed=8000), lap(0, 1), session(0, 1, np=300)
    )
    fast, slow = decode(data), salvage(data)
    (rides, again) = (read_fit(data, RECEIVED), fast.problem)
    assert again is slow.problem is None
    for left, right in zip(fast.parts[0], slow.parts[0], strict=True):
        assert {name: right.get(name) for name in left if name != "product"} == {
            name: value for name, value in left.items() if name != "product"
        }
    assert rides[0].laps == (Lap(MS, MS + 1000, rides[0].laps[0].figures),)


LOST = "the file is damaged or cut off: what follows reading {} is lost"
RIDE = fit_file(
    file_id(),
    *(record(second, power=100 + second) for second in range(20)),
    *(lap(0, 20), session(0, 20)),
)


def restated(data: bytes, size: int) -> bytes:
    """The same, but that the header says another size."""
    return data[:4] + size.to_bytes(4, "little") + data[8:]


BODY = len(RIDE) - 16
UNHARMED = {
    "header checksum": RIDE[:12] + bytes([RIDE[12] ^ 1]) + RIDE[13:],
    "no header checksum": RIDE[:12] + b"\0\0" + RIDE[14:],
    "never finished": restated(RIDE, 0)[:-2],
    "never finished, in a block of zeros": restated(RIDE, 0)[:-2] + bytes(500),
    "size 0": restated(RIDE, 0),
    "size too large": restated(RIDE, BODY + 1000),
    "size endless": restated(RIDE, 0xFFFFFFFF),
    "size too small": restated(RIDE, BODY // 2),
    "size too small by one": restated(RIDE, BODY - 1),
    "without its checksum": RIDE[:-2],
    "half a checksum": RIDE[:-1],
    "zeros after it": RIDE + bytes(100),
    "header of no known length": b"\x10" + RIDE[1:],
}


@pytest.mark.parametrize("data", UNHARMED.values(), ids=UNHARMED.keys())
@pytest.mark.parametrize("decoder", [decode, salvage])
def test_damage_outside_the_messages_costs_nothing(
    data: bytes, decoder: Callable[[bytes], Decoded]
) -> None:
    (ride,) = read_fit(data, RECEIVED, decoder)
    assert column(ride, "power") == [100 + second for second in range(20)]
    assert (len(ride.laps), ride.sport, ride.warnings) == (1, "cycling", ())


def test_the_slower_decoder_is_not_needed_for_what_can_be_put_right() -> None:
    """The two call some things differently, as this product."""
    sound = decode(RIDE).parts
    for data in (*UNHARMED.values(), RIDE[:-1] + bytes([RIDE[-1] ^ 1])):
        assert decode(data).parts == sound


def test_a_file_cut_within_a_message_says_which_reading_was_the_last() -> None:
    data = restated(RIDE, 0)[: len(RIDE) * 2 // 3 - 4]
    (ride,) = read_fit(data, RECEIVED)
    assert 10 < len(ride.samples) < 20
    assert ride.warnings == (LOST.format(len(ride.samples)),)


@pytest.mark.parametrize("left", [0.5, 0.9])
def test_a_chain_whose_first_file_is_cut_keeps_those_after_it(left: float) -> None:
    """The header of the first points into the second."""
    cut = RIDE[: int(len(RIDE) * left)]
    later = fit_file(file_id(), *(record(1000 + second, power=300) for second in range(2)))
    rides = read_fit(cut + later + later, RECEIVED)
    assert [column(ride, "power") for ride in rides[1:]] == [[300, 300]] * 2
    assert column(rides[0], "power")[:5] == [100, 101, 102, 103, 104]
    assert len(rides[-1].warnings) == 1


def test_what_stands_between_the_files_of_a_chain_is_left_out_and_said() -> None:
    later = fit_file(file_id(), record(1000, power=300))
    rides = read_fit(RIDE + b"no header of a FIT file" + later, RECEIVED)
    assert [len(ride.samples) for ride in rides] == [20, 1]
    assert rides[-1].warnings == (
        "the file holds bytes that are of no FIT file: they are left out",
    )
    assert rides[0].laps


def test_records_before_the_files_name_are_of_the_same_ride() -> None:
    data = fit_file(record(0, power=100), file_id(), record(1, power=200), lap(0, 2), session(0, 2))
    (ride,) = read_fit(data, RECEIVED)
    assert column(ride, "power") == [100, 200]
    assert (len(ride.laps), ride.sport, ride.device.maker) == (1, "cycling", "Garmin")


def test_a_file_that_names_itself_twice_is_one_ride() -> None:
    records = [record(second, power=100 + second) for second in range(4)]
    ride = ride_of(*records[:2], file_id(), *records[2:], lap(0, 4), session(0, 4, sport=1))
    assert column(ride, "power") == [100, 101, 102, 103]
    assert (len(ride.laps), ride.sport) == (1, "running")


def test_more_readings_than_a_ride_may_have_are_too_many_before_any_is_decoded() -> None:
    """A record of heart rate alone takes six bytes: its header, four of time and one of beats."""
    sound = fit_file(file_id(), record(0, heartrate=100))
    row = sound[-8:-2]
    body = sound[14:-2] + row * 1_000_000
    head = struct.pack("<BBHI4s", 12, 0x20, 2132, len(body), b".FIT")
    with pytest.raises(UnreadableFile, match="too many readings: more than 1,000,000"):
        read_fit(head + body, RECEIVED)
