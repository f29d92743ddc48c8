"""Deletion of an account: shut at once, gone within a day, and nobody else's rides with it."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx2
import pytest

from api.identity.auth import OUTAGE_BOUND, REVOCATION_BOUND
from shared.connections import Database, Redis, open_redis
from shared.redis_keys import SEALED_FOR
from shared.settings import Settings, read_settings
from shared.sql import load_queries
from tests.api.answers import eventually, seconds_of
from tests.api.conftest import MakeKey
from tests.api.files.ride_files import gpx, imported
from tests.conftest import Rider
from worker.jobs.sweep import Sweeper

ME = "/api/users/me"
DEVICE = {"name": "head unit", "scopes": ["upload"]}
MakeRider = Callable[[], Rider]
LATE: float = 2 * 3600  # seconds from the deletion to the purge


@pytest.fixture
def service_settings(urls: Mapping[str, str]) -> Settings:
    return read_settings(urls)


@pytest.fixture
def streams(service_settings: Settings) -> Iterator[Redis]:
    """The Redis that the service uses."""
    with open_redis(service_settings) as client:
        yield client


@pytest.fixture
def purge(database: Database, streams: Redis, service_settings: Settings) -> Callable[[str], None]:
    """Lets two hours pass since a user was deleted, and sweeps until it is gone."""

    def until_gone(user_id: str) -> None:
        sweeper = Sweeper(database, streams, service_settings)
        with database.connection() as connection:
            late = "UPDATE users SET deleted_at = now() - make_interval(secs => %s) WHERE id = %s"
            connection.execute(late, [LATE + 1, user_id])

        def is_gone() -> bool:
            sweeper.sweep()  # or the service's own worker does
            return tables_naming(database, user_id) <= {"audit_log"}

        eventually(is_gone)

    return until_gone


@pytest.fixture
def delete(service: str, make_api_key: MakeKey) -> Callable[[Rider], None]:
    """Deletes a rider's account, as one who has just logged in."""

    def delete_account(rider: Rider) -> None:
        key = make_api_key(rider.account.user_id, session=True)
        answer = httpx2.delete(service + ME, headers={"X-API-Key": key})
        assert (answer.status_code, answer.json()) == (202, {"success": True})
        assert status_with(service, key) == 401

    return delete_account


Delete = Callable[[Rider], None]
Purge = Callable[[str], None]


def status_with(service: str, key: str) -> int:
    return httpx2.get(service + ME, headers={"X-API-Key": key}).status_code


def tables_naming(database: Database, text: str) -> set[str]:
    """Every table with a row in any column of which the text occurs."""
    with database.connection() as connection:
        names = [
            row["table_name"]
            for row in connection.execute(
                "SELECT table_name FROM information_schema.tables"
                " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
            )
        ]
        assert {"users", "workouts", "dead_letters", "audit_log"} <= set(names)
        return {
            name
            for name in names
            if connection.execute(
                f'SELECT 1 FROM "{name}" AS t WHERE strpos(t::text, %s) > 0 LIMIT 1'.encode(),
                [text],
            ).fetchone()
        }


def ride_everything(rider: Rider) -> list[str]:
    """Rides in every state, with thresholds, records and samples that wait."""
    rider.client.patch(ME, json={"displayName": "Zoë", "timeZone": "Asia/Tokyo"})
    rider.client.put(f"{ME}/thresholds", json={"effectiveFrom": "2020-01-01", "weight": 61})
    rider.client.post("/api/keys", json=DEVICE, headers={"Idempotency-Key": "of-" + "x" * 16})
    completed, under_way, deleted = rider.start(title="done"), rider.start(), rider.start()
    rider.upload(completed, seconds_of(230, 600))
    rider.complete(completed)
    rider.upload(under_way, seconds_of(200, 60))
    rider.upload(deleted, seconds_of(200, 60))
    rider.client.delete(f"/api/workouts/{deleted}")
    return [completed, under_way, deleted, imported(rider, gpx(60, 1_600_000_000_000))]


def everything_of(rider: Rider, workouts: list[str]) -> list[Any]:
    paths = [ME, f"{ME}/thresholds", "/api/records", "/api/workouts", "/api/power-curve"]
    paths += [f"/api/workouts/{workout}/telemetry" for workout in workouts]
    me, *others = [rider.client.get(path).json() for path in paths]
    assert me["storage"].pop("samples") >= 0  # of them more are archived at some time
    return [me, *others]


def test_every_key_of_a_deleted_account_is_shut_at_once(
    rider: Rider, make_rider: MakeRider, service: str, make_api_key: MakeKey, delete: Delete
) -> None:
    other = make_rider().account.api_key
    keys = [make_api_key(rider.account.user_id) for _ in range(3)] + [rider.account.api_key]
    assert [status_with(service, key) for key in (*keys, other)] == [200] * 5  # remembered
    delete(rider)
    assert [status_with(service, key) for key in keys] == [401] * 4
    assert status_with(service, other) == 200


def delete_elsewhere(database: Database, rider: Rider) -> None:
    """What another API process does."""
    queries = load_queries("users")
    with database.connection() as connection:
        for query in ("delete_user", "delete_keys"):
            connection.execute(queries[query], {"user_id": rider.account.user_id})


def test_an_account_deleted_by_another_process_is_shut_within_five_seconds(
    rider: Rider, service: str, database: Database
) -> None:
    key = rider.account.api_key
    assert status_with(service, key) == 200
    delete_elsewhere(database, rider)
    eventually(lambda: status_with(service, key) == 401, timeout=2 * REVOCATION_BOUND)


def test_at_once_the_row_tells_nothing_and_the_address_is_free_for_a_new_account(
    service: str, database: Database
) -> None:
    email, password = f"{secrets.token_hex(6)}@example.com", "correct horse"
    person = {"email": email, "password": password, "displayName": "Zoë Müller"}
    old = httpx2.post(f"{service}/api/users", json=person).json()["user"]
    logged_in = httpx2.post(f"{service}/api/sessions", json={"email": email, "password": password})
    headers = {"X-API-Key": logged_in.json()["secret"]}
    avatar = {"avatarUrl": "https://example.com/z.png", "timeZone": "Asia/Tokyo"}
    assert httpx2.patch(service + ME, json=avatar, headers=headers).is_success
    httpx2.post(f"{service}/api/workouts", json={"title": "mine"}, headers=headers)
    assert httpx2.delete(service + ME, headers=headers).status_code == 202

    for word in (email, "Zoë", "z.png", "argon2"):
        with database.connection() as connection:
            row = connection.execute(
                "SELECT 1 FROM users AS t WHERE id = %s AND strpos(t::text, %s) > 0",
                [old["id"], word],
            ).fetchone()
        assert row is None, word
    again = {"email": email, "password": password}
    assert httpx2.post(f"{service}/api/sessions", json=again).status_code == 401
    new = httpx2.post(
        f"{service}/api/users", json={"email": email.upper(), "password": "another 1"}
    )
    assert new.status_code == 201
    assert new.json()["user"]["id"] != old["id"]
    again["password"] = "another 1"
    opened = httpx2.post(f"{service}/api/sessions", json=again).json()
    empty = httpx2.get(f"{service}/api/workouts", headers={"X-API-Key": opened["secret"]}).json()
    assert empty["workouts"] == []


def test_nothing_of_a_deleted_account_is_left_and_all_of_others(
    rider: Rider,
    make_rider: MakeRider,
    delete: Delete,
    purge: Purge,
    database: Database,
    streams: Redis,
) -> None:
    other = make_rider()
    theirs, mine = ride_everything(other), ride_everything(rider)
    before = everything_of(other, theirs[:2])
    delete(rider)
    purge(rider.account.user_id)
    assert tables_naming(database, rider.account.user_id) == {"audit_log"}
    assert tables_naming(database, rider.account.email) == set()
    for workout in mine:
        assert tables_naming(database, workout) == set()
        left = streams.keys(f"{{w:{workout}}}:*")
        assert left == [f"{{w:{workout}}}:sealed".encode()]  # no process takes any more
        assert 0 < streams.ttl(left[0]) <= SEALED_FOR
    assert everything_of(other, theirs[:2]) == before
    assert other.upload(theirs[1], seconds_of(210, 60)).status_code == 202


def test_the_files_of_a_deleted_account_are_gone_at_once(
    rider: Rider, delete: Delete, database: Database
) -> None:
    imported(rider, gpx(60))
    kept = (
        "SELECT count(*) AS files FROM upload_files JOIN uploads ON uploads.id = upload_id"
        " WHERE user_id = %s"
    )
    delete(rider)
    with database.connection() as connection:
        assert connection.execute(kept, [rider.account.user_id]).fetchone() == {"files": 0}


def test_what_is_uploaded_by_a_key_still_remembered_is_gone_with_the_rest(
    rider: Rider, purge: Purge, database: Database, streams: Redis
) -> None:
    under_way, over = rider.start(), rider.start()
    for workout in (under_way, over):
        assert rider.upload(workout, seconds_of(200, 5)).status_code == 202
    delete_elsewhere(database, rider)  # key and rides are remembered here
    assert rider.upload(under_way, seconds_of(210, 5)).status_code == 202
    assert rider.client.post(f"/api/workouts/{over}/complete").status_code in (202, 401)
    assert streams.xlen(f"{{w:{under_way}}}:samples") == 2
    purge(rider.account.user_id)
    for workout in (under_way, over):
        assert not streams.exists(f"{{w:{workout}}}:samples")
        assert tables_naming(database, workout) == set()


def test_an_account_is_purged_only_once_no_process_remembers_its_keys(
    rider: Rider, delete: Delete, database: Database, streams: Redis, service_settings: Settings
) -> None:
    """Not even one whose questions PostgreSQL has not answered since."""
    assert LATE > OUTAGE_BOUND + 600
    workout = rider.start()
    delete(rider)
    with database.connection() as connection:
        early = "UPDATE users SET deleted_at = now() - make_interval(secs => %s) WHERE id = %s"
        connection.execute(early, [LATE - 600, rider.account.user_id])
    Sweeper(database, streams, service_settings).sweep()
    assert "workouts" in tables_naming(database, workout)
    assert "users" in tables_naming(database, rider.account.user_id)


def test_a_key_is_no_proof_of_who_deletes(rider: Rider) -> None:
    assert rider.client.delete(ME).status_code == 403
    assert rider.client.get(ME).status_code == 200
