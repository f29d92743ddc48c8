"""The export: everything of one rider, nothing of anybody else, and never half of it unnoticed."""

import base64
import io
import json
import re
import zipfile
from typing import Any

import httpx2
import pytest

from api.app import OPERATIONS
from shared.connections import Database
from tests.api.answers import T0, problem_of, seconds_of
from tests.api.conftest import MakeKey, MakeToken
from tests.api.files.ride_files import gpx, send
from tests.api.webhooks.rows import make_webhook
from tests.conftest import Rider

EXPORT = "/api/users/me/export"
HOSTILE = [
    "../../etc/passwd",
    "/abs",
    "a\r\nb",
    '";x="',
    "=cmd|' /C calc'!A0",
    "\u202egpj.exe",
    "é" * 200,
]


def export_of(rider: Rider) -> zipfile.ZipFile:
    """The export, whole and sound."""
    response = rider.client.get(EXPORT)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(response.content))
    assert archive.testzip() is None
    assert len(set(archive.namelist())) == len(archive.namelist())
    return archive


def lines_of(archive: zipfile.ZipFile, name: str) -> list[Any]:
    return [json.loads(line) for line in archive.read(name).splitlines()]


def telemetry_of(archive: zipfile.ZipFile) -> dict[str, str]:
    """The samples of each ride, by its id."""
    names = [name for name in archive.namelist() if name.startswith("telemetry/")]
    assert all(re.fullmatch(r"telemetry/\d{4}-\d\d-\d\d-[0-9a-f-]{36}\.csv", one) for one in names)
    return {name[-40:-4]: archive.read(name).decode() for name in names}


@pytest.fixture
def well_used(rider: Rider) -> Rider:
    """A rider with something of everything, waiting and archived, whole and half."""
    rider.client.patch("/api/users/me", json={"displayName": "Zoë", "timeZone": "Asia/Tokyo"})
    rider.client.put("/api/users/me/thresholds", json={"effectiveFrom": "2020-01-01", "ftp": 250})
    rider.client.post("/api/keys", json={"name": "head unit", "scopes": ["upload"]})
    archived = rider.start(title="Archived", description="D")
    rider.upload(archived, [{**one, "lat": 47.1234567, "speed": 8.186} for one in _ten_minutes()])
    rider.complete(archived)
    half = rider.start(title="Half")
    rider.upload(half, seconds_of(200, 60))
    rider.complete(half)
    under_way = rider.start(title="Under way")
    rider.upload(under_way, [{"timestamp": T0, "heartrate": 120}, {"timestamp": T0 + 1, "lat": 1}])
    rider.client.post(f"/api/workouts/{rider.start()}/pause")
    send(rider, gpx(60, T0 + 10**9))
    make_webhook(rider, events=["upload.failed"])
    return rider


def _ten_minutes() -> list[dict[str, float]]:
    return seconds_of(230, 600, T0 + 10_000_000)


def test_apps_and_who_lets_them_in_are_what_the_api_answers(
    rider: Rider, make_app_token: MakeToken
) -> None:
    app, _ = make_app_token(rider, ["read"])
    archive = export_of(rider)
    for name, path in {"apps.json": "/api/apps", "connected.json": "/api/connections"}.items():
        assert json.loads(archive.read(name)) == rider.client.get(path).json()
        assert app in archive.read(name).decode()


def test_every_file_is_what_the_api_answers(well_used: Rider) -> None:
    archive, client = export_of(well_used), well_used.client
    for name, path in {
        "profile.json": "/api/users/me",
        "keys.json": "/api/keys",
        "webhooks.json": "/api/webhooks",
        "thresholds.json": "/api/users/me/thresholds?sport=all",
        "records.json": "/api/records?sport=all",
    }.items():
        content = json.loads(archive.read(name))
        answer = client.get(path).json()
        assert content == {member: answer[member] for member in content}, name
        assert all(content.values()), name
    listed = client.get("/api/workouts").json()["workouts"]
    workouts = [well_used.workout(workout["id"]) for workout in listed]
    assert lines_of(archive, "workouts.ndjson") == workouts
    assert [one["status"] for one in workouts].count("COMPLETED") == 3
    samples = telemetry_of(archive)
    assert list(samples) == [workout["id"] for workout in workouts]
    for workout in workouts:
        path = f"/api/workouts/{workout['id']}/telemetry?format=csv"
        assert samples[workout["id"]] == client.get(path).text
    assert max(len(text) for text in samples.values()) > 10_000


def test_the_readme_names_every_file(well_used: Rider) -> None:
    archive = export_of(well_used)
    readme = archive.read("README.txt").decode()
    files = {re.sub("/.*", "/", name) for name in archive.namelist()} - {"README.txt"}
    assert {
        line.split()[0] for line in readme.splitlines() if re.match(r"\S+\s{2,}", line)
    } == files
    paths = {operation.path for operation in OPERATIONS}
    assert set(re.findall(r"GET (/[\w/{}]+)", readme)) <= paths


def test_the_record_of_acts_is_in_it(rider: Rider) -> None:
    made = rider.client.post("/api/keys", json={"name": "a", "scopes": ["read"]}).json()["key"]
    rider.client.delete(f"/api/keys/{made['id']}")
    acts = lines_of(export_of(rider), "audit.ndjson")
    assert [act["action"] for act in acts][-2:] == ["create_key", "revoke_key"]
    assert acts[-1]["detail"] == {"key": made["id"]}
    assert acts[-1]["keyId"] == rider.account.api_key.split("_")[1]


def test_every_act_of_a_long_record_is_in_it(rider: Rider, database: Database) -> None:
    with database.connection() as connection:
        connection.execute(  # many at the very same moment
            "INSERT INTO audit_log (user_id, action)"
            " SELECT %s, n::text FROM generate_series(1, 2500) AS n",
            [rider.account.user_id],
        )
    acts = [act["action"] for act in lines_of(export_of(rider), "audit.ndjson")]
    assert acts[-2500:] == [str(n) for n in range(1, 2501)]
    assert len(set(acts)) == len(acts)


def test_who_has_no_rides_gets_an_export_too(rider: Rider) -> None:
    archive = export_of(rider)
    assert archive.read("workouts.ndjson") == b""
    assert telemetry_of(archive) == {}


def test_more_rides_than_a_page_are_all_in_it_in_their_order(
    rider: Rider, database: Database
) -> None:
    with database.connection() as connection:
        connection.execute(
            "INSERT INTO workouts (user_id, start_time, status)"
            " SELECT %s, now() - (n / 2) * interval '1 hour', 'COMPLETED'"
            " FROM generate_series(1, 120) AS n",
            [rider.account.user_id],
        )
    listed = [
        workout
        for page in (1, 2)
        for workout in rider.client.get(f"/api/workouts?limit=100&page={page}").json()["workouts"]
    ]
    archive = export_of(rider)
    lines = lines_of(archive, "workouts.ndjson")
    assert [line["id"] for line in lines] == [workout["id"] for workout in listed]
    assert list(telemetry_of(archive)) == [workout["id"] for workout in listed]
    assert len(listed) == 120


def test_a_ride_without_samples_has_an_empty_table(rider: Rider) -> None:
    workout = rider.start()
    assert telemetry_of(export_of(rider)) == {workout: "timestamp\n"}


def test_deleted_rides_are_not_in_it(rider: Rider) -> None:
    kept, deleted = rider.start(title="kept"), rider.start(title="deleted")
    rider.upload(deleted, seconds_of(333, 5))
    rider.client.delete(f"/api/workouts/{deleted}")
    archive = export_of(rider)
    assert [one["id"] for one in lines_of(archive, "workouts.ndjson")] == [kept]
    assert list(telemetry_of(archive)) == [kept]


def test_a_ride_under_way_is_in_it_with_what_still_waits(rider: Rider) -> None:
    workout = rider.start()
    rider.upload(workout, [{"timestamp": T0 + 1000, "power": 210}])
    rider.upload(workout, [{"timestamp": T0, "power": 200, "cadence": 90}])
    expected = f"timestamp,power,cadence\n{T0},200,90\n{T0 + 1000},210,\n"
    assert telemetry_of(export_of(rider)) == {workout: expected}


def test_no_secret_and_nothing_of_others_is_in_it(
    well_used: Rider, make_rider: Any, make_api_key: MakeKey, database: Database
) -> None:
    other = make_rider()
    theirs = other.start(title="of somebody else")
    other.upload(theirs, seconds_of(321, 5))
    keys = [well_used.account.api_key, make_api_key(well_used.account.user_id, session=True)]
    with database.connection() as connection:
        connection.execute(
            "UPDATE users SET password_hash = '$argon2id$secret' WHERE id = %s",
            [well_used.account.user_id],
        )
        hashes = connection.execute("SELECT hash FROM api_keys").fetchall()
    archive = export_of(well_used)
    everything = b"".join(archive.read(name) for name in archive.namelist())
    assert well_used.account.user_id.encode() in everything
    for secret in (*(key.split("_")[2].encode() for key in keys), b"argon2", b"password"):
        assert secret not in everything
    for row in hashes:
        for written in (bytes.hex, lambda raw: base64.b64encode(raw).decode()):
            assert written(row["hash"]).encode() not in everything
    for foreign in (other.account.user_id, other.account.email, theirs, "somebody else", ",321"):
        assert foreign.encode() not in everything


@pytest.mark.parametrize("title", HOSTILE)
def test_no_word_of_a_rider_gets_into_a_name(rider: Rider, title: str) -> None:
    rider.start(title=title, description=title, sport="x")
    response = rider.client.get(EXPORT)
    disposition = response.headers["content-disposition"]
    assert re.fullmatch(
        r'attachment; filename="bike-power-tracker-\d{4}-\d\d-\d\d\.zip"', disposition
    )
    archive = zipfile.ZipFile(io.BytesIO(response.content))
    assert lines_of(archive, "workouts.ndjson")[0]["title"] == title
    telemetry_of(archive)


def test_the_export_needs_the_scope_admin(
    rider: Rider, service: str, make_api_key: MakeKey
) -> None:
    key = make_api_key(rider.account.user_id, ["read", "upload"])
    problem_of(httpx2.get(service + EXPORT, headers={"X-API-Key": key}), 403)


def test_no_cache_keeps_it_and_its_head_has_no_body(rider: Rider) -> None:
    response = rider.client.head(EXPORT)
    assert response.status_code == 200
    assert response.content == b""
    assert response.headers["content-type"] == "application/zip"
    assert response.headers["cache-control"] == "private, no-store"


def test_one_export_may_follow_another(rider: Rider) -> None:
    assert export_of(rider).namelist() == export_of(rider).namelist()
