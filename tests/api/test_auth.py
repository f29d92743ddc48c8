"""Who may do what: API keys in every state, and the rows of other users."""

import asyncio
import itertools
from typing import Any
from uuid import uuid4

import httpx
import pytest
from starlette.requests import Request

from api.auth import REVOCATION_BOUND, Authenticator
from api.operations import OPERATIONS, Operation
from shared.connections import Database, open_async_database
from shared.credentials import SCOPES, make_key
from shared.settings import Settings
from tests.api.answers import T0, eventually, problem_of
from tests.api.conftest import MakeKey
from tests.conftest import Rider

GUARDED = [operation for operation in OPERATIONS if operation.scope]
OF_ONE_WORKOUT = [operation for operation in GUARDED if "{id}" in operation.path]
every_guarded = pytest.mark.parametrize(
    "operation", GUARDED, ids=lambda one: f"{one.method} {one.path}"
)
every_of_one_workout = pytest.mark.parametrize(
    "operation", OF_ONE_WORKOUT, ids=lambda one: f"{one.method} {one.path}"
)


BODIES: dict[str, Any] = {  # where an empty object is not enough
    "upload_telemetry": [{"timestamp": T0}],
    "put_thresholds": {"effectiveFrom": "2024-01-01", "ftp": 250},
    "create_key": {"name": "test", "scopes": ["read"]},
}


def call(
    service: str,
    operation: Operation,
    workout_id: str = str(uuid4()),
    key_id: str = "0" * 16,
    **headers: str,
) -> httpx.Response:
    """A call that a key with the scope could make."""
    body = BODIES.get(operation.handler.__name__, {}) if operation.body else None
    path = operation.path.replace("{id}", workout_id).replace("{key}", key_id)
    return httpx.request(operation.method, service + path, json=body, headers=headers)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_bearer_key_opens(rider: Rider, service: str, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {rider.account.api_key}"}
    assert httpx.get(f"{service}/api/workouts", headers=headers).status_code == 200


def test_an_x_api_key_opens(rider: Rider, service: str) -> None:
    headers = {"X-API-Key": rider.account.api_key}
    assert httpx.get(f"{service}/api/workouts", headers=headers).status_code == 200


@every_guarded
def test_nothing_opens_without_a_key(service: str, operation: Operation) -> None:
    response = call(service, operation)
    problem_of(response, 401)
    assert response.headers["www-authenticate"] == 'Bearer realm="bike-power-tracker"'


def wrong_keys(key: str) -> list[dict[str, str]]:
    key_id = key.split("_")[1]
    return [
        {"X-API-Key": ""},
        {"X-API-Key": "secret"},
        {"X-API-Key": key[:-1]},
        {"X-API-Key": make_key().text},
        {"X-API-Key": f"bpt_{key_id}_{'0' * 64}"},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {key}"},
        {"Authorization": f"Bearer {make_key().text}", "X-API-Key": key},
        {"Authorization": "Bearer \xe9"},
    ]


@pytest.mark.parametrize("nth", range(9))
def test_a_key_that_is_not_right_to_the_letter_is_401(rider: Rider, service: str, nth: int) -> None:
    wrong = wrong_keys(rider.account.api_key)[nth]
    headers = [(name.encode(), text.encode("latin-1")) for name, text in wrong.items()]
    response = httpx.get(f"{service}/api/workouts", headers=headers)
    problem_of(response, 401)
    assert response.headers["www-authenticate"].startswith("Bearer")


def status_with(service: str, key: str) -> int:
    return httpx.get(f"{service}/api/workouts", headers={"X-API-Key": key}).status_code


def test_a_key_opens_until_it_expires(rider: Rider, service: str, make_api_key: MakeKey) -> None:
    user = rider.account.user_id
    assert status_with(service, make_api_key(user, expires="1 hour")) == 200
    assert status_with(service, make_api_key(user, expires="-1 second")) == 401


def test_a_key_that_expires_while_remembered_opens_no_more(
    rider: Rider, service: str, make_api_key: MakeKey, database: Database
) -> None:
    key = make_api_key(rider.account.user_id, expires="2 seconds")
    assert status_with(service, key) == 200

    def has_expired() -> bool:
        with database.connection() as connection:
            query = "SELECT expires_at < clock_timestamp() AS expired FROM api_keys WHERE id = %s"
            row = connection.execute(query, [key.split("_")[1]]).fetchone()
        return row is not None and bool(row["expired"])

    eventually(has_expired)
    assert status_with(service, key) == 401


def test_a_revoked_key_is_401(rider: Rider, service: str, make_api_key: MakeKey) -> None:
    assert status_with(service, make_api_key(rider.account.user_id, revoked="0")) == 401


def test_a_key_revoked_while_remembered_is_refused_within_five_seconds(
    rider: Rider, service: str, make_api_key: MakeKey, database: Database
) -> None:
    key = make_api_key(rider.account.user_id)
    assert status_with(service, key) == 200
    with database.connection() as connection:
        query = "UPDATE api_keys SET revoked_at = now() WHERE id = %s"
        connection.execute(query, [key.split("_")[1]])
    assert REVOCATION_BOUND <= 5
    eventually(lambda: status_with(service, key) == 401, timeout=2 * REVOCATION_BOUND)


@every_guarded
def test_a_key_that_lacks_the_scope_is_403(
    rider: Rider, service: str, make_api_key: MakeKey, operation: Operation
) -> None:
    workout = rider.start()
    others = [scope for scope in SCOPES if scope != operation.scope]
    key = make_api_key(rider.account.user_id, others)
    problem = problem_of(call(service, operation, workout, **{"X-API-Key": key}), 403)
    assert f"`{operation.scope}`" in problem["detail"]


@every_guarded
def test_a_key_with_just_the_scope_may_do_it(
    rider: Rider, service: str, make_api_key: MakeKey, operation: Operation
) -> None:
    key, other = (
        make_api_key(rider.account.user_id, [str(operation.scope)]),
        make_api_key(rider.account.user_id),
    )
    response = call(service, operation, rider.start(), other.split("_")[1], **{"X-API-Key": key})
    assert response.is_success or response.status_code == 409  # resume: it was not paused


@every_of_one_workout
def test_anothers_workout_is_as_absent_as_one_that_never_was(
    rider: Rider, make_rider: Any, service: str, operation: Operation
) -> None:
    theirs = make_rider()
    workout = theirs.start(title="private")
    theirs.upload(workout, [{"timestamp": T0, "power": 210}])
    before = (theirs.workout(workout), theirs.workout(workout, includeTelemetry="true"))

    absent = [workout, str(uuid4()), "not-an-id", "0", "%00", f"{uuid4()}x"]
    answers = [
        call(service, operation, name, **{"X-API-Key": rider.account.api_key}) for name in absent
    ]
    for answer in answers:
        problem_of(answer, 404)
    assert len({answer.content for answer in answers}) == 1
    unlike = [answer.headers.multi_items() for answer in answers]
    assert len({str([pair for pair in pairs if pair[0] != "date"]) for pairs in unlike}) == 1
    after = (theirs.workout(workout), theirs.workout(workout, includeTelemetry="true"))
    assert after == before


def test_nobody_elses_workouts_are_listed(rider: Rider, make_rider: Any) -> None:
    theirs = make_rider()
    theirs.start(title="private")
    mine = rider.start(title="private")
    for query in ({}, {"q": "private"}, {"page": "2", "limit": "1"}):
        listed = rider.client.get("/api/workouts", params=query).json()
        assert [one["id"] for one in listed["workouts"]] in ([mine], [])
        assert listed["pagination"]["total"] == 1


def test_every_operation_on_a_workout_was_tried() -> None:
    assert len(OF_ONE_WORKOUT) >= 9
    assert {operation.path for operation in OPERATIONS if operation.scope is None} == {
        "/health",
        "/health/live",
        "/health/ready",
    }


def test_the_use_of_keys_is_noted_in_one_go(rider: Rider, settings: Settings) -> None:
    def request() -> Request[Any]:
        header = (b"x-api-key", rider.account.api_key.encode())
        return Request({"type": "http", "headers": [header]})

    async def use_and_note() -> list[Any]:
        async with open_async_database(settings) as database:
            authenticator = Authenticator(database)

            async def last_used() -> Any:
                async with database.connection() as connection:
                    cursor = await connection.execute(
                        "SELECT last_used_at FROM api_keys WHERE user_id = %s",
                        [rider.account.user_id],
                    )
                    row = await cursor.fetchone()
                    return row and row["last_used_at"]

            caller = await authenticator.authenticate(request(), "read")
            assert str(caller.user_id) == rider.account.user_id
            seen = [await last_used()]
            await authenticator.note_use()
            seen.append(await last_used())
            await authenticator.note_use()
            seen.append(await last_used())
            return seen

    before, noted, again = asyncio.run(use_and_note())
    assert before is None
    assert noted is not None
    assert noted == again  # nothing was used in between


def test_a_scope_that_is_no_scope_cannot_be_stored(rider: Rider, make_api_key: MakeKey) -> None:
    for scopes in itertools.chain(itertools.combinations(SCOPES, 2), [()]):
        make_api_key(rider.account.user_id, list(scopes))
    with pytest.raises(Exception, match="api_keys_scopes_check"):
        make_api_key(rider.account.user_id, ["root"])
