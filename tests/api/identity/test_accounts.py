"""Accounts: who may register, how a password changes."""

from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx2
import pytest

from ops.admin import accounts
from ops.processes import ProcessFailed
from shared.connections import Database
from tests.api.answers import eventually, problem_of
from tests.api.conftest import MakeKey
from tests.api.sessions import PASSWORD, LoggedIn, log_in, register, status_with
from tests.conftest import Rider, serving


def test_a_new_account_is_as_empty_as_it_should_be(api: str) -> None:
    email = f"{token_hex(6)}@example.com"
    wanted = {"email": f" {email.upper()} ".strip(), "password": PASSWORD, "displayName": "Eddy"}
    response = httpx2.post(f"{api}/api/users", json=wanted)
    assert response.status_code == 201
    user = response.json()["user"]
    assert user["email"].lower() == email
    assert user["displayName"] == "Eddy"
    assert user["lastLoginAt"] is None
    assert PASSWORD not in response.text
    session = log_in(api, email)
    assert session.call("GET", "/api/workouts").json()["workouts"] == []
    profile = session.call("GET", response.headers["location"]).json()
    assert profile["user"]["id"] == user["id"]


@pytest.mark.parametrize(
    ("change", "member"),
    [
        ({"email": "rider"}, "email"),
        ({"email": "rider@"}, "email"),
        ({"email": "a b@example.com"}, "email"),
        ({"email": "rider@example.com\r\nBcc: x@example.com"}, "email"),
        ({"email": f"{'x' * 400}@example.com"}, "email"),
        ({"email": None}, "email"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 1001}, "password"),
        ({"displayName": "x" * 101}, "displayName"),
    ],
)
def test_what_makes_no_account_is_named(api: str, change: dict[str, Any], member: str) -> None:
    wanted = {"email": "rider@example.com", "password": PASSWORD, **change}
    problem = problem_of(httpx2.post(f"{api}/api/users", json=wanted), 422)
    assert problem["errors"][0]["member"] == member


def test_an_address_has_one_account_however_it_is_written(api: str) -> None:
    email = register(api)
    again = {"email": email.upper(), "password": "another password"}
    problem_of(httpx2.post(f"{api}/api/users", json=again), 409)
    assert log_in(api, email).call("GET", "/api/users/me").status_code == 200


@pytest.mark.parametrize("written", ["e\u0301{}@example.com", "{}@xn--mnchen-3ya.com"])
def test_an_address_that_is_stored_otherwise_logs_in_as_it_was_written(
    api: str, written: str
) -> None:
    email = written.format(token_hex(6))
    made = httpx2.post(f"{api}/api/users", json={"email": email, "password": PASSWORD})
    assert made.json()["user"]["email"] != email
    assert log_in(api, email).user["email"] == made.json()["user"]["email"]


LOOK_ALIKES = [
    "r\u0131der{}@example.com",  # a dotless i, whose capital is I
    "R\u0130DER{}@example.com",  # a dotted one, which is i in small letters
    "\uff52ider{}@example.com",  # full width
    "\u017fam{}@example.com",  # a long s
    "\u0430dmin{}@example.com",  # Cyrillic among Latin letters
    "\u0441\u043e\u0441\u043e.{}@example.com",  # Cyrillic, and nothing but c and o to look at
    "\u03bd\u03af\u03ba\u03bf\u03c2{}@example.com",  # a sigma that is another after a capital
    "\u0261oogle{}@example.com",  # a script g
    "a\ufe0fb{}@example.com",  # an invisible selector
    "{}@ma\u0131l.com",
    "{}@ex\u0430mple.com",
    "{}@xn--exmple-4nf.com",  # the same, as the network has it
]


@pytest.mark.parametrize("written", LOOK_ALIKES)
def test_an_address_that_looks_like_another_gets_no_account(
    api: str, database_url: str, written: str
) -> None:
    email = written.format(token_hex(6))
    refused = httpx2.post(f"{api}/api/users", json={"email": email, "password": PASSWORD})
    assert problem_of(refused, 422)["errors"][0]["member"] == "email"
    with pytest.raises(ProcessFailed, match="look like others"):
        accounts.create_account(database_url, email, "test")


@pytest.mark.parametrize(
    "written",
    [
        "\u0142ukasz\u00e6{}@example.com",
        "gro\u00df{}@example.com",
        "\u0438\u0432\u0430\u043d.{}@\u043f\u043e\u0447\u0442\u0430.\u0440\u0444",
        "\u5c71\u7530taro{}@example.com",
        "o'neil+{}@example.com",
    ],
)
def test_an_address_in_any_one_alphabet_has_an_account(api: str, written: str) -> None:
    email = register(api, email=written.format(token_hex(6)))
    again = {"email": email.upper() if "\u00df" not in email else email, "password": PASSWORD}
    problem_of(httpx2.post(f"{api}/api/users", json=again), 409)
    assert log_in(api, email).user["email"] == email


def test_who_has_a_look_alike_address_already_goes_on_logging_in(
    api: str, database: Database, database_url: str
) -> None:
    email, plain = f"r\u0131der{token_hex(6)}@example.com", register(api)
    with database.connection() as connection:
        connection.execute("UPDATE users SET email = %s WHERE email = %s", [email, plain])
    assert log_in(api, email).user["email"] == email
    problem_of(httpx2.post(f"{api}/api/sessions", json={"email": plain, "password": PASSWORD}), 401)
    assert accounts.create_account(database_url, email, "test").email == email


def test_only_a_hash_of_the_password_is_kept(api: str, database: Database) -> None:
    email = register(api)
    with database.connection() as connection:
        row = connection.execute("SELECT * FROM users WHERE email = %s", [email]).fetchone()
    assert row is not None
    assert row["password_hash"].startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert PASSWORD not in str(row)


@pytest.fixture
def by_invitation(urls: dict[str, str], tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path / "api.log", **urls, REGISTRATION="invite") as url:
        yield url


def attempt(api: str, email: str | None = None, **members: Any) -> httpx2.Response:
    wanted = {"email": email or f"{token_hex(6)}@example.com", "password": PASSWORD, **members}
    return httpx2.post(f"{api}/api/users", json=wanted)


def test_an_invitation_makes_one_account(by_invitation: str, database_url: str) -> None:
    problem_of(attempt(by_invitation), 403)
    problem_of(attempt(by_invitation, invitation="guessed"), 403)
    expired = accounts.create_invitation(database_url, -1)
    problem_of(attempt(by_invitation, invitation=expired), 403)
    code = accounts.create_invitation(database_url, 3600)
    email = register(by_invitation, invitation=code)
    problem_of(attempt(by_invitation, invitation=code), 403)
    assert log_in(by_invitation, email).call("GET", "/api/users/me").status_code == 200


def test_a_refused_invitation_leaves_no_account_and_a_taken_address_no_used_invitation(
    by_invitation: str, database_url: str, database: Database
) -> None:
    code = accounts.create_invitation(database_url, 3600)
    email = register(by_invitation, invitation=code)
    unused = accounts.create_invitation(database_url, 3600)
    problem_of(attempt(by_invitation, email, invitation=unused), 409)
    problem_of(attempt(by_invitation, email, invitation="made up"), 403)  # tells of no address
    newcomer = f"{token_hex(6)}@example.com"
    problem_of(attempt(by_invitation, newcomer, invitation=code), 403)
    assert attempt(by_invitation, newcomer, invitation=unused).status_code == 201


def test_a_closed_service_takes_nobody_but_serves_who_is_there(
    api: str, urls: dict[str, str], database_url: str, tmp_path: Path
) -> None:
    email = register(api)
    code = accounts.create_invitation(database_url, 3600)
    with serving(tmp_path / "api.log", **urls, REGISTRATION="closed") as closed:
        problem_of(attempt(closed, invitation=code), 403)
        assert log_in(closed, email).call("GET", "/api/users/me").status_code == 200


def test_a_new_password_ends_every_other_session_and_no_key(
    api: str, session: LoggedIn, make_api_key: MakeKey
) -> None:
    device = make_api_key(session.user["id"], ["upload"])
    other = log_in(api, session.email)
    change = session.call("PUT", "/api/users/me/password", password="a new password")
    assert change.status_code == 200
    assert session.call("GET", "/api/users/me").status_code == 200
    assert status_with(api, other.key) == 401  # here at once
    started = httpx2.post(f"{api}/api/workouts", json={}, headers={"X-API-Key": device})
    assert started.status_code == 201
    old = {"email": session.email, "password": PASSWORD}
    problem_of(httpx2.post(f"{api}/api/sessions", json=old), 401)
    assert log_in(api, session.email, "a new password").key != session.key


def test_one_user_cannot_make_the_logins_of_others_wait(api: str, session: LoggedIn) -> None:
    new = {"password": PASSWORD}
    answers = [session.call("PUT", "/api/users/me/password", **new) for _ in range(11)]
    assert [each.status_code for each in answers[:10]] == [200] * 10
    problem_of(answers[10], 429)
    assert int(answers[10].headers["Retry-After"]) > 0
    log_in(api, session.email)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_what_cannot_be_undone_needs_a_fresh_session(
    api: str, session: LoggedIn, make_api_key: MakeKey, database: Database, method: str
) -> None:
    path = "/api/users/me/password" if method == "PUT" else "/api/users/me"
    body = {"password": "a new password"} if method == "PUT" else None

    def attempt_with(key: str) -> httpx2.Response:
        return httpx2.request(method, api + path, json=body, headers={"X-API-Key": key})

    problem_of(attempt_with(make_api_key(session.user["id"])), 403)
    stale = make_api_key(session.user["id"], session=True)
    with database.connection() as connection:
        connection.execute(
            "UPDATE api_keys SET created_at = now() - interval '11 minutes' WHERE id = %s",
            [stale.split("_")[1]],
        )
    problem_of(attempt_with(stale), 403)
    assert log_in(api, session.email).call("GET", "/api/users/me").status_code == 200


def test_a_user_of_the_command_line_gets_a_password_from_there(
    api: str, rider: Rider, database_url: str
) -> None:
    refused = {"email": rider.account.email, "password": ""}
    problem_of(httpx2.post(f"{api}/api/sessions", json=refused), 422)
    password = accounts.reset_password(database_url, rider.account.email)
    session = log_in(api, rider.account.email, password)
    assert session.user["id"] == rider.account.user_id
    accounts.reset_password(database_url, rider.account.email)
    eventually(lambda: status_with(api, session.key) == 401)
    assert rider.client.get("/api/users/me").status_code == 200  # its key is no session


def test_an_account_begins_in_a_time_zone_that_is_one(api: str) -> None:
    def make(**members: str) -> httpx2.Response:
        account = {"email": f"{token_hex(6)}@example.com", "password": PASSWORD, **members}
        return httpx2.post(f"{api}/api/users", json=account)

    assert make().json()["user"]["timeZone"] == "UTC"
    assert make(timeZone="Asia/Tokyo").json()["user"]["timeZone"] == "Asia/Tokyo"
    problem_of(make(timeZone="Asia/Nowhere"), 422)


def test_a_profile_is_changed_member_by_member(session: LoggedIn) -> None:
    def change(**members: object) -> dict[str, Any]:
        response = session.call("PATCH", "/api/users/me", **members)
        assert response.status_code == 200, response.text
        user: dict[str, Any] = response.json()["user"]
        return user

    picture = "https://example.com/me.png"
    assert change(avatarUrl=picture)["avatarUrl"] == picture
    assert change(displayName="Eddy")["avatarUrl"] == picture
    changed = change(avatarUrl=None, timeZone="Europe/Zurich")
    assert (changed["avatarUrl"], changed["displayName"]) == (None, "Eddy")
    for wrong in ("http://example.com/me.png", "javascript:alert(1)", "https://a b"):
        problem_of(session.call("PATCH", "/api/users/me", avatarUrl=wrong), 422)


def test_what_is_done_to_an_account_is_on_record(
    api: str, session: LoggedIn, database: Database
) -> None:
    session.call("PUT", "/api/users/me/password", password="a new password")
    session.call("DELETE", "/api/sessions/current")
    last = log_in(api, session.email, "a new password")
    last.call("DELETE", "/api/users/me")
    with database.connection() as connection:
        rows = connection.execute(
            "SELECT action, key_id FROM audit_log WHERE user_id = %s ORDER BY id",
            [session.user["id"]],
        ).fetchall()
    first_id, last_id = session.key.split("_")[1], last.key.split("_")[1]
    assert [(row["action"], row["key_id"]) for row in rows] == [
        ("register", None),
        ("log_in", None),
        ("change_password", first_id),
        ("log_out", first_id),
        ("log_in", None),
        ("delete_account", last_id),
    ]
