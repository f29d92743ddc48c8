"""Sessions: logging in makes an API key with every scope and an end; logging out revokes it."""

from http import HTTPStatus
from typing import Annotated, Final
from uuid import UUID

from msgspec import Meta, Struct
from psycopg.rows import class_row
from starlette.responses import Response

from api.identity.audit import write_audit
from api.identity.auth import Caller
from api.identity.keys import Key, Revocation
from api.identity.profile import Rider, read_rider
from api.identity.state import IdentityRequest, IdentityState
from api.web.body import JSON, MOST_OF_STRANGERS, read_json
from api.web.problems import Conflict, Unauthorized
from api.web.responses import json_response
from api.web.routing import CONFLICT, Operation, Operations
from shared.connections import BoundedConnection
from shared.credentials import SCOPES, make_key
from shared.emails import email_to_find
from shared.errors import ServiceUnavailable
from shared.passwords import is_outdated
from shared.sql import load_queries

QUERIES = load_queries("users")
MOST_SESSIONS: Final = 20

Password = Annotated[str, Meta(min_length=1, max_length=1000)]


class LogIn(Struct):
    """An account's address and password."""

    email: Annotated[str, Meta(max_length=320)]
    password: Password


class Session(Struct):
    """A session. `secret` is its key's whole text, shown this once: send it as any API key."""

    user: Rider
    key: Key
    secret: str
    success: bool = True


async def log_in(request: IdentityRequest) -> Response:
    """Open a session with a password.

    It ends by itself; the oldest of an account end when there are too many.
    """
    state = request.state
    wanted = await read_json(request, LogIn, state["settings"], most=MOST_OF_STRANGERS)
    # Not by PostgreSQL's `lower` alone, which has other ways to write an i.
    email = email_to_find(wanted.email).lower()
    await state["throttle"].admit_login(request, email)
    async with state["database"].connection() as connection:
        cursor = await connection.execute(QUERIES["find_login"], {"email": email})
        found = await cursor.fetchone()
    stored = found["password_hash"] if found else None
    if not await state["passwords"].matches(stored, wanted.password) or found is None:
        raise Unauthorized("the email address or the password is wrong")
    await state["throttle"].forgive(request, email)
    if stored and is_outdated(stored):
        stored = await _store_anew(state, found["id"], wanted.password, stored)
    return await open_session(state, found["id"], "password", stored)


async def log_out(request: IdentityRequest, caller: Caller) -> Response:
    """End the session in use."""
    if caller.session_since is None:
        raise Conflict("the key in use is no session: revoke it by DELETE /api/keys/…")
    async with request.state["database"].connection() as connection, connection.transaction():
        ended = {"id": caller.key_id, "user_id": caller.user_id}
        await connection.execute(QUERIES["revoke_key"], ended)
        await write_audit(connection, caller.user_id, "log_out", key_id=caller.key_id)
    request.state["authenticator"].forget(request)
    return json_response(Revocation())


async def open_session(
    state: IdentityState, user_id: UUID, by: str, compared: str | None = None
) -> Response:
    """Make a session of a user who has proved to be it, ``by`` password or a provider's name.

    Raises ServiceUnavailable if the hash that the password was compared with is no longer the
    user's, or the user has been shut out: the same again will tell.
    """
    async with state["database"].connection() as connection, connection.transaction():
        login = {"user_id": user_id, "compared": compared}
        cursor = await connection.execute(QUERIES["note_login"], login)
        if await cursor.fetchone() is None:
            raise ServiceUnavailable("the account has changed since the login began")
        key, secret = await _create_session(connection, user_id, state)
        await end_sessions(connection, user_id, newest=MOST_SESSIONS)
        await write_audit(connection, user_id, "log_in", {"key": key.id, "by": by})
    session = Session(await read_rider(state, user_id), key, secret)
    return json_response(session, HTTPStatus.CREATED)


async def end_sessions(
    connection: BoundedConnection, user_id: UUID, *, newest: int = 0, kept: tuple[str, ...] = ()
) -> None:
    """End all sessions but those to keep."""
    parameters = {"user_id": user_id, "newest": newest, "kept": list(kept)}
    await connection.execute(QUERIES["end_sessions"], parameters)


async def _create_session(
    connection: BoundedConnection, user_id: UUID, state: IdentityState
) -> tuple[Key, str]:
    fresh = make_key()
    stored = {
        "id": fresh.id,
        "hash": fresh.hash,
        "user_id": user_id,
        "name": "session",
        "scopes": sorted(SCOPES),
        "lifetime": state["settings"].session_lifetime,
    }
    async with connection.cursor(row_factory=class_row(Key)) as cursor:
        await cursor.execute(QUERIES["create_session"], stored)
        key = await cursor.fetchone()
    assert key is not None  # INSERT … RETURNING gives a row  # noqa: S101
    return key, fresh.text


async def _store_anew(state: IdentityState, user_id: UUID, password: str, compared: str) -> str:
    """Hash a password that is known just now by today's parameters, unless it has been changed."""
    hashed = await state["passwords"].hash(password)
    renewal = {"user_id": user_id, "password_hash": hashed, "compared": compared}
    async with state["database"].connection() as connection:
        cursor = await connection.execute(QUERIES["renew_hash"], renewal)
        return hashed if await cursor.fetchone() else compared


OPERATIONS = Operations(
    "sessions",
    "Log in and out",
    (
        Operation(
            "POST",
            "/api/sessions",
            log_in,
            {HTTPStatus.CREATED: Session},
            body={JSON: LogIn},
            example={"email": "me@example.com", "password": "four words of mine"},
            headers=("Cache-Control",),
            refusals={
                HTTPStatus.UNAUTHORIZED: "The email address or the password is wrong",
                HTTPStatus.TOO_MANY_REQUESTS: "Tried too often; wait for Retry-After",
            },
        ),
        Operation(
            "DELETE",
            "/api/sessions/current",
            log_out,
            {HTTPStatus.OK: Revocation},
            "admin",
            refusals=CONFLICT,
        ),
    ),
)
