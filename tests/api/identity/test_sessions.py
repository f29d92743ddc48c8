"""Sessions: logging in and out, and how often one may try."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Literal

import httpx2
import pytest
from argon2 import PasswordHasher

from api.identity.sessions import MOST_SESSIONS
from shared import passwords
from shared.connections import Database
from tests.api.answers import eventually, problem_of, seconds_of
from tests.api.sessions import PASSWORD, LoggedIn, log_in, register, status_with
from tests.conftest import Rider, serving


def attempt(api: str, email: str, password: str = "a wrong guess") -> httpx2.Response:
    return httpx2.post(f"{api}/api/sessions", json={"email": email, "password": password})


def test_a_session_opens_everything_until_it_ends(session: LoggedIn) -> None:
    assert session.call("GET", "/api/keys").status_code == 200
    assert session.user["lastLoginAt"] is not None
    (key,) = session.call("GET", "/api/keys").json()["keys"]
    assert (key["session"], key["scopes"]) == (True, ["admin", "read", "upload"])
    lifetime = datetime.fromisoformat(key["expiresAt"]) - datetime.now(UTC)
    assert timedelta(days=29) < lifetime < timedelta(days=31)


def test_the_answer_that_holds_a_secret_is_not_to_be_stored(api: str) -> None:
    response = attempt(api, register(api), PASSWORD)
    assert response.headers["cache-control"] == "private, no-store"


def test_logging_out_ends_the_session_at_once_and_only_it(api: str, session: LoggedIn) -> None:
    other = log_in(api, session.email)
    assert session.call("DELETE", "/api/sessions/current").status_code == 200
    problem_of(session.call("GET", "/api/workouts"), 401)
    assert status_with(api, other.key) == 200


def test_a_key_is_not_logged_out(api: str, rider: Rider) -> None:
    problem_of(rider.client.delete("/api/sessions/current"), 409)
    assert status_with(api, rider.account.api_key) == 200


def test_a_session_is_not_rotated(session: LoggedIn) -> None:
    own = session.key.split("_")[1]
    problem_of(session.call("POST", f"/api/keys/{own}/rotate", **{}), 404)
    assert session.call("DELETE", f"/api/keys/{own}").status_code == 200


def test_the_oldest_sessions_end_when_there_are_too_many(
    api: str, session: LoggedIn, database: Database
) -> None:
    with database.connection() as connection:
        connection.execute(
            "INSERT INTO api_keys (id, user_id, hash, name, scopes, session, created_at) SELECT"
            " left(md5(random()::text), 16), %s, sha256('x'), 'session', '{read}', true,"
            " now() + n * interval '1 second' FROM generate_series(1, %s) AS n",
            [session.user["id"], MOST_SESSIONS - 1],
        )
    assert status_with(api, session.key) == 200
    last = log_in(api, session.email)
    eventually(lambda: status_with(api, session.key) == 401)
    listed = last.call("GET", "/api/keys").json()["keys"]
    assert len([key for key in listed if key["session"]]) == MOST_SESSIONS
    made = last.call("POST", "/api/keys", name="watch", scopes=["upload"])
    assert made.status_code == 201  # sessions are not counted among the keys


def test_a_wrong_password_and_an_unknown_address_are_one_answer(
    api: str, database_url: str
) -> None:
    email = register(api)
    wrong, unknown = attempt(api, email), attempt(api, f"no-{email}")
    for response in (wrong, unknown):
        problem_of(response, 401)
    assert wrong.content == unknown.content
    assert wrong.headers.keys() == unknown.headers.keys()


def test_who_has_no_password_costs_as_much_as_who_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same work is done, so that the time tells nothing."""
    compared, verify = [], PasswordHasher.verify

    def noted(hasher: PasswordHasher, stored: str, password: str) -> Literal[True]:
        compared.append((stored.split("$")[1:4], password))
        return verify(hasher, stored, password)

    stored = passwords.hash_password("secret")
    monkeypatch.setattr(PasswordHasher, "verify", noted)
    assert passwords.matches(stored, "secret")
    assert not passwords.matches(None, "secret")
    assert compared[0] == compared[1]


def test_an_accent_may_be_typed_in_two_ways() -> None:
    assert passwords.matches(passwords.hash_password("caf\u00e9 au lait"), "cafe\u0301 au lait")


def test_a_password_hashed_more_weakly_is_hashed_anew(api: str, database: Database) -> None:
    email = register(api)
    weak = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    with database.connection() as connection:
        connection.execute("UPDATE users SET password_hash = %s WHERE email = %s", [weak, email])
    log_in(api, email)
    with database.connection() as connection:
        row = connection.execute(
            "SELECT password_hash FROM users WHERE email = %s", [email]
        ).fetchone()
    assert row is not None
    assert "m=65536" in row["password_hash"]
    log_in(api, email)


@pytest.mark.parametrize("memory", [1024, 64 * 1024], ids=["outdated hash", "hash of today"])
def test_a_login_that_a_new_password_overtakes_opens_nothing_and_undoes_nothing(
    api: str, database: Database, memory: int
) -> None:
    email, changed = register(api), passwords.hash_password("another password")
    stored = PasswordHasher(time_cost=3, memory_cost=memory, parallelism=1).hash(PASSWORD)
    write = "UPDATE users SET password_hash = %s WHERE email = %s"
    with database.connection() as connection:
        connection.execute(write, [stored, email])
    with ThreadPoolExecutor() as pool:
        with database.connection() as connection:
            connection.execute(write, [changed, email])
            login = pool.submit(attempt, api, email, PASSWORD)
            eventually(lambda: _waits_for_a_user(database))
        problem_of(login.result(), 503)
    problem_of(attempt(api, email, PASSWORD), 401)
    log_in(api, email, "another password")


def _waits_for_a_user(database: Database) -> bool:
    with database.connection() as connection:
        waiting = connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'users'"
        ).fetchone()
    return waiting is not None


def test_a_disabled_user_cannot_log_in(api: str, database: Database) -> None:
    email = register(api)
    with database.connection() as connection:
        connection.execute("UPDATE users SET disabled_at = now() WHERE email = %s", [email])
    problem_of(attempt(api, email, PASSWORD), 401)


def test_guesses_at_an_account_are_bounded_and_other_accounts_are_not(api: str) -> None:
    email, other = register(api), register(api)
    statuses = [attempt(api, email).status_code for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    refused = attempt(api, email.upper(), PASSWORD)  # right, yet too late
    problem_of(refused, 429)
    assert 1 <= int(refused.headers["retry-after"]) <= 900
    assert attempt(api, other, PASSWORD).status_code == 201


def test_guesses_are_counted_together_however_the_address_is_written(api: str) -> None:
    email = register(api, email=f"iiii{token_hex(6)}@example.com")
    ways = [email, email.upper(), email.replace("i", "\u0130"), email.replace("i", "\u0130", 1)]
    for guess in range(20):
        attempt(api, ways[guess % 2])
    assert {attempt(api, way, PASSWORD).status_code for way in ways} <= {401, 429}


def test_a_right_login_forgives_the_guesses_before(api: str) -> None:
    email = register(api)
    for _ in range(3):
        assert [attempt(api, email).status_code for _ in range(4)] == [401] * 4
        assert attempt(api, email, PASSWORD).status_code == 201


@pytest.fixture
def strict(urls: dict[str, str], tmp_path: Path, unthrottled: None) -> Iterator[str]:
    """Another API process, for which an address may try three times an hour."""
    limits = {"MAX_LOGINS_PER_HOUR": "3", "MAX_REGISTRATIONS_PER_HOUR": "3"}
    with serving(tmp_path / "api.log", **urls, **limits) as url:
        yield url


def test_an_address_may_try_so_often_whatever_the_account(strict: str) -> None:
    tried = [attempt(strict, f"{n}@example.com").status_code for n in range(4)]
    assert tried == [401, 401, 401, 429]


def test_an_address_may_register_so_many(strict: str) -> None:
    for _ in range(3):
        register(strict)
    refused = httpx2.post(
        f"{strict}/api/users", json={"email": "fourth@example.com", "password": PASSWORD}
    )
    problem_of(refused, 429)


def test_what_one_process_counted_holds_for_the_other(
    strict: str, urls: dict[str, str], tmp_path: Path
) -> None:
    for n in range(3):
        attempt(strict, f"{n}@example.com")
    with serving(tmp_path / "other.log", **urls, MAX_LOGINS_PER_HOUR="3") as other:
        problem_of(attempt(other, "another@example.com"), 429)


def test_uploads_go_on_while_passwords_are_guessed_by_many(
    api: str, rider: Rider, urls: dict[str, str], tmp_path: Path
) -> None:
    """Each guess takes 0.1 s of a core: hashed on the event loop, they would hold every upload."""
    with serving(tmp_path / "api.log", **urls, MAX_LOGINS_PER_HOUR="100000") as url:
        workout = rider.start()
        headers = {"X-API-Key": rider.account.api_key}
        path = f"{url}/api/workouts/{workout}/telemetry"
        over, answers = threading.Event(), list[int]()

        def guess(n: int) -> None:
            count = 0
            with httpx2.Client(base_url=url, timeout=60) as client:
                while not over.is_set():
                    count += 1
                    body = {"email": f"{n}-{count}@example.com", "password": "guess"}
                    answers.append(client.post("/api/sessions", json=body).status_code)

        with ThreadPoolExecutor(18) as pool, httpx2.Client(timeout=60) as client:
            guessing = [pool.submit(guess, n) for n in range(18)]
            uploads = 0
            try:
                while answers.count(401) < 10:
                    response = client.post(path, json=seconds_of(200, 1), headers=headers)
                    assert response.status_code == 202
                    uploads += 1
            finally:
                over.set()
        for done in guessing:
            done.result()
    # On the event loop, each upload would wait for a hash of every guesser.
    assert uploads > 10
    assert set(answers) == {401, 503}  # beyond a short queue, guesses wait
