"""Who may do what: API keys in every state, and the rows of other users."""

import asyncio
import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import Any, cast
from uuid import uuid4
from zipfile import ZipFile

import httpx2
import pytest
from starlette.requests import Request

from api.app import SUBJECTS
from api.identity.auth import REVOCATION_BOUND, Authenticator
from api.web.openapi import document
from api.web.problems import Unauthorized
from shared.connections import AsyncDatabase, Database, open_async_database
from shared.credentials import SCOPES, make_key
from shared.settings import Settings
from tests.api.answers import T0, eventually, problem_of, seconds_of
from tests.api.conftest import MakeKey, MakeToken
from tests.api.files.ride_files import send
from tests.api.webhooks.rows import make_webhook, write_delivery
from tests.conftest import Rider

BODIES: dict[str, Any] = {  # by operation, where an empty object is not enough
    "upload_telemetry": [{"timestamp": T0}],
    "put_thresholds": {"effectiveFrom": "2024-01-01", "ftp": 250},
    "create_key": {"name": "test", "scopes": ["read"]},
    "change_password": {"password": "correct horse"},
    "add_laps": {"laps": [{"end": T0}]},
    "send_file": {"samples": []},
    "put_places": {"places": []},
    "share_with": {"email": "coach@example.com"},
    "crop_workout": {"to": "2024-01-01T00:00:00Z"},
    "create_webhook": {"url": "https://receiver.example/", "events": ["record.set"]},
    "register_app": {"name": "test", "redirectUris": ["https://app.example/done"]},
}
QUERIES = {"remove_telemetry": {"from": "2024-01-01"}}
NEEDS_SESSION = {"log_out", "change_password", "delete_account"}
# What a token of an app does not open, though it has the scope: it is not of the app's own user.
NOT_FOR_APPS = {"list_athletes"}
BEARER = 'Bearer realm="bike-power-tracker"'
# Operations that need no key.
OPEN = {"GET /health", "GET /health/live", "GET /health/ready"}
OPEN |= {"POST /api/sessions", "POST /api/users", "GET /api/sign-in"}
OPEN |= {
    f"GET /api/shared/{{token}}{rest}"
    for rest in ("", "/chart", "/power-curve", "/telemetry", "/live", "/card.svg")
}
OPEN |= {"GET /api/sign-in/{provider}", "GET /api/sign-in/{provider}/callback"}
# Answers that go on for as long as the ride does.
STREAMS = {"GET /api/workouts/{id}/live"}
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"}
DOCUMENT = document(SUBJECTS, "1")


@dataclass(frozen=True)
class Described:
    """An operation as the document has it, and what a call of it has in the query besides."""

    method: str
    path: str
    content: Mapping[str, Any]
    query: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def scopes(self) -> set[str]:
        """Those of which each is enough."""
        return {scope for each in self.content["security"] for scope in each.get("bearer", ())}

    @property
    def scope(self) -> str:
        """What a key must allow."""
        [scope] = self.content["security"][0]["bearer"]
        return str(scope)

    @property
    def body(self) -> Any:
        """A body that is accepted; None where none is taken."""
        if "requestBody" not in self.content:
            return None
        name = self.content["operationId"]
        assert name in BODIES or not self.content["requestBody"]["required"], (
            f"{self} needs a body: add one for {name} to BODIES of {__name__}"
        )
        return BODIES.get(name, {})


DESCRIBED = [
    Described(method.upper(), path, content)
    for path, item in DOCUMENT["paths"].items()
    for method, content in item.items()
]
GUARDED = [operation for operation in DESCRIBED if "security" in operation.content]
every_guarded = pytest.mark.parametrize("operation", GUARDED, ids=str)
# A PUT makes what is absent: tests/api/workouts/test_starting.py has what it does to another's.
MAKES = {"PUT /api/workouts/{id}"}
every_of_one_thing = pytest.mark.parametrize(
    "operation",
    [each for each in GUARDED if "{" in each.path and str(each) not in MAKES],
    ids=str,
)


# What stands for the names in paths: of what is nobody's.
ABSENT = {
    **{"id": str(uuid4()), "key": "f" * 16, "upload": str(uuid4()), "share": str(uuid4())},
    **{"webhook": str(uuid4()), "delivery": str(2**62)},
    **{"athlete": str(uuid4()), "app": str(uuid4())},
}
Places = dict[str, str]
PlacesOf = Callable[[Rider], Places]


def call(
    service: str, operation: Described, places: Places = ABSENT, **headers: str
) -> httpx2.Response:
    """A call that a key with the scope could make; of a stream no more than its head is read."""
    path = operation.path.format(**places)  # KeyError: a parameter that this walk does not know
    query = {**QUERIES.get(operation.content["operationId"], {}), **operation.query}
    body = operation.body
    with httpx2.stream(
        operation.method, service + path, params=query, json=body, headers=headers
    ) as response:
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            response.read()
    return response


def test_the_document_that_is_served_is_the_one_walked_here(service: str) -> None:
    assert httpx2.get(f"{service}/openapi.json").json()["paths"] == DOCUMENT["paths"]


def test_every_operation_needs_a_key_but_for_a_few() -> None:
    assert {str(operation) for operation in DESCRIBED} - set(map(str, GUARDED)) == OPEN


@pytest.mark.parametrize("path", DOCUMENT["paths"])
def test_a_path_has_the_methods_of_the_document_and_no_others(
    rider: Rider, service: str, path: str
) -> None:
    documented = {operation.method for operation in DESCRIBED if operation.path == path}
    possible = documented | ({"HEAD"} if "GET" in documented else set())
    for method in sorted(METHODS - possible):
        place = path.format(**ABSENT, token="x", provider="x")
        for headers in ({}, {"X-API-Key": rider.account.api_key}):
            response = httpx2.request(method, service + place, headers=headers)
            assert response.status_code == 405, (method, response.text)
            assert set(response.headers["allow"].split(", ")) == possible


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_bearer_key_opens(rider: Rider, service: str, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {rider.account.api_key}"}
    assert httpx2.get(f"{service}/api/workouts", headers=headers).status_code == 200


def test_an_x_api_key_opens(rider: Rider, service: str) -> None:
    headers = {"X-API-Key": rider.account.api_key}
    assert httpx2.get(f"{service}/api/workouts", headers=headers).status_code == 200


@pytest.fixture
def closed_keys(
    rider: Rider, make_rider: Any, make_api_key: MakeKey, database: Database
) -> dict[str, dict[str, str]]:
    """Headers that open nothing, by what is wrong with them; the rider's own but for one."""
    user, disabled = rider.account.user_id, make_rider().account
    with database.connection() as connection:
        connection.execute("UPDATE users SET disabled_at = now() WHERE id = %s", [disabled.user_id])
    keys = {
        "unknown": make_key().text,
        "revoked": make_api_key(user, revoked="-1 second"),
        "expired": make_api_key(user, expires="-1 second"),
        "of a disabled user": disabled.api_key,
        "with another secret": f"bpt_{rider.account.api_key.split('_')[1]}_{'0' * 64}",
    }
    return {"none": {}} | {wrong: {"X-API-Key": key} for wrong, key in keys.items()}


@every_guarded
def test_nothing_opens_without_a_key_that_opens(
    rider: Rider,
    service: str,
    closed_keys: dict[str, dict[str, str]],
    operation: Described,
    places_of: PlacesOf,
) -> None:
    places = places_of(rider)
    before, answers = everything_of(rider, places), set()
    for wrong, headers in closed_keys.items():
        response = call(service, operation, places, **headers)
        problem_of(response, 401)
        asked = BEARER if wrong == "none" else f'{BEARER}, error="invalid_token"'
        assert response.headers["www-authenticate"] == asked
        if wrong != "none":
            answers.add(response.content)
    assert len(answers) == 1  # which of them it is, is nobody's business
    assert everything_of(rider, places) == before


@pytest.mark.parametrize("path", [one.path for one in GUARDED if one.method == "GET"])
def test_head_needs_the_same_key_as_get(
    rider: Rider, service: str, path: str, places_of: PlacesOf
) -> None:
    place = service + path.format(**places_of(rider))
    assert httpx2.head(place).status_code == 401
    response = httpx2.head(place, headers={"X-API-Key": rider.account.api_key})
    assert (response.status_code, response.content) == (200, b"")


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
    response = httpx2.get(f"{service}/api/workouts", headers=headers)
    problem_of(response, 401)
    assert response.headers["www-authenticate"].startswith("Bearer")


def status_with(service: str, key: str) -> int:
    return httpx2.get(f"{service}/api/workouts", headers={"X-API-Key": key}).status_code


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
    rider: Rider, service: str, make_api_key: MakeKey, operation: Described, places_of: PlacesOf
) -> None:
    places = places_of(rider)
    others = [scope for scope in SCOPES if scope not in operation.scopes]
    key, before = make_api_key(rider.account.user_id, others), everything_of(rider, places)
    response = call(service, operation, places, **{"X-API-Key": key})
    problem = problem_of(response, 403)
    assert everything_of(rider, places) == before
    assert f"`{operation.scope}`" in problem["detail"]
    asked = f'{BEARER}, error="insufficient_scope", scope="{operation.scope}"'
    assert response.headers["www-authenticate"] == asked


@every_guarded
def test_a_key_with_just_the_scope_may_do_it(
    rider: Rider,
    make_rider: Any,
    service: str,
    make_api_key: MakeKey,
    make_app_token: MakeToken,
    operation: Described,
    places_of: PlacesOf,
) -> None:
    session = operation.content["operationId"] in NEEDS_SESSION
    key, other = (
        make_api_key(rider.account.user_id, [operation.scope], session=session),
        make_api_key(rider.account.user_id),
    )
    app, _ = make_app_token(rider, [])
    places = places_of(rider) | {"key": other.split("_")[1], "app": app}
    places |= {"athlete": offered_to(rider, make_rider())}
    response = call(service, operation, places, **{"X-API-Key": key})
    assert response.is_success or response.status_code == 409  # resume: it was not paused
    assert str(response.status_code) in operation.content["responses"]


@every_guarded
def test_an_app_does_what_its_scopes_allow_and_nothing_else(
    rider: Rider,
    service: str,
    make_app_token: MakeToken,
    operation: Described,
    places_of: PlacesOf,
) -> None:
    """As a key of the rider's own with these scopes would, which `admin` is never among."""
    app, token = make_app_token(rider, ["read", "upload"])
    # The key is the token's own: it neither rotates nor revokes it.
    places = places_of(rider) | {"app": app, "key": token.split("_")[1]}
    response = call(service, operation, places, **{"Authorization": f"Bearer {token}"})
    if operation.scopes == {"admin"} or operation.content["operationId"] in NOT_FOR_APPS:
        problem_of(response, 403)
    else:
        assert response.is_success or response.status_code == 409  # resume: it was not paused


@every_guarded
def test_an_app_that_is_let_in_no_longer_does_nothing(
    rider: Rider,
    service: str,
    make_app_token: MakeToken,
    operation: Described,
    places_of: PlacesOf,
) -> None:
    app, token = make_app_token(rider, ["read", "upload"])
    assert rider.client.delete(f"/api/connections/{app}").status_code == 200
    places = places_of(rider) | {"app": app}
    before = everything_of(rider, places)
    problem_of(call(service, operation, places, **{"X-API-Key": token}), 401)
    assert everything_of(rider, places) == before


def test_an_app_reads_what_its_rider_reads(
    rider: Rider, make_app_token: MakeToken, places_of: PlacesOf
) -> None:
    _, token = make_app_token(rider, ["read"])
    places = places_of(rider)
    own = everything_of(rider, places)
    with httpx2.Client(base_url=rider.client.base_url, headers={"X-API-Key": token}) as client:
        for operation in GUARDED:
            if operation.method != "GET" or str(operation) in STREAMS:
                continue
            answer = client.get(operation.path.format(**places))
            if "read" in operation.scopes and operation.content["operationId"] not in NOT_FOR_APPS:
                assert lasting(answer) == own[str(operation)]
            else:
                problem_of(answer, 403)


def test_an_app_of_a_coach_reads_no_athlete(
    rider: Rider, make_rider: Any, service: str, make_app_token: MakeToken
) -> None:
    coach = make_rider()
    athlete = offered_to(coach, rider)
    assert coach.client.post(f"/api/athletes/{athlete}/accept").status_code == 200
    _, token = make_app_token(coach, ["read"])
    for key, status in ((coach.account.api_key, 200), (token, 403)):
        place = f"{service}/api/workouts?athlete={athlete}"
        assert httpx2.get(place, headers={"X-API-Key": key}).status_code == status


def upload_of(one: Rider) -> str:
    """The newest file that a rider has sent; it is no ride."""
    sent = one.client.get("/api/uploads").json()["uploads"] or [send(one, b"no ride")]
    return str(sent[0]["id"])


def share_of(one: Rider, workout: str) -> str:
    return str(one.client.post(f"/api/workouts/{workout}/share").json()["share"]["id"])


@pytest.fixture
def places_of(database: Database) -> PlacesOf:
    """A thing of a rider's for each name in paths."""
    return partial(make_places, database)


def make_places(database: Database, one: Rider) -> Places:
    """Of apps there is none yet: that takes a consent."""
    workout, webhook = begun(one), make_webhook(one)["webhook"]["id"]
    return ABSENT | {
        **{"id": workout, "key": one.account.api_key.split("_")[1]},
        **{"upload": upload_of(one), "share": share_of(one, workout)},
        **{"webhook": webhook, "delivery": str(write_delivery(database, webhook))},
        "athlete": one.account.user_id,
    }


def offered_to(reader: Rider, athlete: Rider) -> str:
    """The id of an athlete who has offered a reader to read everything."""
    wanted = {"email": reader.account.email}
    assert athlete.client.post("/api/shares", json=wanted).status_code == 201
    return athlete.account.user_id


def begun(one: Rider) -> str:
    """A ride of which all can be read, its file too."""
    workout = one.start(title="mine")
    one.upload(workout, [{"timestamp": T0, "power": 210}])
    return workout


def everything_of(one: Rider, places: Places) -> dict[str, str]:
    """What a rider can read, by operation; without what time itself changes."""
    answers = {
        str(operation): one.client.get(operation.path.format(**places))
        for operation in GUARDED
        if operation.method == "GET" and str(operation) not in STREAMS
    }
    answers["with samples"] = one.client.get(
        f"/api/workouts/{places['id']}", params={"includeTelemetry": "true"}
    )
    assert {answer.status_code for answer in answers.values()} == {200}
    return {name: lasting(answer) for name, answer in answers.items()}


def lasting(answer: httpx2.Response) -> str:
    """What an answer says but for moments: of use, and that up to which changes are told."""
    return re.sub(r'"(lastUsedAt|cursor)":("[^"]*"|null)', "", text_of(answer))


def text_of(answer: httpx2.Response) -> str:
    """Of a zip file its members' contents: their times are those of the export."""
    if answer.headers["content-type"] != "application/zip":
        return answer.text
    with ZipFile(BytesIO(answer.content)) as archive:
        return str({name: archive.read(name).decode() for name in archive.namelist()})


@every_of_one_thing
def test_what_is_another_s_is_as_absent_as_what_never_was(
    rider: Rider,
    make_rider: Any,
    make_app_token: MakeToken,
    service: str,
    operation: Described,
    places_of: PlacesOf,
) -> None:
    theirs = make_rider()
    places = places_of(theirs) | {"app": make_app_token(theirs, ["read"])[0]}
    before = everything_of(theirs, places)
    malformed = [
        dict.fromkeys(places, name) for name in ("not-an-id", "0", "%00", "%FF", f"{uuid4()}x", "é")
    ]
    answers = [
        call(service, operation, each, **{"X-API-Key": rider.account.api_key})
        for each in [places, ABSENT, *malformed]
    ]
    for answer in answers:
        problem_of(answer, 404)
    alike = answers[:2]  # the others may say that the id is none, whoever asks
    assert len({answer.content for answer in alike}) == 1
    unlike = [answer.headers.multi_items() for answer in alike]
    assert len({str([pair for pair in pairs if pair[0] != "date"]) for pairs in unlike}) == 1
    assert everything_of(theirs, places) == before


def test_nothing_that_another_does_is_seen(
    rider: Rider, make_rider: Any, places_of: PlacesOf
) -> None:
    mine = rider.start(title="mine")
    rider.upload(mine, seconds_of(200, 600))
    rider.complete(mine)
    places = places_of(rider) | {"id": mine}
    before = everything_of(rider, places)

    theirs = make_rider()
    theirs.client.patch("/api/users/me", json={"displayName": "Hidden", "timeZone": "Asia/Tokyo"})
    thresholds = {"effectiveFrom": "2020-01-01", "ftp": 317.25, "weight": 71.75}
    theirs.client.put("/api/users/me/thresholds", json=thresholds)
    theirs.client.post("/api/keys", json={"name": "hidden", "scopes": ["read"]})
    workout = theirs.start(title="hidden", description="hidden", sport="hidden")
    theirs.upload(workout, [{**one, "heartrate": 177} for one in seconds_of(431.5, 1800)])
    theirs.complete(workout)
    told = everything_of(theirs, places_of(theirs) | {"id": workout})
    for mark in ("431.5", "317.25", "71.75", "177", "hidden", "Hidden", "Asia/Tokyo"):
        assert any(mark in answer for answer in told.values())  # else it would prove nothing

    assert everything_of(rider, places) == before


def test_nobody_elses_workouts_are_listed(rider: Rider, make_rider: Any) -> None:
    theirs = make_rider()
    theirs.start(title="private")
    mine = rider.start(title="private")
    for query in ({}, {"q": "private"}, {"page": "2", "limit": "1"}):
        listed = rider.client.get("/api/workouts", params=query).json()
        assert [one["id"] for one in listed["workouts"]] in ([mine], [])
        assert listed["pagination"]["total"] == 1


def request_with(key: str) -> Request[Any]:
    headers = [(b"x-api-key", key.encode())]
    return Request({"type": "http", "query_string": b"", "headers": headers})


def test_the_use_of_keys_is_noted_in_one_go(rider: Rider, settings: Settings) -> None:
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

            caller = await authenticator.authenticate(request_with(rider.account.api_key), "read")
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


def test_every_use_of_a_wrong_key_costs_one_look_up_and_gets_one_answer(
    rider: Rider, settings: Settings, make_api_key: MakeKey
) -> None:
    """Were one of them dearer, or remembered, its time would tell which ids there are."""
    user, own = rider.account.user_id, rider.account.api_key
    wrong = [
        make_key().text,
        make_api_key(user, revoked="-1 second"),
        make_api_key(user, expires="-1 second"),
        f"{own[:-1]}{'0' if own[-1] != '0' else '1'}",
        own[:-1],
        "no key at all",
    ]

    async def look_ups_and_answers() -> list[tuple[int, str]]:
        async with open_async_database(settings) as database:
            await database.wait()
            counted = Counted(database)
            authenticator = Authenticator(cast(AsyncDatabase, counted))
            await authenticator.authenticate(request_with(own), "read")  # is remembered
            found = []
            for key in 3 * wrong:
                before = counted.look_ups
                with pytest.raises(Unauthorized) as refused:
                    await authenticator.authenticate(request_with(key), "read")
                found.append((counted.look_ups - before, str(refused.value)))
            return found

    found = asyncio.run(look_ups_and_answers())
    assert set(found) == {(1, "the key or token is malformed, unknown, revoked or expired")}
    assert len(found) == 3 * len(wrong)


class Counted:
    """A database that counts the connections lent: a look-up takes one."""

    def __init__(self, database: AsyncDatabase) -> None:
        self._database = database
        self.look_ups = 0

    def connection(self) -> Any:
        self.look_ups += 1
        return self._database.connection()


def test_a_scope_that_is_no_scope_cannot_be_stored(rider: Rider, make_api_key: MakeKey) -> None:
    for scopes in itertools.chain(itertools.combinations(SCOPES, 2), [()]):
        make_api_key(rider.account.user_id, list(scopes))
    with pytest.raises(Exception, match="api_keys_scopes_check"):
        make_api_key(rider.account.user_id, ["root"])
