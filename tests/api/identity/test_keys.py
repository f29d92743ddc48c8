"""Keys over HTTP: made, listed, rotated, revoked; each seen by its owner alone."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from api.identity.keys import MOST_KEYS
from api.identity.throttle import MOST_NEW_KEYS
from shared.connections import Database
from shared.credentials import key_id_of
from tests.api.answers import T0, eventually, problem_of
from tests.conftest import Rider


def create(rider: Rider, **members: object) -> dict[str, Any]:
    response = rider.client.post(
        "/api/keys", json={"name": "head unit", "scopes": ["upload"], **members}
    )
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


def listed(rider: Rider) -> dict[str, dict[str, Any]]:
    return {key["id"]: key for key in rider.client.get("/api/keys").json()["keys"]}


def opens(service: str, secret: str, scope: str = "read") -> bool:
    path = {"read": "/api/workouts", "admin": "/api/keys"}[scope]
    return httpx2.get(service + path, headers={"X-API-Key": secret}).is_success


def test_a_key_is_shown_whole_once_and_then_only_by_its_id(rider: Rider) -> None:
    response = rider.client.post("/api/keys", json={"name": "watch", "scopes": ["read"]})
    assert response.headers["cache-control"] == "private, no-store"
    made = response.json()
    assert key_id_of(made["secret"]) == made["key"]["id"]
    key = listed(rider)[made["key"]["id"]]
    assert (key["name"], key["scopes"], key["expiresAt"]) == ("watch", ["read"], None)
    assert made["secret"].split("_")[2] not in rider.client.get("/api/keys").text


def test_a_key_for_uploads_uploads_and_does_nothing_else(rider: Rider, service: str) -> None:
    headers = {"X-API-Key": create(rider)["secret"]}
    workout = rider.start()
    path = f"{service}/api/workouts/{workout}"
    samples = [{"timestamp": T0, "power": 200}]
    assert httpx2.post(f"{path}/telemetry", json=samples, headers=headers).status_code == 202
    for method, target in [
        ("GET", path),
        ("DELETE", path),
        ("GET", f"{service}/api/keys"),
        ("POST", f"{service}/api/keys"),
    ]:
        problem_of(httpx2.request(method, target, headers=headers), 403)


def test_a_key_opens_until_it_expires(rider: Rider, service: str) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    made = create(rider, scopes=["read"], expiresAt=soon.isoformat())
    assert opens(service, made["secret"])
    eventually(lambda: not opens(service, made["secret"]))
    assert made["key"]["id"] not in listed(rider)


@pytest.mark.parametrize(
    "members",
    [
        {"name": ""},
        {"name": "x" * 101},
        {"name": "a\0b"},
        {"scopes": []},
        {"scopes": ["root"]},
        {"expiresAt": "2020-01-01T00:00:00Z"},
        {"expiresAt": "2030-01-01T00:00:00"},
        {"expiresAt": "9999-01-01T00:00:00Z"},
    ],
)
def test_a_key_that_makes_no_sense_is_refused(rider: Rider, members: dict[str, object]) -> None:
    before = listed(rider)
    response = rider.client.post("/api/keys", json={"name": "watch", "scopes": ["read"], **members})
    assert response.status_code in (400, 422)
    assert listed(rider) == before


def test_a_revoked_key_is_refused_within_five_seconds(rider: Rider, service: str) -> None:
    made = create(rider, scopes=["read"])
    assert opens(service, made["secret"])
    assert rider.client.delete(f"/api/keys/{made['key']['id']}").json() == {"success": True}
    eventually(lambda: not opens(service, made["secret"]), timeout=10)
    problem_of(rider.client.delete(f"/api/keys/{made['key']['id']}"), 404)
    assert made["key"]["id"] not in listed(rider)


def test_a_rotated_key_opens_beside_the_new_one_for_the_overlap(rider: Rider, service: str) -> None:
    old = create(rider, scopes=["read"], name="watch")
    path = f"/api/keys/{old['key']['id']}/rotate"
    new = rider.client.post(path, json={"overlap": 3}).json()
    assert (new["key"]["name"], new["key"]["scopes"]) == ("watch", ["read"])
    assert opens(service, old["secret"])
    assert opens(service, new["secret"])
    assert listed(rider)[old["key"]["id"]]["revokedAt"] is not None
    eventually(lambda: not opens(service, old["secret"]), timeout=10)
    assert opens(service, new["secret"])
    problem_of(rider.client.post(path, json={}), 404)


def test_a_key_may_be_rotated_at_once(rider: Rider, service: str) -> None:
    old = create(rider, scopes=["read"])
    rider.client.post(f"/api/keys/{old['key']['id']}/rotate", json={"overlap": 0})
    eventually(lambda: not opens(service, old["secret"]), timeout=10)


def test_nobody_sees_or_ends_anothers_keys(rider: Rider, make_rider: Callable[[], Rider]) -> None:
    theirs = create(make_rider())["key"]["id"]
    assert theirs not in listed(rider)
    keys = (theirs, "0" * 16, str(uuid4()), "%00")
    answers = [rider.client.delete(f"/api/keys/{key}") for key in keys]
    answers += [rider.client.post(f"/api/keys/{key}/rotate", json={}) for key in keys]
    for answer in answers:
        problem_of(answer, 404)
    assert len({answer.content for answer in answers}) == 1


def test_keys_are_bounded(rider: Rider, database: Database) -> None:
    with database.connection() as connection:
        connection.execute(
            """INSERT INTO api_keys (id, user_id, hash, name, scopes)
               SELECT left(md5(random()::text), 16), %s, sha256(n::text::bytea), 'k', '{read}'
               FROM generate_series(1, %s) AS n""",
            [rider.account.user_id, MOST_KEYS - 1],
        )
    problem = problem_of(
        rider.client.post("/api/keys", json={"name": "one too many", "scopes": ["read"]}), 409
    )
    assert "revoke one" in problem["detail"]
    own = key_id_of(rider.account.api_key)
    problem_of(rider.client.post(f"/api/keys/{own}/rotate", json={"overlap": 60}), 409)


def test_who_makes_keys_all_the_time_has_to_wait(rider: Rider) -> None:
    """Attempts count, as logins do."""
    for _ in range(MOST_NEW_KEYS):
        answer = rider.client.post(f"/api/keys/{'0' * 16}/rotate", json={})
        assert answer.status_code == 404
    refused = rider.client.post("/api/keys", json={"name": "one more", "scopes": ["read"]})
    problem_of(refused, 429)
    assert 0 < int(refused.headers["retry-after"]) <= 3600


def test_what_is_done_to_keys_is_on_record(rider: Rider, database: Database) -> None:
    made = create(rider)["key"]["id"]
    rotated = rider.client.post(f"/api/keys/{made}/rotate", json={}).json()["key"]["id"]
    rider.client.delete(f"/api/keys/{rotated}")
    with database.connection() as connection:
        rows = connection.execute(
            "SELECT action, detail ->> 'key' AS key, key_id FROM audit_log"
            " WHERE user_id = %s AND key_id IS NOT NULL ORDER BY id",
            [rider.account.user_id],
        ).fetchall()
    done = [(row["action"], row["key"]) for row in rows]
    assert done == [("create_key", made), ("rotate_key", rotated), ("revoke_key", rotated)]
    assert {row["key_id"] for row in rows} == {key_id_of(rider.account.api_key)}
