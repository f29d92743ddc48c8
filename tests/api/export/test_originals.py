"""Originals in the export: all that were sent, each with the rides that it became."""

import json
from typing import Any
from uuid import UUID

import httpx2
import pytest

from shared.connections import Database
from tests.api.answers import T0
from tests.api.export.test_account import export_of, lines_of
from tests.api.files.ride_files import fit, gpx, imported, send, tcx, zip_of
from tests.conftest import Rider

WEEK = 7 * 86_400_000  # ms


def files_of(rider: Rider) -> dict[str, dict[str, Any]]:
    """The rows of the export's table by the id of the upload, each with its original's bytes."""
    archive = export_of(rider)
    rows = lines_of(archive, "uploads.ndjson")
    named = {row["file"] for row in rows if row["file"]}
    assert named == {name for name in archive.namelist() if name.startswith("originals/")}
    return {row["id"]: {**row, "bytes": row["file"] and archive.read(row["file"])} for row in rows}


def test_each_original_is_there_as_it_was_sent_and_says_which_rides_it_became(
    rider: Rider,
) -> None:
    rider.client.patch("/api/users/me", json={"timeZone": "Asia/Tokyo"})
    sent = [fit(60), gpx(60, T0 + WEEK), b"no ride at all"]
    uploads = [send(rider, data, "ride.fit") for data in sent]  # all of one name
    found = files_of(rider)
    assert [found[each["id"]]["bytes"] for each in uploads] == sent
    assert [found[each["id"]]["workoutIds"] for each in uploads] == [
        each["workoutIds"] for each in uploads
    ]
    for upload in uploads:
        row = {**found[upload["id"]]}
        assert row.pop("bytes") in sent
        assert row.pop("file").endswith(f"-{upload['id']}.fit")
        assert row == rider.client.get(f"/api/uploads/{upload['id']}").json()["upload"]
    assert list(found) == [each["id"] for each in uploads[::-1]]


def test_the_day_of_a_name_is_the_rider_s(rider: Rider, database: Database) -> None:
    """23:30 UTC is half past eight of the next morning in Tokyo."""
    rider.client.patch("/api/users/me", json={"timeZone": "Asia/Tokyo"})
    upload = send(rider, gpx(60))
    with database.connection() as connection:
        connection.execute(
            "UPDATE uploads SET created_at = '2024-05-31T23:30Z' WHERE id = %s", [upload["id"]]
        )
    assert files_of(rider)[upload["id"]]["file"] == f"originals/2024-06-01-{upload['id']}"


def test_what_a_file_is_called_does_not_name_a_member(rider: Rider) -> None:
    for number, name in enumerate(("../../etc/passwd", "a.FIT", "a.fit.gz", "a.exe", "a\r\n.gpx")):
        send(rider, gpx(60, T0 + number * WEEK), name)
    files = [row["file"] for row in files_of(rider).values()][::-1]
    assert [file[57:] for file in files] == ["", ".fit", ".fit.gz", "", ".gpx"]
    for file in files:
        UUID(file[21:57])


def test_a_zip_is_there_and_each_of_its_files(rider: Rider) -> None:
    first, second = gpx(60), tcx(60, T0 + WEEK)
    archive = zip_of(a__gpx=first, b__tcx__gz=second, photo__jpg=b"x")
    upload = send(rider, archive, "all.zip")
    found = files_of(rider)
    assert found[upload["id"]]["bytes"] == archive
    members = {row["file"][57:]: row for row in found.values() if row["parentId"]}
    assert {kind: row["bytes"] for kind, row in members.items()} == {
        ".gpx": first,
        ".tcx": second,  # which its archive gave unpacked
    }
    made = {workout for row in members.values() for workout in row["workoutIds"]}
    assert made == set(upload["workoutIds"])


def test_a_duplicate_names_the_ride_that_it_was_found_to_be(rider: Rider) -> None:
    workout = imported(rider, fit(600))
    upload = send(rider, tcx(600))
    row = files_of(rider)[upload["id"]]
    assert (row["duplicateOf"], row["bytes"]) == (workout, tcx(600))


def test_the_original_of_a_deleted_ride_is_not_in_it(rider: Rider) -> None:
    """Nor the zip that holds it; the other file of the zip is there by itself."""
    archive = zip_of(a__gpx=gpx(60), b__gpx=gpx(60, T0 + WEEK))
    whole = send(rider, archive, "all.zip")
    rider.client.delete(f"/api/workouts/{whole['workoutIds'][0]}")
    kept = {tuple(row["workoutIds"]): row["file"] for row in files_of(rider).values()}
    assert kept[(whole["workoutIds"][0],)] is None
    assert kept[(whole["workoutIds"][1],)] is not None
    assert kept[()] is None


def test_a_file_of_two_rides_stays_while_one_of_them_does(rider: Rider) -> None:
    both = gpx(60).replace(b"</gpx>", gpx(60, T0 + WEEK).removeprefix(b"<gpx>"))
    upload = send(rider, both)
    first, second = upload["workoutIds"]
    rider.client.delete(f"/api/workouts/{first}")
    assert files_of(rider)[upload["id"]]["bytes"] == both
    rider.client.delete(f"/api/workouts/{second}")
    assert files_of(rider)[upload["id"]]["file"] is None


def test_more_files_than_a_portion_are_all_in_it(rider: Rider, database: Database) -> None:
    with database.connection() as connection:
        connection.execute(
            "WITH sent AS (INSERT INTO uploads (user_id, size, sha256, status)"
            " SELECT %s, 1, sha256(n::text::bytea), 'failed' FROM generate_series(1, 120) AS n"
            " RETURNING id) INSERT INTO upload_files SELECT id, false, 'x' FROM sent",
            [rider.account.user_id],
        )
    assert [row["bytes"] for row in files_of(rider).values()] == [b"x"] * 120


def test_nothing_of_others_is_in_it(rider: Rider, make_rider: Any) -> None:
    theirs = send(make_rider(), gpx(60))
    assert files_of(rider) == {}
    assert theirs["id"] not in json.dumps(files_of(rider))


def test_an_export_without_the_end_of_an_original_is_no_zip_file(
    rider: Rider, database: Database
) -> None:
    """As when it is purged meanwhile."""
    upload = send(rider, gpx(60))
    with database.connection() as connection:
        connection.execute("UPDATE uploads SET size = size + 1 WHERE id = %s", [upload["id"]])
    with pytest.raises(httpx2.RemoteProtocolError):
        rider.client.get("/api/users/me/export")
