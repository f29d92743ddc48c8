"""Users and keys, from the command line."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import psycopg
from email_validator import EmailNotValidError
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from ops.processes import ProcessFailed
from shared.connections import DatabaseConnection, Row
from shared.credentials import SCOPES, hash_key, key_id_of, make_key
from shared.emails import LookAlike, email_to_find, new_email
from shared.passwords import hash_password, make_password
from shared.sql import load_queries

QUERIES = load_queries("users")


class Account(NamedTuple):
    """A user with a fresh key. ``api_key`` exists nowhere else. ``is_new``: so is the user."""

    user_id: str
    email: str
    api_key: str
    is_new: bool = False


def create_account(
    database_url: str, email: str, key_name: str, expires_at: datetime | None = None
) -> Account:
    """Create the user unless there is one with that address, and a key with every scope.

    Raises ProcessFailed for a new address that could be taken for another.
    """
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        _require_plain(connection, email)
        user = connection.execute(
            QUERIES["create_user"], {"email": email_to_find(email), "display_name": None}
        ).fetchone()
        assert user is not None  # INSERT … RETURNING gives a row  # noqa: S101
        if user["is_new"]:
            _audit(connection, user["id"], "create_user", {})
        account = _add_key(connection, user, key_name, list(SCOPES), expires_at)
        return account._replace(is_new=user["is_new"])


def create_key(
    database_url: str, email: str, name: str, scopes: Sequence[str], expires_at: datetime | None
) -> Account:
    """A further key of a user. Raises ProcessFailed if there is no such user."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        user = _find_user(connection, email)
        return _add_key(connection, user, name, scopes, expires_at)


def create_invitation(database_url: str, lifetime: float) -> str:
    """A code that makes one account, for so many seconds."""
    code = secrets.token_urlsafe(18)
    with psycopg.connect(database_url) as connection:
        stored = {"hash": hash_key(code), "lifetime": lifetime}
        connection.execute(QUERIES["create_invitation"], stored)
    return code


def reset_password(database_url: str, email: str) -> str:
    """A new password of a user, whose sessions all end. Raises ProcessFailed."""
    password = make_password()
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        user = _find_user(connection, email)
        change = {"user_id": user["id"], "password_hash": hash_password(password)}
        connection.execute(QUERIES["set_password"], change)
        connection.execute(QUERIES["end_sessions"], {**change, "newest": 0, "kept": []})
        _audit(connection, user["id"], "reset_password", {})
    return password


def read_users(database_url: str) -> list[Row]:
    """Every user, the oldest first."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        return connection.execute(QUERIES["list_users"]).fetchall()


def read_storage(database_url: str) -> list[Row]:
    """What is stored of every user, in bytes; the largest first."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        return connection.execute(QUERIES["list_storage"]).fetchall()


def read_keys(database_url: str, email: str) -> list[Row]:
    """A user's keys that open, newest first. Raises ProcessFailed if there is no such user."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        user = _find_user(connection, email)
        return connection.execute(QUERIES["list_keys"], {"user_id": user["id"]}).fetchall()


def revoke_key(database_url: str, key: str) -> None:
    """Make a key open nothing more, named by its id or whole. Raises ProcessFailed."""
    key_id = key_id_of(key) or key
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        found = connection.execute(QUERIES["revoke_any_key"], {"id": key_id}).fetchone()
        if found is None:
            raise ProcessFailed(
                "there is no such key that opens; `make keys EMAIL=…` lists a user's"
            )
        _audit(connection, found["user_id"], "revoke_key", {"key": key_id})


def set_disabled(database_url: str, email: str, *, disabled: bool) -> None:
    """Shut a user out, or let them in again; nothing is deleted. Raises ProcessFailed.

    The access tokens of the apps that a disabled user has registered end, whoever let them in.
    """
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        wanted = {"email": email_to_find(email), "disabled": disabled}
        found = connection.execute(QUERIES["set_disabled"], wanted).fetchone()
        if found is None:
            raise ProcessFailed(f"there is no user {email!r}")
        if disabled:
            connection.execute(QUERIES["end_tokens_of_apps"], {"user_id": found["id"]})
        _audit(connection, found["id"], "disable_user" if disabled else "enable_user", {})


def _require_plain(connection: DatabaseConnection, email: str) -> None:
    known = connection.execute(QUERIES["find_by_email"], {"email": email_to_find(email)}).fetchone()
    if known is None:
        try:
            new_email(email)
        except LookAlike as error:
            raise ProcessFailed(f"{email!r}: {error}") from None
        except EmailNotValidError:
            return  # a name of the operator's own


def _find_user(connection: DatabaseConnection, email: str) -> Row:
    found = connection.execute(QUERIES["find_by_email"], {"email": email_to_find(email)}).fetchone()
    if found is None:
        raise ProcessFailed(f"there is no user {email!r}")
    return found


def _add_key(
    connection: DatabaseConnection,
    user: Row,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime | None,
) -> Account:
    key = make_key()
    stored = {"id": key.id, "user_id": user["id"], "hash": key.hash, "expires_at": expires_at}
    connection.execute(QUERIES["create_key"], {**stored, "name": name, "scopes": list(scopes)})
    _audit(connection, user["id"], "create_key", {"key": key.id, "scopes": list(scopes)})
    return Account(str(user["id"]), str(user["email"]), key.text)


def _audit(
    connection: DatabaseConnection, user_id: UUID, action: str, detail: dict[str, object]
) -> None:
    """By nobody's key: from the command line."""
    row = {"user_id": user_id, "key_id": None, "action": action, "detail": Jsonb(detail)}
    connection.execute(QUERIES["write_audit"], row)
