"""Requests that are repeated with their Idempotency-Key make nothing more."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Any
from uuid import uuid4

import httpx2
import psycopg
import pytest

from api.app import OPERATIONS
from shared.connections import Database
from tests.api.answers import eventually, problem_of
from tests.api.files.ride_files import OCTETS, ended, gpx
from tests.api.sessions import PASSWORD
from tests.conftest import Rider


@dataclass(frozen=True)
class Making:
    """A request that makes something, another one, and how many things there are after it."""

    path: str
    body: Any
    other: Any
    count: str

    def send(self, client: httpx2.Client, key: str, *, other: bool = False) -> httpx2.Response:
        body = self.other if other else self.body
        sent = {"content": body} if isinstance(body, bytes) else {"json": body}
        headers = {"Idempotency-Key": key, **(OCTETS if "content" in sent else {})}
        return client.post(self.path, **sent, headers=headers)


BY_USER = " WHERE user_id = %(user)s"
MAKING = {
    "create_workout": Making(
        "/api/workouts", {"title": "a"}, {"title": "b"}, "SELECT FROM workouts" + BY_USER
    ),
    "create_key": Making(
        "/api/keys",
        {"name": "a", "scopes": ["upload"]},
        {"name": "a", "scopes": ["read"]},
        "SELECT FROM api_keys" + BY_USER,
    ),
    "rotate_key": Making(
        "/api/keys/{key}/rotate", {}, {"overlap": 1}, "SELECT FROM api_keys" + BY_USER
    ),
    "register_app": Making(
        "/api/apps",
        {"name": "a", "redirectUris": ["https://app.example/"], "confidential": True},
        {"name": "b", "redirectUris": ["https://app.example/"], "confidential": True},
        "SELECT FROM apps" + BY_USER,
    ),
    "share_workout": Making(
        "/api/workouts/{id}/share",
        {"hideMetres": 500},
        {"hideMetres": 501},
        "SELECT FROM shares" + BY_USER,
    ),
    "share_with": Making(
        "/api/shares",
        {"email": "coach@example.com"},
        {"email": "other@example.com"},
        "SELECT FROM athlete_shares" + BY_USER,
    ),
    "create_webhook": Making(
        "/api/webhooks",
        {"url": "https://receiver.example/", "events": ["record.set"]},
        {"url": "https://receiver.example/", "events": ["upload.failed"]},
        "SELECT FROM webhooks" + BY_USER,
    ),
    "rotate_webhook_secret": Making(
        "/api/webhooks/{webhook}/rotate",
        {},
        {"overlap": 1},
        "SELECT FROM audit_log" + BY_USER + " AND action = 'rotate_webhook'",
    ),
    "send_file": Making(
        "/api/uploads",
        gpx(60, 1_600_000_000_000),
        gpx(61, 1_600_000_000_000),
        "SELECT FROM uploads" + BY_USER,
    ),
    "register": Making(
        "/api/users",
        {"password": PASSWORD},
        {"password": f"{PASSWORD}!"},
        "SELECT FROM users",
    ),
}
every_making = pytest.mark.parametrize("name", MAKING)
Count = Callable[[Making], int]


@pytest.fixture
def count(rider: Rider, database: Database) -> Count:
    """How many things of a kind there are."""

    def count_made(making: Making) -> int:
        with database.connection() as connection:
            query = making.count.encode()
            return connection.execute(query, {"user": rider.account.user_id}).rowcount

    return count_made


@pytest.fixture
def making(name: str, rider: Rider, unthrottled: None) -> Making:
    """The request, about a key and a workout of the rider's."""
    found = MAKING[name]
    made = rider.client.post("/api/keys", json={"name": "old", "scopes": ["read"]}).json()
    wanted = {"url": "https://receiver.example/", "events": ["record.set"]}
    webhook = rider.client.post("/api/webhooks", json=wanted).json()["webhook"]
    path = found.path.replace("{key}", made["key"]["id"]).replace("{id}", rider.start())
    path = path.replace("{webhook}", webhook["id"])
    if name != "register":
        return replace(found, path=path)
    email = f"{token_hex(6)}@example.com"
    return replace(found, body=found.body | {"email": email}, other=found.other | {"email": email})


def new_key() -> str:
    return str(uuid4())


def test_every_post_that_makes_something_takes_a_key() -> None:
    makes = {each.handler.__name__ for each in OPERATIONS if each.takes_key}
    assert makes == set(MAKING)
    assert {each.method for each in OPERATIONS if each.takes_key} == {"POST"}
    assert {each.handler.__name__ for each in OPERATIONS if each.makes} <= makes


@every_making
def test_a_request_that_is_repeated_makes_one_thing_and_gets_one_answer(
    rider: Rider, making: Making, count: Count
) -> None:
    before, key = count(making), new_key()
    first, second = making.send(rider.client, key), making.send(rider.client, f'"{key}"')
    assert first.is_success
    assert second.status_code == first.status_code
    assert second.headers.get("location") == first.headers.get("location")
    assert told(second) == told(first)
    assert count(making) == before + 1


def told(answer: httpx2.Response) -> Any:
    """The answer; of an upload, which it is: its state goes on."""
    members = answer.json()
    return members["upload"]["id"] if "upload" in members else members


@every_making
def test_a_key_is_good_for_one_request(rider: Rider, making: Making, count: Count) -> None:
    key = new_key()
    assert making.send(rider.client, key).is_success
    before = count(making)
    problem = problem_of(making.send(rider.client, key, other=True), 422)
    said = "this Idempotency-Key was used for another request; make a new one"
    assert problem["type"] == "/problems/idempotency-key-reused"
    assert problem["errors"] == [{"member": "Idempotency-Key", "detail": said}]
    assert count(making) == before


def test_a_key_is_good_for_one_operation(rider: Rider) -> None:
    key, workout = new_key(), rider.start()
    headers = {"Idempotency-Key": key}
    assert rider.client.post("/api/workouts", json={}, headers=headers).status_code == 201
    share = rider.client.post(f"/api/workouts/{workout}/share", json={}, headers=headers)
    problem_of(share, 422)


@pytest.mark.parametrize(
    "malformed", ["", "short", "x" * 15, "x" * 256, f'"{"x" * 20}', f"{'x' * 20} y", "ü" * 20]
)
def test_a_malformed_key_is_refused(rider: Rider, malformed: str) -> None:
    headers = [(b"Idempotency-Key", malformed.encode("latin-1"))]
    problem = problem_of(rider.client.post("/api/workouts", json={}, headers=headers), 400)
    assert problem["errors"][0]["member"] == "Idempotency-Key"
    assert problem["type"] == "/problems/idempotency-key-malformed"
    two = [("Idempotency-Key", new_key())] * 2
    problem_of(rider.client.post("/api/workouts", json={}, headers=two), 400)
    assert rider.client.get("/api/workouts").json()["pagination"]["total"] == 0


def test_the_keys_of_users_have_nothing_to_do_with_each_other(
    rider: Rider, make_rider: Callable[[], Rider]
) -> None:
    key, other = new_key(), make_rider()
    making = MAKING["create_key"]
    first, second = making.send(rider.client, key).json(), making.send(other.client, key).json()
    assert first["secret"] != second["secret"]
    assert other.client.get("/api/workouts", headers={"X-API-Key": second["secret"]}).is_error


def test_what_was_refused_is_decided_anew(rider: Rider) -> None:
    key, workout = new_key(), str(uuid4())
    headers, path = {"Idempotency-Key": key}, f"/api/workouts/{workout}/share"
    problem_of(rider.client.post(path, json={}, headers=headers), 404)
    rider.client.put(f"/api/workouts/{workout}", json={})
    assert rider.client.post(path, json={}, headers=headers).status_code == 201


@pytest.fixture
def held(rider: Rider, database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Keeps the rider from making rides, until its transaction is rolled back."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s::text, 7496053))",
            [rider.account.user_id],
        )
        yield connection


def test_a_key_whose_request_is_under_way_is_a_conflict(
    rider: Rider, held: psycopg.Connection[Any], database: Database
) -> None:
    key, making = new_key(), MAKING["create_workout"]
    with ThreadPoolExecutor() as pool:
        first = pool.submit(making.send, rider.client, key)
        eventually(lambda: waits(database))
        answer = making.send(rider.client, key)
        held.rollback()
        assert first.result().status_code == 201
    problem = problem_of(answer, 409)
    assert problem["type"] == "/problems/idempotency-key-in-use"
    assert problem["errors"][0]["member"] == "Idempotency-Key"
    assert answer.headers["retry-after"] == "1"
    assert making.send(rider.client, key).json() == first.result().json()


def waits(database: Database) -> bool:
    with database.connection() as connection:
        waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
        return connection.execute(waiting).rowcount > 0


def test_a_repeated_registration_costs_no_attempt(api: str, urls: dict[str, str]) -> None:
    """Thirty an hour may register from an address, and its password is hashed once."""
    body = {"email": f"{token_hex(6)}@example.com", "password": PASSWORD}
    headers = {"Idempotency-Key": new_key()}
    with httpx2.Client(base_url=api, timeout=30) as client:
        answers = {client.post("/api/users", json=body, headers=headers).content for _ in range(32)}
    assert len(answers) == 1


def test_a_file_that_is_sent_again_with_its_key_is_no_duplicate_of_itself(rider: Rider) -> None:
    key, making = new_key(), MAKING["send_file"]
    upload = ended(rider, making.send(rider.client, key).json()["upload"]["id"])
    assert upload["status"] == "done"
    again = making.send(rider.client, key)
    assert (again.status_code, again.json()["upload"]) == (202, upload)
    assert making.send(rider.client, new_key()).status_code == 409


def test_however_long_somebody_waits_it_is_the_same_file(rider: Rider) -> None:
    making, headers = MAKING["send_file"], {"Idempotency-Key": new_key(), **OCTETS}
    sent = [
        rider.client.post("/api/uploads", content=making.body, headers=headers | more, params=query)
        for more, query in (
            ({}, {}),
            ({}, {"wait": "0.01"}),
            ({"Prefer": "wait=1"}, {}),
            ({"Prefer": "wait=1"}, {"wait": "0"}),
        )
    ]
    assert len({each.json()["upload"]["id"] for each in sent}) == 1
    named = rider.client.post("/api/uploads?title=x", content=making.body, headers=headers)
    problem_of(named, 422)


@pytest.mark.parametrize(
    ("path", "first", "second"),
    [
        (
            "/api/keys",
            {"name": "a", "scopes": ["upload", "read"]},
            {"scopes": ["read", "upload", "read"], "name": "a", "expiresAt": None},
        ),
        (
            "/api/workouts",
            {"startTime": "2024-05-01T10:00:00+02:00"},
            {"startTime": "2024-05-01T08:00:00Z", "sport": "cycling"},
        ),
    ],
)
def test_what_is_written_in_another_way_is_the_same_request(
    rider: Rider, path: str, first: dict[str, Any], second: dict[str, Any]
) -> None:
    headers = {"Idempotency-Key": new_key()}
    answers = [rider.client.post(path, json=each, headers=headers) for each in (first, second)]
    assert [each.status_code for each in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()


@pytest.mark.parametrize(
    "name",
    [
        *("create_key", "rotate_key", "share_workout", "register_app"),
        *("create_webhook", "rotate_webhook_secret"),
    ],
)
def test_no_secret_is_given_out_again_that_opens_nothing_any_more(
    rider: Rider, making: Making
) -> None:
    key = new_key()
    made = making.send(rider.client, key).json()
    kind = next(each for each in ("key", "share", "webhook", "app") if each in made)
    path = f"/api/{kind}s/{made[kind]['id']}"
    assert rider.client.delete(path).is_success
    answer = making.send(rider.client, key)
    problem = problem_of(answer, 409)
    assert problem["type"] == "/problems/revoked-since"
    [secret] = {made[each] for each in ("secret", "token", "clientSecret") if each in made}
    assert secret not in answer.text


def test_a_key_that_was_rotated_since_is_shown_as_it_is_now(rider: Rider) -> None:
    key, making = new_key(), MAKING["create_key"]
    made = making.send(rider.client, key).json()
    rider.client.post(f"/api/keys/{made['key']['id']}/rotate", json={"overlap": 3600})
    again = making.send(rider.client, key).json()
    assert again["secret"] == made["secret"]
    assert again["key"]["revokedAt"] is not None


def test_nothing_that_is_kept_opens_anything_without_the_key(
    rider: Rider, database: Database
) -> None:
    key = new_key()
    made = MAKING["create_key"].send(rider.client, key).json()
    with database.connection() as connection:
        rows = connection.execute(
            "SELECT * FROM idempotency_keys WHERE user_id = %s", [rider.account.user_id]
        ).fetchall()
    [row] = rows
    for secret in (key, made["secret"], made["secret"].split("_")[2]):
        assert secret not in str(row)
        assert secret.encode() not in row["answer"] + row["hash"] + row["fingerprint"]


def test_a_day_later_the_key_makes_something_new(rider: Rider, database: Database) -> None:
    key, making = new_key(), MAKING["create_workout"]
    first = making.send(rider.client, key).json()
    with database.connection() as connection:
        connection.execute(
            "UPDATE idempotency_keys SET created_at = now() - interval '1 day' WHERE user_id = %s",
            [rider.account.user_id],
        )
    second = making.send(rider.client, key).json()
    assert second["workout"]["id"] != first["workout"]["id"]
    assert making.send(rider.client, key).json() == second
