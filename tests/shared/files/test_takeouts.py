"""What Strava, Garmin and we hand out as "all my data", each file with what its table says."""

import gzip
import io
import json
import zipfile
from typing import Any

import pytest

from shared.files import archives
from shared.files.archives import Limits
from shared.files.fit_scan import scan_fit
from shared.files.reading import read_rides
from shared.files.recording import Span
from shared.files.takeouts import File, files_of
from shared.files.words import NO_WORDS, Words, tell
from tests.shared.files.fit_bytes import T0, file_id, fit_file, record, session

NOW = 1_800_000_000_000
NESTED = Limits(levels=1)
RIDE = fit_file(file_id(), record(0, power=200), record(1, power=200), session(0, 2))
LATER = fit_file(file_id(), record(5000, power=200), session(5000, 2))
SLEEP = fit_file(file_id(kind=32))
FITNESS = "DI_CONNECT/DI-Connect-Fitness/me@example.com_0_summarizedActivities.json"
UPLOADED = "DI_CONNECT/DI-Connect-Uploaded-Files/UploadedFiles_0-_Part1.zip"


def zip_of(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def found(files: dict[str, bytes], limits: Limits = NESTED) -> dict[str, File]:
    return {each.name: each for each in files_of(io.BytesIO(zip_of(files)), limits)}


def words(files: dict[str, bytes]) -> dict[str, Words]:
    return {name: each.words for name, each in found(files).items()}


ENGLISH = (
    "Activity ID,Activity Date,Activity Name,Activity Type,Activity Description,Elapsed Time,"
    'Filename,Activity Name\n1,"Apr 9, 2026, 7:30:00 AM","Round, ""the"" lake",Gravel Ride,'
    '"Two\nlines",60,activities/1.fit.gz,\n2,x,By hand,Run,,60,,\n'
    "3,x,,Workout,,1,activities/3.gpx,\n"
)
GERMAN = (
    "\ufeffAktivitäts-ID,Aktivitätsdatum,Name der Aktivität,Aktivitätsart,Beschreibung,"
    "Dateiname\r\n"
    "1,09.04.2026,Feierabendrunde,Radfahrt,,activities/1.fit.gz\r\n"
    "3,09.04.2026,Am See,Eisstockschießen,,activities/3.gpx\r\n"
)


def strava(table: str, folder: str = "") -> dict[str, bytes]:
    return {
        f"{folder}activities.csv": table.encode(),
        f"{folder}activities/1.fit.gz": gzip.compress(RIDE),
        f"{folder}activities/3.gpx": b"<gpx/>",
        f"{folder}routes/9.gpx": b"<gpx/>",
        f"{folder}media/1.jpg": b"",
    }


def test_strava_s_table_says_title_description_and_sport_of_each_file() -> None:
    assert words(strava(ENGLISH)) == {
        "activities/1.fit.gz": Words('Round, "the" lake', "Two\nlines", "gravel-cycling"),
        "activities/3.gpx": NO_WORDS,
    }
    assert found(strava(ENGLISH))["activities/1.fit.gz"].data == RIDE


def test_strava_s_header_may_be_in_the_rider_s_language_and_lie_in_a_folder() -> None:
    assert words(strava(GERMAN, "export_123/")) == {
        "export_123/activities/1.fit.gz": Words("Feierabendrunde", None, "cycling"),
        "export_123/activities/3.gpx": Words("Am See"),  # the file says of which sport
    }


@pytest.mark.parametrize(
    ("words_of_sport", "sport"),
    [
        ("Virtueller Lauf", "virtual-running"),
        ("Virtuelles Rudern", "virtual-rowing"),
        ("Virtuelle Radfahrt", "virtual-cycling"),
        ("Course à pied virtuelle", "virtual-running"),
        ("Ciclismo virtual", "virtual-cycling"),
        ("Rudern", "rowing"),
        ("Skilanglauf", "nordic-skiing"),
        ("Ski de fond", "nordic-skiing"),
        ("Traillauf", "trail-running"),
        ("Lauf", "running"),
        ("Eislauf", "ice-skating"),
        ("E-Mountainbike-Fahrt", "e-mountain-bike"),
    ],
)
def test_an_activity_in_another_language_is_known_by_what_is_done(
    words_of_sport: str, sport: str
) -> None:
    """Its word decides before those for ``virtual``."""
    table = strava(GERMAN.replace("Radfahrt", words_of_sport))
    assert words(table)["activities/1.fit.gz"].sport == sport


def test_another_table_of_that_name_says_nothing() -> None:
    files = {"activities.csv": b"a,b\n1,2\n", "ride.fit": RIDE, "activities/x.fit": RIDE}
    assert words(files) == {"ride.fit": NO_WORDS, "activities/x.fit": NO_WORDS}


def test_words_that_no_workout_may_have_are_cut_to_what_it_may() -> None:
    row = f'1,x,"{"a" * 300}\0",Ride,"b\0c\nd",60,activities/1.fit.gz\n'
    table = ENGLISH.partition("\n")[0] + "\n" + row
    assert words(strava(table))["activities/1.fit.gz"] == Words("a" * 200, "bc\nd", "cycling")


def garmin(*rows: dict[str, Any]) -> dict[str, bytes]:
    inner = zip_of({"me@example.com_77.fit": RIDE, "me_78.fit": LATER, "me_79.fit": SLEEP})
    table = json.dumps([{"summarizedActivitiesExport": rows}])
    return {FITNESS: table.encode(), UPLOADED: inner, "DI_CONNECT/customer.json": b"{}"}


def test_garmin_s_table_finds_a_file_by_when_its_ride_began_and_leaves_out_what_is_none() -> None:
    """The second ride begins 5000 s after the first; the table has it 90 s off, which is near."""
    rows = (
        {"activityId": 5, "name": "Zürich Radfahren", "activityType": "road_biking"}
        | {"startTimeGmt": T0 * 1000.0, "description": "D"},
        {"activityId": 6, "name": "Later", "beginTimestamp": (T0 + 5090) * 1000},
    )
    assert words(garmin(*rows)) == {
        f"{UPLOADED}/me@example.com_77.fit": Words("Zürich Radfahren", "D", "road-cycling"),
        f"{UPLOADED}/me_78.fit": Words("Later"),
    }


def test_garmin_s_files_go_in_without_a_row_and_with_a_table_that_is_damaged() -> None:
    far = {"activityId": 5, "name": "Far", "startTimeGmt": (T0 - 121) * 1000}
    assert set(words(garmin(far)).values()) == {NO_WORDS}
    assert set(words({**garmin(), FITNESS: b"["}).values()) == {NO_WORDS}


def test_a_file_named_by_an_activity_s_id_is_that_activity() -> None:
    table = json.dumps([{"summarizedActivitiesExport": [{"activityId": 123, "name": "Named"}]}])
    files = {FITNESS: table.encode(), "123_ACTIVITY.fit": RIDE, "x/123.tcx": b"<x/>"}
    assert {each.title for each in words(files).values()} == {"Named"}


def test_a_gpx_file_of_garmin_s_is_found_by_its_first_time() -> None:
    row = {"name": "By time", "startTimeGmt": T0 * 1000}
    table = json.dumps({"summarizedActivitiesExport": [row]})
    gpx = b"<gpx><trkpt><time>2023-11-14T22:13:20.000Z</time></trkpt></gpx>"
    assert words({FITNESS: table.encode(), "a.gpx": gpx})["a.gpx"].title == "By time"


def test_an_archive_within_the_archive_that_unpacks_to_too_much_is_not_opened() -> None:
    """Three megabytes of zeros, stored: the archive around them makes them small."""
    bomb = zip_of({"a.fit": bytes(3 << 20)}, zipfile.ZIP_STORED)
    limits = Limits(ratio=10, levels=1)
    ((name, file),) = found({"bomb.zip": bomb}, limits).items()
    assert (name, file.problem) == (
        "bomb.zip",
        "this archive within the archive unpacks to too much",
    )
    assert not found({"fine.zip": zip_of({"a.fit": RIDE})}, limits)["fine.zip/a.fit"].problem


def test_a_nested_archive_that_is_damaged_leaves_the_others() -> None:
    files = {"a.zip": b"PK\3\4 nothing", "b.zip": zip_of({"b.fit": RIDE})}
    names = {name: each.problem for name, each in found(files).items()}
    assert names["b.zip/b.fit"] is None
    assert "damaged" in (names["a.zip"] or "")


ID = "0b6e1b1e-7a0d-4d3c-9a54-0e9bb0c4c4a1"
LINE = {
    "id": ID,
    "title": "Ours",
    "description": "D",
    "sport": "gravel-cycling",
    "summary": {"avgPower": 200},
    "device": {"maker": "Garmin", "normalizedPower": 215},
    "laps": [{"start": NOW - 9000, "end": NOW - 8000, "device": {"avgPower": 7}, "summary": {}}],
    "pauses": [{"start": NOW - 9000, "end": NOW - 8500}],
    "excluded": True,
    "excludedRanges": [{"from": NOW - 9000, "to": NOW - 8000}],
    "vouchedRanges": [{"from": NOW, "to": NOW + 86_400_001}],  # beyond the ride's days
    "duplicateOf": None,
}


def ours(samples: str, **members: object) -> dict[str, bytes]:
    line = json.dumps({**LINE, **members}).encode() + b"\n"
    return {
        "README.txt": b"",
        "workouts.ndjson": line,
        f"telemetry/2027-01-15-{ID}.csv": samples.encode(),
        "telemetry/other.csv": b"timestamp,power\n1,1\n",
    }


SAMPLES = f"timestamp,power,lat\n{NOW - 9000},200,47.1234567\n{NOW - 8000},,\n"


def test_a_ride_of_our_own_export_is_one_file_with_all_that_is_said_of_it() -> None:
    ((name, file),) = found(ours(SAMPLES)).items()
    assert name == f"telemetry/2027-01-15-{ID}.json"
    (ride,) = read_rides(file.data, NOW)
    assert (ride.title, ride.description, ride.sport) == ("Ours", "D", "gravel-cycling")
    assert (ride.device.maker, ride.figures.normalized_power) == ("Garmin", 215)
    assert [(lap.start, lap.figures.avg_power) for lap in ride.laps] == [(NOW - 9000, 7)]
    assert [pause.end for pause in ride.pauses] == [NOW - 8500]
    assert ride.samples.timestamps.tolist() == [NOW - 9000, NOW - 8000]
    assert ride.samples.channel("lat").tolist()[0] == 47.1234567
    assert ride.remedies.excluded
    assert ride.remedies.excluded_ranges == (Span(NOW - 9000, NOW - 8000),)
    assert ride.remedies.vouched_ranges == ()
    assert not file.is_second


def test_a_ride_of_our_own_export_without_samples_is_left_out_and_a_kept_twin_is_known() -> None:
    assert found(ours("timestamp,power\n")) == {}
    (file,) = found(ours(SAMPLES, duplicateOf=ID)).values()
    assert file.is_second


def test_damaged_samples_of_our_own_export_are_a_problem_of_that_ride() -> None:
    (file,) = found(ours("timestamp,power\nx,1,2\n")).values()
    assert "damaged" in (file.problem or "")


@pytest.mark.parametrize(
    ("said", "known", "sport"),
    [
        ("cycling", "gravel-cycling", "gravel-cycling"),  # the file says it more closely
        ("virtual-cycling", "cycling", "virtual-cycling"),
        ("running", "cycling", "running"),
        (None, "cycling", "cycling"),
    ],
)
def test_what_is_said_of_a_ride_takes_the_place_of_the_file_s_own_words(
    said: str | None, known: str, sport: str
) -> None:
    (ride,) = read_rides(
        found(ours(SAMPLES, sport=known))[f"telemetry/2027-01-15-{ID}.json"].data, NOW
    )
    (told,) = tell([ride], Words("Mine", None, said))
    assert (told.title, told.description, told.sport) == ("Mine", "D", sport)


def test_a_file_of_several_rides_keeps_their_sports() -> None:
    (ride,) = read_rides(found(ours(SAMPLES))[f"telemetry/2027-01-15-{ID}.json"].data, NOW)
    told = tell([ride, ride], Words("Triathlon", None, "running"))
    assert {(each.title, each.sport) for each in told} == {("Triathlon", "gravel-cycling")}


def test_a_scan_of_a_fit_file_follows_chains_and_stops_where_the_file_does() -> None:
    scan = scan_fit(SLEEP + RIDE)
    assert (scan.kinds, scan.starts) == ((32, 4), (T0 * 1000,))
    assert scan_fit(RIDE[:60]).starts in ((), (T0 * 1000,))
    for end in range(len(RIDE)):
        scan_fit(RIDE[:end])
    assert archives.LIMITS.levels == 0  # what is sent over HTTP is not opened twice
