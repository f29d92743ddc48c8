"""Codes, refresh tokens and access tokens: what each gives, once, and how it all ends."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from api.apps.authorizing import MOST_GRANTS
from api.identity.throttle import MOST_REFRESHES, MOST_STRANGE_TOKENS
from ops.admin.accounts import set_disabled
from shared.connections import Database
from tests.api.answers import T0, eventually
from tests.api.apps.flows import App, Ask, Browser, LetIn, let_in, newcomer, registered
from tests.api.sessions import LoggedIn, status_with


def refused(answer: httpx2.Response, error: str, status: int = 400) -> None:
    """As RFC 6749 says, and kept by nobody."""
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers.get_list("cache-control") == ["no-store"]


def closed(service: str, token: str) -> bool:
    return status_with(service, token) == 401


def test_a_code_gives_tokens_by_which_the_app_reads(let: LetIn, service: str) -> None:
    assert {name: let.tokens[name] for name in ("token_type", "expires_in", "scope")} == {
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": "read",
    }
    headers = {"Authorization": f"Bearer {let.access}"}
    me = httpx2.get(f"{service}/api/users/me", headers=headers).json()["user"]
    assert me["id"] == let.rider.user["id"]


def test_an_app_does_what_its_scopes_say_and_nothing_else(let: LetIn, service: str) -> None:
    headers = {"Authorization": f"Bearer {let.access}"}
    for method, path in (
        ("GET", "/api/keys"),
        ("GET", "/api/connections"),
        ("GET", "/api/apps"),
        ("DELETE", f"/api/connections/{let.app.id}"),
        ("POST", "/api/workouts"),
        ("DELETE", "/api/users/me"),
    ):
        assert httpx2.request(method, service + path, headers=headers).status_code == 403, path


def test_an_app_that_may_upload_brings_a_ride(visitor: Browser, app: App, service: str) -> None:
    let = let_in(visitor, app, "upload")
    headers = {"Authorization": f"Bearer {let.access}"}
    ride = f"{service}/api/workouts/{uuid4()}"
    assert httpx2.put(ride, json={}, headers=headers).status_code == 201
    batch = {"samples": [{"timestamp": T0, "power": 210}]}
    assert httpx2.post(f"{ride}/telemetry", json=batch, headers=headers).status_code == 202
    assert status_with(service, let.access) == 403


def test_an_app_with_a_secret_shows_it_in_either_way(visitor: Browser, session: LoggedIn) -> None:
    app = registered(session, confidential=True)
    assert app.secret
    newcomer(visitor)
    ask = Ask(app)
    code = ask.code(visitor)
    public, wrong = App(app.service, app.id, None), App(app.service, app.id, "x" * 43)
    refused(Ask(public, verifier=ask.verifier).exchange(code), "invalid_client", 401)
    refused(Ask(wrong, verifier=ask.verifier).exchange(code), "invalid_client", 401)
    tokens = ask.exchange(code)
    assert tokens.status_code == 200
    posted = public.refresh(tokens.json()["refresh_token"], client_secret=app.secret)
    assert posted.status_code == 200
    refused(public.refresh(posted.json()["refresh_token"]), "invalid_client", 401)


def test_a_refusal_says_what_is_missing(
    visitor: Browser, app: App, session: LoggedIn, service: str
) -> None:
    confidential = registered(session, confidential=True)
    for client, said in (
        (App(service, confidential.id, "x" * 43), "secret is wrong, or none was sent"),
        (App(service, confidential.id, None), "secret is wrong, or none was sent"),
        (App(service, app.id, "x" * 43), "has no secret"),
        (App(service, str(uuid4()), None), "No app has this 'client_id'"),
    ):
        for answer in (client.refresh("x"), client.post("/oauth/revoke", token="x")):
            assert said in answer.json()["error_description"]
    newcomer(visitor)
    ask = Ask(app)
    code = ask.code(visitor)
    for verifier, said in (("", "Missing 'code_verifier'"), ("x" * 43, "is not the one")):
        refusal = ask.exchange(code, code_verifier=verifier).json()
        assert said in refusal["error_description"]


@pytest.mark.parametrize(
    "authorization", ["Basic", "Basic !", "Basic /w==", "Basic eA==", "Bearer x", "é"]
)
def test_a_header_that_is_no_basic_is_nobody(app: App, authorization: str) -> None:
    answer = httpx2.post(
        f"{app.service}/oauth/token",
        data={"grant_type": "refresh_token", "refresh_token": "x"},
        headers=[(b"authorization", authorization.encode("latin-1"))],
    )
    refused(answer, "invalid_client", 401)


def test_a_code_is_used_once_and_used_again_it_ends_what_it_gave(
    visitor: Browser, app: App, service: str
) -> None:
    newcomer(visitor)
    ask = Ask(app)
    code = ask.code(visitor)
    tokens = ask.exchange(code).json()
    assert status_with(service, tokens["access_token"]) == 200
    refused(ask.exchange(code), "invalid_grant")
    eventually(lambda: closed(service, tokens["access_token"]))
    refused(app.refresh(tokens["refresh_token"]), "invalid_grant")


def test_two_devices_may_be_let_in_at_once(visitor: Browser, app: App) -> None:
    newcomer(visitor)
    asks = [Ask(app), Ask(app)]
    codes = [ask.code(visitor) for ask in asks]
    answers = [ask.exchange(code) for ask, code in zip(asks, codes, strict=True)]
    for each in answers:
        assert app.refresh(each.json()["refresh_token"]).status_code == 200


def test_a_code_that_waits_ends_with_the_connection(visitor: Browser, app: App) -> None:
    rider = newcomer(visitor)
    ask = Ask(app)
    code = ask.code(visitor)
    assert rider.call("DELETE", f"/api/connections/{app.id}").status_code == 200
    refused(ask.exchange(code), "invalid_grant")


def test_of_many_uses_of_a_code_at_once_one_gives_tokens_and_then_none_are_left(
    visitor: Browser, app: App, service: str
) -> None:
    newcomer(visitor)
    ask = Ask(app)
    code = ask.code(visitor)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: ask.exchange(code), range(6)))
    [given] = [each.json() for each in answers if each.status_code == 200]
    eventually(lambda: closed(service, given["access_token"]))


def test_who_saw_the_code_alone_neither_uses_it_nor_ends_what_it_gave(
    visitor: Browser, app: App, session: LoggedIn, service: str
) -> None:
    newcomer(visitor)
    ask = Ask(app)
    code, other = ask.code(visitor), Ask(registered(session))
    refused(ask.exchange(code, code_verifier="x" * 43), "invalid_grant")
    refused(ask.exchange(code, redirect_uri="https://poster.example/"), "invalid_grant")
    refused(other.exchange(code, code_verifier=ask.verifier), "invalid_grant")
    tokens = ask.exchange(code)
    assert tokens.status_code == 200
    refused(ask.exchange(code, code_verifier="x" * 43), "invalid_grant")
    assert app.refresh(tokens.json()["refresh_token"]).status_code == 200


def test_a_code_is_good_for_a_minute(visitor: Browser, app: App, database: Database) -> None:
    rider = newcomer(visitor)
    ask = Ask(app)
    code = ask.code(visitor)
    with database.connection() as connection:
        row = connection.execute(
            "SELECT code_expires_at - created_at AS life FROM app_grants WHERE user_id = %s",
            [rider.user["id"]],
        ).fetchone()
        assert row
        assert row["life"] == timedelta(seconds=60)
        past = "UPDATE app_grants SET code_expires_at = now() WHERE user_id = %s"
        connection.execute(past, [rider.user["id"]])
    refused(ask.exchange(code), "invalid_grant")


def test_a_refresh_token_gives_new_ones_and_no_more_scopes(let: LetIn, service: str) -> None:
    refused(let.app.refresh(let.refresh, scope="read upload"), "invalid_scope")
    fresh = let.app.refresh(let.refresh).json()
    assert fresh["refresh_token"] != let.refresh
    assert fresh["access_token"] != let.access
    assert status_with(service, fresh["access_token"]) == 200
    assert let.app.refresh(fresh["refresh_token"]).status_code == 200


@pytest.mark.parametrize("scope", [" ", "read read"])
def test_refreshed_tokens_have_each_scope_once_and_never_none(let: LetIn, scope: str) -> None:
    assert let.app.refresh(let.refresh, scope=scope).json()["scope"] == "read"


def test_a_client_whose_answer_was_lost_gets_it_again(let: LetIn, service: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: let.app.refresh(let.refresh), range(4)))
    answers.append(let.app.refresh(let.refresh))
    assert {each.status_code for each in answers} == {200}
    [fresh] = {(each.json()["access_token"], each.json()["refresh_token"]) for each in answers}
    assert status_with(service, fresh[0]) == 200
    assert let.app.refresh(fresh[1]).status_code == 200


def make_old(database: Database, let: LetIn) -> None:
    """All refresh tokens that the app has used, it has used a minute ago."""
    with database.connection() as connection:
        connection.execute(
            "UPDATE app_refresh_tokens SET used_at = used_at - interval '1 minute'"
            " WHERE grant_id IN (SELECT id FROM app_grants WHERE user_id = %s)",
            [let.rider.user["id"]],
        )


def test_a_refresh_token_that_comes_again_later_ends_the_grant(
    let: LetIn, service: str, database: Database
) -> None:
    fresh = let.app.refresh(let.refresh).json()
    make_old(database, let)
    refused(let.app.refresh(let.refresh), "invalid_grant")
    refused(let.app.refresh(fresh["refresh_token"]), "invalid_grant")
    for token in (let.access, fresh["access_token"]):
        eventually(lambda token=token: closed(service, token))  # type: ignore[misc]
    assert let.rider.call("GET", "/api/connections").json() == {"connections": []}


def test_a_refresh_token_is_the_app_s_that_it_was_given_to(let: LetIn, session: LoggedIn) -> None:
    other = registered(session)
    refused(other.refresh(let.refresh), "invalid_grant")
    refused(other.revoke(let.refresh), "invalid_grant")
    assert let.app.refresh(let.refresh).status_code == 200


def test_a_refresh_token_ends_when_nobody_uses_it_for_ninety_days(
    let: LetIn, database: Database
) -> None:
    with database.connection() as connection:
        query = "SELECT expires_at FROM app_refresh_tokens WHERE grant_id IN (SELECT id FROM"
        query += " app_grants WHERE user_id = %s)"
        row = connection.execute(query, [let.rider.user["id"]]).fetchone()
        assert row
        assert abs(row["expires_at"] - datetime.now(UTC) - timedelta(days=90)) < timedelta(hours=1)
        connection.execute(
            "UPDATE app_refresh_tokens SET expires_at = now() WHERE grant_id IN"
            " (SELECT id FROM app_grants WHERE user_id = %s)",
            [let.rider.user["id"]],
        )
    refused(let.app.refresh(let.refresh), "invalid_grant")


def test_a_revoked_refresh_token_ends_all_that_came_of_it(let: LetIn, service: str) -> None:
    assert let.app.revoke(let.refresh, token_type_hint="refresh_token").status_code == 200
    eventually(lambda: closed(service, let.access))
    refused(let.app.refresh(let.refresh), "invalid_grant")


def test_a_revoked_access_token_ends_by_itself(let: LetIn, service: str) -> None:
    assert let.app.revoke(let.access, token_type_hint="anything").status_code == 200
    eventually(lambda: closed(service, let.access))
    assert let.app.refresh(let.refresh).status_code == 200


def test_to_revoke_what_is_none_is_fine_and_to_revoke_nothing_is_not(let: LetIn) -> None:
    own_key = let.rider.key
    for text in ("x", "bpr_x", own_key, f"{let.access[:-1]}x"):
        assert let.app.revoke(text).status_code == 200
    assert let.rider.call("GET", "/api/keys").status_code == 200  # an app cannot end a key
    refused(let.app.post("/oauth/revoke"), "invalid_request")


Ending = Callable[[LetIn, Database], Any]
ENDINGS: dict[str, Ending] = {
    "the rider ends it": lambda let, _: let.rider.call("DELETE", f"/api/connections/{let.app.id}"),
    "the rider is deleted": lambda let, _: let.rider.call("DELETE", "/api/users/me"),
    "the rider is disabled": lambda let, database: execute(
        database, "UPDATE users SET disabled_at = now() WHERE id = %s", let.rider.user["id"]
    ),
    "the app is deleted": lambda let, database: execute(
        database, "DELETE FROM apps WHERE id = %s", let.app.id
    ),
}


def execute(database: Database, query: Any, value: str) -> None:
    with database.connection() as connection:
        connection.execute(query, [value])


@pytest.mark.parametrize("how", ENDINGS)
def test_every_ending_ends_all_tokens(
    let: LetIn, service: str, database: Database, how: str
) -> None:
    assert status_with(service, let.access) == 200
    ENDINGS[how](let, database)
    eventually(lambda: closed(service, let.access))
    assert let.app.refresh(let.refresh).json()["error"] in ("invalid_grant", "invalid_client")


def test_the_tokens_of_a_disabled_rider_s_app_open_nothing_and_it_gets_no_new_ones(
    let: LetIn, session: LoggedIn, service: str, database_url: str
) -> None:
    assert status_with(service, let.access) == 200
    set_disabled(database_url, session.email, disabled=True)
    eventually(lambda: closed(service, let.access))
    refused(let.app.refresh(let.refresh), "invalid_client")
    set_disabled(database_url, session.email, disabled=False)
    fresh = let.app.refresh(let.refresh).json()["access_token"]
    assert status_with(service, fresh) == 200


def test_a_changed_password_ends_no_app_as_it_ends_no_key(let: LetIn, service: str) -> None:
    changed = let.rider.call("PUT", "/api/users/me/password", password="another long one")
    assert changed.status_code == 200
    assert status_with(service, let.access) == 200
    assert let.app.refresh(let.refresh).status_code == 200


def test_keys_of_apps_are_neither_listed_nor_rotated_nor_revoked_as_the_rider_s(
    let: LetIn,
) -> None:
    key_id = let.access.split("_")[1]
    assert key_id not in let.rider.call("GET", "/api/keys").text
    for method, path in (("POST", "/rotate"), ("DELETE", "")):
        assert let.rider.call(method, f"/api/keys/{key_id}{path}").status_code == 404


def test_a_rider_lets_an_app_in_so_many_times_and_then_the_oldest_ends(
    let: LetIn, database: Database
) -> None:
    with database.connection() as connection:
        connection.execute(
            "INSERT INTO app_grants (app_id, user_id, scopes, code_hash, code_challenge,"
            " code_expires_at, code_used_at) SELECT %s, %s, '{read}', sha256(n::text::bytea ||"
            " random()::text::bytea), 'x', now(), now() FROM generate_series(1, %s) AS n",
            [let.app.id, let.rider.user["id"], MOST_GRANTS - 1],
        )
    ask = Ask(let.app)
    assert ask.exchange(ask.code(let.visitor)).status_code == 200
    refused(let.app.refresh(let.refresh), "invalid_grant")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"grant_type": "password", "username": "x", "password": "x"},
        {"grant_type": "client_credentials"},
        {"grant_type": 'é"\0'},
    ],
    ids=str,
)
def test_other_grants_are_none(app: App, fields: dict[str, str]) -> None:
    refused(app.post("/oauth/token", **fields), "unsupported_grant_type")


def test_what_is_no_form_is_refused_in_the_form_of_the_protocol(app: App) -> None:
    for path in ("/oauth/token", "/oauth/revoke"):
        url = app.service + path
        refused(httpx2.post(url, json={"grant_type": "x"}), "invalid_request")
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        refused(httpx2.post(url, content="a=1&a=2", headers=form), "invalid_request")
        refused(httpx2.get(url), "invalid_request", 405)
        refused(httpx2.post(url, content="a" * 40_000, headers=form), "invalid_request", 413)


def test_who_sends_what_opens_nothing_all_the_time_has_to_wait(
    app: App, let: LetIn, unthrottled: None
) -> None:
    with httpx2.Client(base_url=app.service) as client:
        form = {"grant_type": "refresh_token", "refresh_token": "x", "client_id": app.id}
        answers = [client.post("/oauth/token", data=form) for _ in range(MOST_STRANGE_TOKENS + 1)]
    assert {each.status_code for each in answers[:-1]} == {400}
    refused(answers[-1], "temporarily_unavailable", 429)
    assert int(answers[-1].headers["retry-after"]) > 0
    assert let.app.refresh(let.refresh).status_code == 200  # who has one is let in


def test_tokens_are_refreshed_so_often_an_hour(let: LetIn, unthrottled: None) -> None:
    token = let.refresh
    for _ in range(MOST_REFRESHES):
        answer = let.app.refresh(token)
        assert answer.status_code == 200
        token = answer.json()["refresh_token"]
    refused(let.app.refresh(token), "temporarily_unavailable", 429)
