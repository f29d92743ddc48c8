"""Files over HTTP: into workouts by real workers, and back as they were."""

import gzip
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.api.answers import T0, problem_of
from tests.api.conftest import MakeKey
from tests.api.files.ride_files import (
    OCTETS,
    WAIT,
    ended,
    fit,
    gpx,
    imported,
    post,
    send,
    tcx,
    zip_of,
)
from tests.conftest import Rider


def test_a_file_is_taken_at_once_and_becomes_a_workout(rider: Rider) -> None:
    response = post(rider, gpx(600, power=200), "evening.gpx")
    assert response.status_code == 202
    upload = response.json()["upload"]
    assert response.headers["location"] == f"/api/uploads/{upload['id']}"
    assert upload["filename"] == "evening.gpx"
    upload = ended(rider, upload["id"])
    assert (upload["status"], upload["reason"], upload["duplicateOf"]) == ("done", None, None)
    workout = rider.workout(upload["workoutIds"][0])
    assert (workout["status"], workout["title"], workout["sport"]) == (
        *("COMPLETED", "A ride"),
        "cycling",
    )
    assert workout["summary"]["normalizedPower"] == 200
    assert workout["summary"]["sampleCount"] == 600
    assert workout["duration"] == 599
    assert workout["uploadId"] == upload["id"]
    assert workout["timeZone"] == "Europe/Zurich"
    (listed,) = rider.client.get("/api/workouts").json()["workouts"]
    assert listed["timeZone"] == "Europe/Zurich"


def test_who_waits_is_answered_with_the_result(rider: Rider) -> None:
    response = rider.client.post("/api/uploads", content=tcx(60), headers={**OCTETS, **WAIT})
    assert response.status_code == 200
    assert response.json()["upload"]["status"] == "done"
    assert response.headers["preference-applied"] == "wait=30"
    workout = rider.workout(response.json()["upload"]["workoutIds"][0])
    assert workout["summary"]["avgHeartrate"] == 120


def test_a_form_has_the_file_and_its_name(rider: Rider) -> None:
    form = {"file": ("a/b/morning.tcx", tcx(60))}
    response = rider.client.post("/api/uploads", files=form, headers=WAIT)
    assert response.status_code == 200, response.text
    assert response.json()["upload"]["filename"] == "morning.tcx"


def test_a_form_may_say_what_becomes_of_duplicates(rider: Rider) -> None:
    first = imported(rider, tcx(60))
    form: dict[str, Any] = {"files": {"file": ("b.tcx", tcx(60, heartrate=130))}}
    kept = rider.client.post("/api/uploads", **form, data={"onDuplicate": "keep"}, headers=WAIT)
    assert kept.json()["upload"]["workoutIds"] != [first]
    wrong = rider.client.post("/api/uploads", **form, data={"onDuplicate": "forget"})
    assert "onDuplicate" in problem_of(wrong, 422)["detail"]


def test_what_a_fit_file_tells_of_the_device_stands_beside_our_figures(rider: Rider) -> None:
    workout = rider.workout(imported(rider, fit(600)))
    device = workout["device"]
    assert (device["maker"], device["product"], device["serial"]) == ("Garmin", "Edge 810", "12345")
    assert (device["trainingStressScore"], device["thresholdPower"]) == (1.2, 250)
    assert device["normalizedPower"] == 215
    assert workout["summary"]["normalizedPower"] == 200


def test_laps_of_a_file_have_figures_of_their_own(rider: Rider) -> None:
    """Two laps of 300 s at 200 W: 60 kJ each."""
    laps = rider.workout(imported(rider, fit(600)))["laps"]
    assert [(lap["start"], lap["end"]) for lap in laps] == [
        (T0, T0 + 300_000),
        (T0 + 300_000, T0 + 600_000),
    ]
    for lap in laps:
        assert lap["summary"]["avgPower"] == lap["summary"]["normalizedPower"] == 200
        assert lap["summary"]["duration"] == 300
        assert lap["summary"]["totalEnergy"] == 60
        assert lap["summary"]["avgHeartrate"] == 140


@pytest.mark.parametrize("language", ["en", "de-CH,de;q=0.9"])
def test_a_ride_without_a_title_gets_one_in_the_rider_s_language(
    rider: Rider, language: str
) -> None:
    """At 47 N, 8 E it was 23:13 of a November night."""
    headers = {**OCTETS, **WAIT, "Accept-Language": language}
    response = rider.client.post("/api/uploads", content=gpx(60, name=None), headers=headers)
    workout = rider.workout(response.json()["upload"]["workoutIds"][0])
    assert workout["title"] == {"en": "Night ride"}.get(language, "Nachtfahrt")


def test_a_compressed_file_is_a_file(rider: Rider) -> None:
    assert imported(rider, gzip.compress(fit(60)))
    inflated = {**OCTETS, **WAIT, "Content-Encoding": "gzip"}
    response = rider.client.post(
        "/api/uploads", content=gzip.compress(fit(60, second=9000)), headers=inflated
    )
    assert response.json()["upload"]["status"] == "done"


# What is no ride.


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"hello", "neither a FIT, nor a TCX, nor a GPX"),
        (b"\xff\xfe\x00\x01" * 100, "neither a FIT"),
        (b"PK\x03\x04 and nothing else", "damaged"),
        (b"\x1f\x8b and nothing else", "damaged"),
        (b"Rar!\x1a\x07\x00 whatever", "not opened here"),
        (b"\0" * 1000, "empty"),
        (b"<gpx></gpx>", "track"),
        (b'<!DOCTYPE g [<!ENTITY a "b">]><gpx>&a;</gpx>', ""),
        (fit(60)[:8], ""),
    ],
    ids=lambda each: each[:12] if isinstance(each, bytes) else "",
)
def test_what_gives_no_ride_fails_with_a_reason_and_leaves_no_workout(
    rider: Rider, data: bytes, reason: str
) -> None:
    upload = send(rider, data)
    assert upload["status"] == "failed"
    assert reason in upload["reason"]
    assert upload["workoutIds"] == []
    assert rider.client.get("/api/workouts").json()["workouts"] == []
    again = send(rider, data)  # it is no duplicate: another version may read it
    assert (again["status"], again["id"] == upload["id"]) == ("failed", False)


def test_what_could_be_read_of_a_damaged_file_is_kept_and_the_upload_says_so(rider: Rider) -> None:
    upload = send(rider, fit(600)[:4000])
    assert upload["status"] == "done"
    assert "damaged or cut off" in upload["warnings"][0]
    summary = rider.workout(upload["workoutIds"][0])["summary"]
    assert 100 < summary["sampleCount"] < 600


def test_an_empty_file_is_refused_at_once(rider: Rider) -> None:
    assert "empty" in problem_of(post(rider, b""), 400)["detail"]
    form = {"file": ("empty.fit", b"")}
    problem_of(rider.client.post("/api/uploads", files=form), 400)
    problem_of(rider.client.post("/api/uploads", files={"other": ("a.fit", b"x")}), 422)


# The list, the original, and who may have them.


def test_the_original_comes_back_as_it_was_sent(rider: Rider) -> None:
    sent = gpx(600, power=200)
    upload = send(rider, sent, 'a "ride" für dich.gpx')
    response = rider.client.get(f"/api/uploads/{upload['id']}/file")
    assert response.content == sent
    assert response.headers["content-type"] == "application/octet-stream"
    name = "a%20%22ride%22%20f%C3%BCr%20dich.gpx"
    assert response.headers["content-disposition"] == f"attachment; filename*=UTF-8''{name}"


def test_originals_of_any_size_come_back(rider: Rider) -> None:
    """Zeros inflate a thousandfold, noise not at all; neither is ever held whole."""
    noise = bytes(range(256)) * 1200 + uuid4().bytes
    for sent in (b"\0" * 3_000_000, gzip.compress(noise * 3) + uuid4().bytes):
        upload = send(rider, sent)
        assert rider.client.get(f"/api/uploads/{upload['id']}/file").content == sent


def test_uploads_are_listed_newest_first_page_by_page(rider: Rider) -> None:
    sent = [send(rider, b"no ride %d" % number)["id"] for number in range(5)]
    listed, cursor = [], ""
    while cursor is not None:
        page = rider.client.get("/api/uploads", params={"limit": 2, "cursor": cursor}).json()
        listed += [upload["id"] for upload in page["uploads"]]
        cursor = page["pagination"]["nextCursor"]
    assert listed == sent[::-1]
    failed = rider.client.get("/api/uploads", params={"status": "failed"}).json()["uploads"]
    assert len(failed) == 5
    assert rider.client.get("/api/uploads?status=done").json()["uploads"] == []
    problem_of(rider.client.get("/api/uploads?cursor=x"), 422)


def test_another_user_s_upload_is_as_absent_as_one_that_never_was(
    make_rider: Callable[[], Rider],
) -> None:
    owner, other = make_rider(), make_rider()
    upload = send(owner, gpx(60))
    answers = {
        other.client.get(f"/api/uploads/{each}{path}").text
        for each in (upload["id"], uuid4())
        for path in ("", "/file")
    }
    (answer,) = answers
    assert "no such upload" in answer
    assert other.client.get("/api/uploads").json()["uploads"] == []


def test_a_key_that_only_reads_sees_what_became_of_a_file(
    rider: Rider, make_api_key: MakeKey
) -> None:
    key = make_api_key(rider.account.user_id, ["read"])
    sent = send(rider, gpx(60))
    with httpx2.Client(base_url=rider.client.base_url, headers={"X-API-Key": key}) as reader:
        assert reader.get(f"/api/uploads/{sent['id']}").json()["upload"] == sent
        problem_of(reader.post("/api/uploads", content=gpx(60), headers=OCTETS), 403)


def test_a_key_that_neither_reads_nor_uploads_sees_no_upload(
    rider: Rider, make_api_key: MakeKey
) -> None:
    key = make_api_key(rider.account.user_id, ["admin"])
    path = f"/api/uploads/{send(rider, gpx(60))['id']}"
    problem = problem_of(rider.client.get(path, headers={"X-API-Key": key}), 403)
    assert "`read` or `upload`" in problem["detail"]


def test_a_key_that_only_uploads_sees_what_it_has_sent_and_no_list_or_original(
    rider: Rider, make_api_key: MakeKey
) -> None:
    key = make_api_key(rider.account.user_id, ["upload"])
    before = send(rider, gpx(60))
    with httpx2.Client(base_url=rider.client.base_url, headers={"X-API-Key": key}) as device:
        sent = device.post("/api/uploads", content=gpx(60, T0 + 10**7), headers=OCTETS)
        own = device.get(f"/api/uploads/{sent.json()['upload']['id']}")
        assert own.json()["upload"]["id"] == sent.json()["upload"]["id"]
        problem_of(device.get(f"/api/uploads/{before['id']}"), 404)
        problem_of(device.get("/api/uploads"), 403)
        problem_of(device.get(f"/api/uploads/{before['id']}/file"), 403)


# Zips.


def test_each_file_of_a_zip_is_an_upload_of_its_own(rider: Rider) -> None:
    archive = zip_of(a__gpx=gpx(60), b__fit=fit(60, second=9000), c__fit=b"no ride", d__jpg=b"x")
    upload = send(rider, archive, "all.zip")
    assert (upload["status"], upload["members"]) == ("done", {"done": 2, "failed": 1})
    assert (upload["reason"], upload["warnings"]) == (None, ["1 of 3 files failed"])
    members = rider.client.get("/api/uploads", params={"parent": upload["id"]}).json()["uploads"]
    by_name = {member["filename"]: member for member in members}
    assert by_name.keys() == {"a.gpx", "b.fit", "c.fit"}  # pictures are no rides
    assert "neither a FIT" in by_name["c.fit"]["reason"]
    assert {member["parentId"] for member in members} == {upload["id"]}
    assert [each["id"] for each in rider.client.get("/api/uploads").json()["uploads"]] == [
        upload["id"]
    ]
    made = {workout["id"] for workout in rider.client.get("/api/workouts").json()["workouts"]}
    assert (set(upload["workoutIds"]), len(made)) == (made, 2)


def test_a_zip_without_rides_or_of_zips_says_so(rider: Rider) -> None:
    upload = send(rider, zip_of(photo__jpg=b"x"))
    assert (upload["status"], "no file" in upload["reason"]) == ("failed", True)
    upload = send(rider, zip_of(inner__zip=zip_of(a__gpx=gpx(60))))
    (member,) = rider.client.get(f"/api/uploads?parent={upload['id']}").json()["uploads"]
    assert "archive within an archive" in member["reason"]


def test_a_zip_from_which_nothing_went_in_has_failed_and_says_how_many_files(rider: Rider) -> None:
    upload = send(rider, zip_of(a__fit=b"no ride", b__gpx=b"<gpx></gpx>"))
    assert (upload["status"], upload["members"]) == ("failed", {"failed": 2})
    assert "no file of this archive gave a ride" in upload["reason"]
    assert upload["warnings"] == ["2 of 2 files failed"]
    refused = send(rider, zip_of(bomb__gpx=b"\0" * 40_000_000))  # while it is unpacked
    assert (refused["status"], refused["warnings"]) == ("failed", ["1 of 1 file failed"])
    listed = rider.client.get("/api/uploads?status=failed").json()["uploads"]
    assert [each["id"] for each in listed] == [refused["id"], upload["id"]]


def test_a_zip_of_rides_that_are_there_is_a_duplicate_of_them(rider: Rider) -> None:
    first = imported(rider, gpx(600))
    answer = post(rider, zip_of(a__gpx=gpx(600, name="Again"), b__fit=b"no ride"), "z.zip")
    upload = ended(rider, answer.json()["upload"]["id"])
    assert (upload["status"], upload["duplicateOf"]) == ("duplicate", first)
    assert "every ride of this archive is there already" in upload["reason"]
    assert upload["warnings"] == ["1 of 2 files failed"]
    once_more = zip_of(a__gpx=gpx(600, name="Once more"))
    waited = rider.client.post("/api/uploads", content=once_more, headers={**OCTETS, **WAIT})
    assert (waited.status_code, waited.json()["duplicateOf"]) == (409, first)


def test_a_zip_sent_again_is_known_by_its_bytes(rider: Rider) -> None:
    """Also where it holds files that are no rides, and by keys that lost the answer."""
    archive = zip_of(a__gpx=gpx(60), b__fit=fit(60, second=9000), c__fit=b"no ride")
    first = send(rider, archive, "all.zip")
    answer = post(rider, archive, "again.zip")
    assert answer.status_code == 409
    problem = answer.json()
    assert set(problem["workoutIds"]) == set(first["workoutIds"])
    assert [each["id"] for each in rider.client.get("/api/uploads").json()["uploads"]] == [
        first["id"]
    ]


def test_a_zip_of_which_a_ride_was_deleted_brings_it_back(rider: Rider) -> None:
    archive = zip_of(a__gpx=gpx(60), b__gpx=gpx(60, T0 + 10**9))
    kept, deleted = send(rider, archive)["workoutIds"]
    rider.client.delete(f"/api/workouts/{deleted}")
    again = send(rider, archive)
    assert again["members"] == {"duplicate": 1, "done": 1}
    assert kept not in again["workoutIds"]
    assert len(again["workoutIds"]) == 1


def test_a_bomb_costs_little_and_fails(rider: Rider) -> None:
    upload = send(rider, zip_of(bomb__gpx=b"\0" * 40_000_000))
    assert upload["members"] == {"failed": 1}
    upload = send(rider, gzip.compress(b"\0" * 40_000_000))
    assert (upload["status"], "unpacks to more than" in upload["reason"]) == ("failed", True)


# What is said of a ride beside its file.


def test_what_is_said_of_a_ride_takes_the_place_of_the_file_s_words(rider: Rider) -> None:
    said = {"title": "Mine", "description": "Wet.", "sport": "gravel-cycling"}
    sent = send(rider, gpx(60), **said)
    by_query = rider.workout(sent["workoutIds"][0])
    file = {"file": ("b.gpx", gpx(60, T0 + 9_000_000))}
    answer = rider.client.post("/api/uploads", files=file, data=said, headers=WAIT)
    by_form = rider.workout(answer.json()["upload"]["workoutIds"][0])
    for workout in (by_query, by_form):
        assert {name: workout[name] for name in said} == said


@pytest.mark.parametrize(
    "said", [{"title": "x" * 201}, {"sport": "a b"}, {"description": "a\0"}, {"title": "\0"}]
)
def test_words_that_no_workout_may_have_are_refused(rider: Rider, said: dict[str, str]) -> None:
    (name,) = said
    file = {"file": ("b.gpx", gpx(60))}
    answer = rider.client.post("/api/uploads", files=file, data=said)
    assert problem_of(answer, 422)["errors"][0]["member"] == name
    assert post(rider, gpx(60), **said).status_code == 422


def test_an_export_of_strava_s_goes_in_as_a_zip_with_its_titles(rider: Rider) -> None:
    table = (
        "Activity ID,Activity Date,Activity Name,Activity Type,Activity Description,Filename\n"
        "1,x,Round the lake,Virtual Ride,Wet.,activities/1.gpx\n"
    )
    files = {"activities.csv": table.encode(), "activities/1.gpx": gpx(60), "routes/2.gpx": b"<"}
    upload = send(rider, zip_of(**{name.replace(".", "__"): data for name, data in files.items()}))
    (workout_id,) = upload["workoutIds"]
    workout = rider.workout(workout_id)
    assert (workout["title"], workout["description"]) == ("Round the lake", "Wet.")
    assert (workout["sport"], upload["members"]) == ("virtual-cycling", {"done": 1})
