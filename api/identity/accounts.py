"""Accounts: register, change the password, delete everything."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from email_validator import EmailNotValidError
from msgspec import Meta, Struct
from starlette.responses import Response

from api.identity.audit import write_audit
from api.identity.auth import Caller, require_fresh_session
from api.identity.profile import Rider, read_rider
from api.identity.sessions import end_sessions
from api.identity.state import IdentityRequest, IdentityState
from api.web.body import JSON, MOST_OF_STRANGERS, read_json
from api.web.problems import Conflict, Fault, Forbidden, Unprocessable
from api.web.responses import json_response
from api.web.routing import CONFLICT, Operation, Operations
from shared.connections import BoundedConnection
from shared.credentials import hash_key
from shared.emails import normal_email
from shared.sql import load_queries

QUERIES = load_queries("users")

NewPassword = Annotated[str, Meta(min_length=8, max_length=1000)]


class Registration(Struct, rename="camel"):
    """A new account. `invitation`: a code from whoever runs the service, where one is needed."""

    email: Annotated[str, Meta(max_length=320, extra_json_schema={"format": "email"})]
    password: NewPassword
    display_name: Annotated[str, Meta(max_length=100, pattern="^[^\x00]*$")] | None = None
    invitation: Annotated[str, Meta(max_length=100)] | None = None


class RegistrationAnswer(Struct):
    """The new account. Log in to use it."""

    user: Rider
    success: bool = True


class ChangePassword(Struct):
    """The password that holds from now on."""

    password: NewPassword


class PasswordChange(Struct):
    """It holds; every other session has ended. API keys go on opening."""

    success: bool = True


class AccountDeletion(Struct):
    """Every key is shut at once, and all that was stored is gone within a day.

    What stays is the record of what was done to keys, under an id that leads to nobody any more.
    """

    success: bool = True


async def register(request: IdentityRequest) -> Response:
    """Create an account, where the service takes new ones."""
    state = request.state
    wanted = await read_json(request, Registration, state["settings"], most=MOST_OF_STRANGERS)
    email = checked_email(wanted.email)
    require_registration(state, wanted.invitation)
    await state["throttle"].admit_registration(request)
    identity = {
        "email": email,
        "password_hash": await state["passwords"].hash(wanted.password),
        "provider": None,
        "provider_id": None,
        "display_name": wanted.display_name or None,
    }
    async with state["database"].connection() as connection, connection.transaction():
        user_id = await create_user(connection, identity, state, wanted.invitation)
    return json_response(
        RegistrationAnswer(await read_rider(state, user_id)),
        HTTPStatus.CREATED,
        {"Location": "/api/users/me"},
    )


def require_registration(state: IdentityState, invitation: str | None) -> None:
    """Raises Forbidden if the service takes nobody new, or only those with a code."""
    mode = state["settings"].registration
    if mode == "closed":
        raise Forbidden("this service takes no new accounts")
    if mode == "invite" and not invitation:
        raise Forbidden("this service takes new accounts by invitation only")


async def create_user(
    connection: BoundedConnection,
    identity: dict[str, str | None],
    state: IdentityState,
    invitation: str | None,
) -> UUID:
    """A new user's id, in a transaction of the caller's. Raises Conflict, Forbidden."""
    cursor = await connection.execute(QUERIES["register"], identity)
    row = await cursor.fetchone()
    if state["settings"].registration == "invite":  # first: whoever has none learns of no address
        await _use_invitation(connection, row["id"] if row else None, invitation or "")
    if row is None:  # and with the transaction goes the use of the invitation
        raise Conflict("there is an account with this email address")
    user_id: UUID = row["id"]
    await write_audit(connection, user_id, "register", {"provider": identity["provider"]})
    return user_id


async def change_password(request: IdentityRequest, caller: Caller) -> Response:
    """Set the password. Needs a session opened within the last ten minutes."""
    require_fresh_session(caller)
    state = request.state
    wanted = await read_json(request, ChangePassword, state["settings"])
    await state["throttle"].admit_password_change(caller.user_id)
    hashed = await state["passwords"].hash(wanted.password)
    change = {"user_id": caller.user_id, "password_hash": hashed}
    async with state["database"].connection() as connection, connection.transaction():
        await connection.execute(QUERIES["set_password"], change)
        await end_sessions(connection, caller.user_id, kept=(caller.key_id,))
        await write_audit(connection, caller.user_id, "change_password", key_id=caller.key_id)
    return json_response(PasswordChange())


async def delete_account(request: IdentityRequest, caller: Caller) -> Response:
    """Delete the account and all that belongs to it.

    Needs a session opened within the last ten minutes. There is no way back.
    """
    require_fresh_session(caller)
    user = {"user_id": caller.user_id}
    async with request.state["database"].connection() as connection, connection.transaction():
        await connection.execute(QUERIES["delete_user"], user)
        await connection.execute(QUERIES["delete_keys"], user)
        await write_audit(connection, caller.user_id, "delete_account", key_id=caller.key_id)
    request.state["authenticator"].forget_user(caller.user_id)
    return json_response(AccountDeletion(), HTTPStatus.ACCEPTED)


def checked_email(text: str) -> str:
    """An address in its normal form. Raises Unprocessable."""
    try:
        return normal_email(text)
    except EmailNotValidError as error:
        fault = Fault(str(error), "email")
        raise Unprocessable(f"email: {fault.detail}", [fault]) from None


async def _use_invitation(connection: BoundedConnection, user_id: UUID | None, code: str) -> None:
    used = {"user_id": user_id, "hash": hash_key(code)}
    cursor = await connection.execute(QUERIES["use_invitation"], used)
    if await cursor.fetchone() is None:
        raise Forbidden("the invitation is unknown, used or expired")


OPERATIONS = Operations(
    "accounts",
    "Register, change the password, delete everything",
    (
        Operation(
            "POST",
            "/api/users",
            register,
            {HTTPStatus.CREATED: RegistrationAnswer},
            body={JSON: Registration},
            example={
                "email": "me@example.com",
                "password": "four words of mine",
                "displayName": "Me",
            },
            headers=("Location",),
            refusals={
                **CONFLICT,
                HTTPStatus.FORBIDDEN: "No new accounts, or only by invitation",
                HTTPStatus.TOO_MANY_REQUESTS: "Tried too often; wait for Retry-After",
            },
        ),
        Operation(
            "PUT",
            "/api/users/me/password",
            change_password,
            {HTTPStatus.OK: PasswordChange},
            "admin",
            body={JSON: ChangePassword},
            example={"password": "four other words"},
            refusals={HTTPStatus.TOO_MANY_REQUESTS: "Changed too often; wait for Retry-After"},
        ),
        Operation(
            "DELETE",
            "/api/users/me",
            delete_account,
            {HTTPStatus.ACCEPTED: AccountDeletion},
            "admin",
        ),
    ),
)
