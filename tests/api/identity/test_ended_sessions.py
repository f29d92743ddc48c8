"""A session that has ended makes nothing that lasts, even where it is still cached."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from ops.admin import accounts
from shared.connections import Database, DatabaseConnection
from shared.sql import load_queries
from tests.api.answers import eventually, problem_of
from tests.api.conftest import MakeKey
from tests.api.sessions import LoggedIn, log_in, status_with

QUERIES = load_queries("users")
End = Callable[[DatabaseConnection, LoggedIn], object]


def key_id(session: LoggedIn) -> str:
    return session.key.split("_")[1]


def acts(session: LoggedIn, device: str) -> dict[str, Callable[[], httpx2.Response]]:
    """Everything that has an effect beyond the session; ``device``: the id of a key."""
    me = "/api/users/me"
    return {
        "make a key": lambda: session.call("POST", "/api/keys", name="for ever", scopes=["admin"]),
        "rotate one": lambda: session.call("POST", f"/api/keys/{device}/rotate", overlap=0),
        "set a password": lambda: session.call("PUT", f"{me}/password", password="another one"),
        "delete all": lambda: session.call("DELETE", me),
    }


def end_sessions(connection: DatabaseConnection, session: LoggedIn) -> object:
    ended = {"user_id": session.user["id"], "newest": 0, "kept": []}
    return connection.execute(QUERIES["end_sessions"], ended)


def expire(connection: DatabaseConnection, session: LoggedIn) -> object:
    past = "UPDATE api_keys SET expires_at = now() WHERE id = %s"
    return connection.execute(past, [key_id(session)])


def disable(connection: DatabaseConnection, session: LoggedIn) -> object:
    wanted = {"email": session.email, "disabled": True}
    return connection.execute(QUERIES["set_disabled"], wanted)


def delete(connection: DatabaseConnection, session: LoggedIn) -> object:
    return [
        connection.execute(QUERIES[query], {"user_id": session.user["id"]})
        for query in ("delete_user", "delete_keys")
    ]


@pytest.fixture
def device(session: LoggedIn, make_api_key: MakeKey) -> str:
    """The id of another key of the same user."""
    return make_api_key(session.user["id"], ["upload"]).split("_")[1]


@pytest.mark.parametrize("act", ["make a key", "rotate one", "set a password", "delete all"])
@pytest.mark.parametrize("end", [end_sessions, expire, disable, delete])
def test_a_session_that_another_process_has_ended_does_nothing_that_lasts(
    session: LoggedIn, device: str, database: Database, end: End, act: str
) -> None:
    assert session.call("GET", "/api/keys").status_code == 200  # it is cached for five seconds
    with database.connection() as connection:
        end(connection, session)
    before = lasting_of(database, session)
    problem_of(acts(session, device)[act](), 401)
    assert lasting_of(database, session) == before


@pytest.mark.parametrize("act", ["make a key", "rotate one", "set a password", "delete all"])
def test_what_waits_while_its_session_is_ended_is_refused(
    session: LoggedIn, device: str, database: Database, act: str
) -> None:
    assert session.call("GET", "/api/keys").status_code == 200
    with ended_once_it_waits(database, session, acts(session, device)[act]) as answer:
        pass
    problem_of(answer.result(), 401)


@contextmanager
def ended_once_it_waits(
    database: Database, session: LoggedIn, act: Callable[[], httpx2.Response]
) -> Iterator[Future[httpx2.Response]]:
    """Changes the user's password, and ends the session, in a transaction that ``act`` runs into.

    The moment of the end is after the beginning of what waits for it.
    """
    with ThreadPoolExecutor(1) as pool:
        with database.connection() as connection:
            change = {"user_id": session.user["id"], "password_hash": "another"}
            connection.execute(QUERIES["set_password"], change)
            answer = pool.submit(act)
            eventually(lambda: waits_for_a_user(database))
            late = "UPDATE api_keys SET revoked_at = clock_timestamp() WHERE id = %s"
            connection.execute(late, [key_id(session)])
        yield answer


def waits_for_a_user(database: Database) -> bool:
    with database.connection() as connection:
        waiting = connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'users'"
        ).fetchone()
    return waiting is not None


def lasting_of(database: Database, session: LoggedIn) -> list[Any]:
    """The user's keys and password."""
    with database.connection() as connection:
        keys = "SELECT id, expires_at, revoked_at FROM api_keys WHERE user_id = %s ORDER BY id"
        user = "SELECT email, password_hash, deleted_at FROM users WHERE id = %s"
        return [
            connection.execute(query, [session.user["id"]]).fetchall() for query in (keys, user)
        ]


def test_what_ends_sessions_here_ends_them_here_at_once(api: str, session: LoggedIn) -> None:
    other, third = (log_in(api, session.email) for _ in range(2))
    assert [status_with(api, each.key) for each in (other, third)] == [200, 200]  # cached
    assert session.call("DELETE", f"/api/keys/{key_id(third)}").status_code == 200
    assert status_with(api, third.key) == 401
    changed = session.call("PUT", "/api/users/me/password", password="a new password")
    assert changed.status_code == 200
    assert status_with(api, other.key) == 401
    problem_of(other.call("POST", "/api/keys", name="for ever", scopes=["admin"]), 401)
    assert session.call("DELETE", "/api/sessions/current").status_code == 200
    assert status_with(api, session.key) == 401


@pytest.mark.parametrize("how", ["reset-password", "revoke-key", "disable-user"])
def test_a_session_ended_by_the_operator_makes_no_key(
    session: LoggedIn, database_url: str, how: str
) -> None:
    assert session.call("GET", "/api/keys").status_code == 200
    if how == "reset-password":
        accounts.reset_password(database_url, session.email)
    elif how == "revoke-key":
        accounts.revoke_key(database_url, key_id(session))
    else:
        accounts.set_disabled(database_url, session.email, disabled=True)
    problem_of(session.call("POST", "/api/keys", name="for ever", scopes=["admin"]), 401)


def test_two_requests_at_once_make_no_more_keys_than_there_may_be(
    session: LoggedIn, database: Database
) -> None:
    """Both would count 99 otherwise, before either has stored the hundredth."""
    with database.connection() as connection:
        connection.execute(
            """INSERT INTO api_keys (id, user_id, hash, name, scopes)
               SELECT left(md5(random()::text), 16), %s, sha256(n::text::bytea), 'k', '{read}'
               FROM generate_series(1, 95) AS n""",
            [session.user["id"]],
        )

    def make(_: int) -> int:
        return session.call("POST", "/api/keys", name="one", scopes=["read"]).status_code

    with ThreadPoolExecutor(20) as pool:
        assert sorted(pool.map(make, range(20))) == 5 * [201] + 15 * [409]
