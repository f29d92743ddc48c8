"""Apps that the operator registers, and every app there is, from the command line."""

import secrets
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from ops.processes import ProcessFailed
from shared.connections import DatabaseConnection, Row
from shared.credentials import hash_key
from shared.redirects import MOST_REDIRECTS, redirect_fault
from shared.sql import load_queries

QUERIES = load_queries("apps")
_AUDIT = load_queries("users")["write_audit"]
# Whose app it is in the audit log, where the operator has registered it.
NOBODY = UUID(int=0)


class NewApp(NamedTuple):
    """An app. ``secret``, of a confidential one, exists nowhere else."""

    client_id: str
    secret: str | None


def create_app(
    database_url: str, name: str, redirect_uris: Sequence[str], *, confidential: bool
) -> NewApp:
    """Register an app of the operator's. Raises ProcessFailed."""
    if not redirect_uris or len(redirect_uris) > MOST_REDIRECTS:
        raise ProcessFailed(f"say REDIRECT_URI=…, one to {MOST_REDIRECTS} of them")
    for uri in redirect_uris:
        if fault := redirect_fault(uri):
            raise ProcessFailed(f"{uri!r} {fault}")
    secret = secrets.token_urlsafe(32) if confidential else None
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        stored = {"user_id": None, "name": name, "redirect_uris": list(redirect_uris)}
        hash_ = hash_key(secret) if secret else None
        app = connection.execute(QUERIES["create_app"], {**stored, "secret_hash": hash_}).fetchone()
        assert app is not None  # INSERT … RETURNING gives a row  # noqa: S101
        _audit(connection, NOBODY, "register_app", {"app": str(app["id"]), "name": name})
    return NewApp(str(app["id"]), secret)


def read_apps(database_url: str) -> list[Row]:
    """Every app, the oldest first."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        return connection.execute(QUERIES["list_all_apps"]).fetchall()


def end_app(database_url: str, client_id: str) -> str:
    """Delete an app, and with it all that riders let it in by; its name. Raises ProcessFailed."""
    try:
        app_id = UUID(client_id)
    except ValueError:
        raise ProcessFailed(f"{client_id!r} is no client id; `make apps` lists them") from None
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        found = connection.execute(QUERIES["delete_any_app"], {"id": app_id}).fetchone()
        if found is None:
            raise ProcessFailed("there is no such app; `make apps` lists them")
        detail = {"app": str(app_id), "name": found["name"]}
        _audit(connection, found["user_id"] or NOBODY, "delete_app", detail)
    return str(found["name"])


def _audit(
    connection: DatabaseConnection, user_id: UUID, action: str, detail: dict[str, object]
) -> None:
    """By nobody's key: from the command line."""
    row = {"user_id": user_id, "key_id": None, "action": action, "detail": Jsonb(detail)}
    connection.execute(_AUDIT, row)
