"""Log in with a password, and log out of any session."""

from http import HTTPStatus
from typing import Annotated, Any

from msgspec import Meta, Struct
from starlette.requests import HTTPConnection
from starlette.responses import Response

from api.identity import store
from api.identity.auth import Caller
from api.identity.sessions import Session, open_session
from api.identity.state import IdentityRequest, IdentityState
from api.identity.store import Login
from api.identity.wire import Revocation
from api.web.body import JSON, MOST_OF_STRANGERS, read_json
from api.web.problems import Conflict, Unauthorized
from api.web.responses import json_response
from api.web.routing import CONFLICT, Operation, Operations
from shared.emails import email_to_find
from shared.passwords import is_outdated

Password = Annotated[str, Meta(min_length=1, max_length=1000)]


class LogIn(Struct):
    """An account's address and password."""

    email: Annotated[str, Meta(max_length=320)]
    password: Password


async def log_in(request: IdentityRequest) -> Response:
    """Open a session with a password.

    It ends by itself; the oldest of an account end when there are too many.
    """
    wanted = await read_json(request, LogIn, request.state["settings"], most=MOST_OF_STRANGERS)
    session = await open_by_password(request.state, request, wanted)
    return json_response(session, HTTPStatus.CREATED)


async def open_by_password(
    state: IdentityState, request: HTTPConnection[Any], wanted: LogIn
) -> Session:
    """A session of who has the password. Raises Unauthorized, TooManyRequests."""
    # Not by PostgreSQL's `lower` alone, which has other ways to write an i.
    email = email_to_find(wanted.email).lower()
    await state["throttle"].admit_login(request, email)
    login = await _check_password(state, email, wanted.password)
    await state["throttle"].forgive(request, email)
    compared = await _renew_outdated(state, login, wanted.password)
    return await open_session(state, login.id, "password", compared)


async def log_out(request: IdentityRequest, caller: Caller) -> Response:
    """End the session in use."""
    if caller.session_since is None:
        raise Conflict("the key in use is no session: revoke it by DELETE /api/keys/…")
    await end_session(request.state, caller)
    return json_response(Revocation())


async def end_session(state: IdentityState, caller: Caller) -> None:
    """Have the caller's key, a session, open nothing more."""
    async with state["database"].connection() as connection, connection.transaction():
        await store.revoke_key(connection, caller.user_id, caller.key_id)
        await store.write_audit(connection, caller.user_id, "log_out", key_id=caller.key_id)
    state["authenticator"].forget_keys({caller.key_id})


async def _check_password(state: IdentityState, email: str, password: str) -> Login:
    """The user who logs in. Raises Unauthorized.

    An unknown address costs a comparison too, so that the time does not tell which are known.
    """
    login = await store.find_login(state["database"], email)
    stored = login.password_hash if login else None
    if not await state["passwords"].matches(stored, password) or login is None:
        raise Unauthorized("the email address or the password is wrong")
    return login


async def _renew_outdated(state: IdentityState, login: Login, password: str) -> str:
    """The user's hash, made anew first if its parameters are no longer those of today.

    Only here is the password itself at hand. Where the user has changed it meanwhile, the hash
    remains what it was compared with, by which `open_session` notices.
    """
    if not is_outdated(login.password_hash):
        return login.password_hash
    hashed = await state["passwords"].hash(password)
    renewed = await store.renew_hash(state["database"], login, hashed)
    return hashed if renewed else login.password_hash


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
