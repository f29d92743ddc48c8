"""GPX documents, made by hand, to recordings."""

from datetime import UTC, datetime

import pytest

from shared.files.gpx import read_gpx
from shared.files.recording import Device, NotAnActivity, Pause, Recording, UnreadableFile

MS = 1_591_023_160_000  # 2020-06-01T14:52:40Z
RECEIVED = MS + 4 * 86_400_000


def document(content: str) -> str:
    return f'<gpx creator="StravaGPX" xmlns="http://www.topografix.com/GPX/1/1">{content}</gpx>'


def point(second: int, content: str = "") -> str:
    time = f"<time>2020-06-01T14:52:{second:02}Z</time>"
    return f'<trkpt lat="52.1577628" lon="4.4910680">{time}{content}</trkpt>'


def at(second: int) -> str:
    """A point so many seconds after MS."""
    time = datetime.fromtimestamp(MS / 1000 + second, UTC).isoformat()
    return f'<trkpt lat="52.1" lon="4.4"><time>{time}</time></trkpt>'


def track(*segments: str, said: str = "") -> str:
    return "<trk>" + said + "".join(f"<trkseg>{one}</trkseg>" for one in segments) + "</trk>"


def only(rides: list[Recording]) -> Recording:
    (ride,) = rides
    return ride


def columns_of(extensions: str) -> dict[str, list[float]]:
    content = f"<ele>7</ele><extensions>{extensions}</extensions>"
    ride = only(read_gpx(document(track(point(40, content))), RECEIVED))
    found = {name: values.tolist() for name, values in ride.samples.channels.items()}
    assert found.pop("altitude") == [7]
    assert (found.pop("lat"), found.pop("lng")) == ([52.1577628], [4.491068])
    return found


@pytest.mark.parametrize(
    ("extensions", "found"),
    [
        (
            "<x:TrackPointExtension><x:atemp>22.0</x:atemp><x:hr>154</x:hr><x:cad>90</x:cad>"
            "<x:speed>8.1</x:speed></x:TrackPointExtension>",
            {"cadence": [90], "heartrate": [154], "speed": [8.1], "temperature": [22]},
        ),
        ("<power>210</power>", {"power": [210]}),
        (
            "<x:PowerExtension><x:PowerInWatts>210</x:PowerInWatts></x:PowerExtension>",
            {"power": [210]},
        ),
        (
            "<g:hr>120</g:hr><g:cadence>85</g:cadence><g:temp>-3</g:temp><g:distance>12,5</g:distance>",
            {"cadence": [85], "heartrate": [120], "distance": [12.5], "temperature": [-3]},
        ),
        ("<x:atemp>5</x:atemp><x:wtemp>9</x:wtemp>", {"temperature": [5]}),
        ("", {}),
    ],
    ids=["Garmin", "plain power", "power extension", "Cluetrust", "water", "none"],
)
def test_the_extensions_of_every_maker(extensions: str, found: dict[str, list[float]]) -> None:
    assert columns_of(extensions) == found


def test_the_track_says_its_name_type_and_description() -> None:
    said = "<name>Leiden &amp; back</name><desc>Windy.</desc><type>cycling</type>"
    ride = only(read_gpx(document(track(point(40), said=said)), RECEIVED))
    assert (ride.title, ride.description, ride.sport) == ("Leiden & back", "Windy.", "cycling")
    assert ride.device == Device(product="StravaGPX")


@pytest.mark.parametrize(
    ("words", "sport"),
    [
        ("1", "cycling"),
        ("9", "running"),
        ("VirtualRide", "virtual-cycling"),
        ("gravel_cycling", "gravel-cycling"),
        ("Mountain Biking", "mountain-biking"),
        ("EBikeRide", "e-bike"),
        ("Trail Running", "trail-running"),
        ("hiking", "hiking"),
        ("Kitesurfen ü", "kitesurfen"),
        ("Virtual Rowing", "virtual-rowing"),
        ("Virtual Run", "virtual-running"),
        ("Roller Ski", "nordic-skiing"),
        ("Alpine Ski", "alpine-skiing"),
        ("generic", "other"),
        ("", None),
    ],
)
def test_sports_in_words_and_numbers(words: str, sport: str | None) -> None:
    said = f"<type>{words}</type>"
    assert only(read_gpx(document(track(point(40), said=said)), RECEIVED)).sport == sport


def test_a_new_segment_begins_after_a_pause() -> None:
    ride = only(read_gpx(document(track(point(40) + point(41), point(50))), RECEIVED))
    assert ride.pauses == (Pause(MS + 1000, MS + 10_000),)
    assert len(ride.samples) == 3


def test_a_segment_of_before_the_last_one_follows_no_pause() -> None:
    ride = only(read_gpx(document(track(point(50), point(40))), RECEIVED))
    assert ride.pauses == ()


def test_tracks_hours_apart_are_rides_of_their_own() -> None:
    """The second one begins an hour after the first one's end."""
    rides = read_gpx(document(track(at(0)) + track(at(3600)) + track(at(3 * 86_400))), RECEIVED)
    assert [ride.start - MS for ride in rides] == [0, 3_600_000, 3 * 86_400_000]


def test_tracks_minutes_apart_are_one_ride_with_a_pause() -> None:
    """As programs write them that begin a track at each stop."""
    ride = only(read_gpx(document(track(at(0)) + track("") + track(at(3599))), RECEIVED))
    assert (ride.start, ride.end) == (MS, MS + 3_599_000)
    assert ride.pauses == (Pause(MS, MS + 3_599_000),)


def test_tracks_of_different_sports_are_not_one_ride() -> None:
    """Nor those that run side by side."""
    run = track(at(100), said="<type>Run</type>")
    rides = read_gpx(document(track(at(0), said="<type>Ride</type>") + run), RECEIVED)
    assert [ride.sport for ride in rides] == ["cycling", "running"]
    assert len(read_gpx(document(track(at(0) + at(60)) + track(at(30))), RECEIVED)) == 2


def test_a_track_that_pauses_for_hours_is_several_rides() -> None:
    """A stop of five hours is part of a long day; after six it is another ride."""
    segments = [at(0), at(5 * 3600), at(11 * 3600), at(11 * 3600 + 60)]
    stages = track(*segments)
    rides = read_gpx(document(stages), RECEIVED)
    assert [(ride.start - MS) // 3_600_000 for ride in rides] == [0, 11]
    assert [len(ride.samples) for ride in rides] == [2, 2]


def test_a_track_of_ours_is_one_ride_however_long_it_pauses() -> None:
    days = track(at(0), at(86_400), said="<src>Bike Power Tracker</src>")
    ride = only(read_gpx(document(days), RECEIVED))
    assert ride.pauses == (Pause(MS, MS + 86_400_000),)
    assert len(read_gpx(document(track(at(0), at(86_400), said="<src>X</src>")), RECEIVED)) == 2


def test_fractions_of_seconds_stay() -> None:
    content = '<trkpt lat="1" lon="2"><time>2020-06-01T14:52:40.056Z</time></trkpt>'
    assert only(read_gpx(document(track(content)), RECEIVED)).start == MS + 56


def test_what_stands_before_the_damage_is_kept_and_said() -> None:
    text = document(track("".join(point(second) for second in range(40, 50))))
    ride = only(read_gpx(text[: text.index("14:52:45")], RECEIVED))
    assert len(ride.samples) == 5
    assert ride.warnings == ("the file is damaged or cut off in line 1: what follows is lost",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('<rte><rtept lat="1" lon="2"><time>2020-06-01T14:52:40Z</time></rtept></rte>', "a route"),
        ('<wpt lat="1" lon="2"/>', "a route or places"),
        ('<trk><trkseg><trkpt lat="1" lon="2"/></trkseg></trk>', "a track without times"),
        ("<metadata><time>2020-06-01T14:52:40Z</time></metadata>", "holds no track"),
    ],
)
def test_what_holds_no_ride_is_refused_with_the_reason(content: str, words: str) -> None:
    with pytest.raises(NotAnActivity, match=words):
        read_gpx(document(content), RECEIVED)


def test_a_ride_that_is_all_in_the_future_is_refused_for_its_date() -> None:
    with pytest.raises(UnreadableFile, match="every reading of this file is dated in the future"):
        read_gpx(document(track(point(40))), MS - 86_400_001)


def test_a_document_damaged_before_its_first_point_is_unreadable() -> None:
    with pytest.raises(UnreadableFile, match="damaged before its first point"):
        read_gpx("<gpx><trk><name>x", RECEIVED)
