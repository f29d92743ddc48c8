"""Accounts: register, change the password, delete everything."""

from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct
from starlette.requests import HTTPConnection
from starlette.responses import Response

from api.identity import store
from api.identity.auth import Caller, require_fresh_session, require_open_key
from api.identity.erasing import erase_streams
from api.identity.registration import (
    add_user,
    checked_email,
    create_user,
    require_registration,
)
from api.identity.state import IdentityRequest, IdentityState
from api.identity.store import NewUser
from api.identity.throttle import network_of
from api.identity.wire import Rider
from api.repeats.once import find_repeated, once
from api.web.body import JSON, MOST_OF_STRANGERS, read_json
from api.web.query import TimeZone, time_zone_of
from api.web.responses import json_response
from api.web.routing import CONFLICT, Operation, Operations

NewPassword = Annotated[str, Meta(min_length=8, max_length=1000)]


class Registration(Struct, rename="camel"):
    """A new account. `invitation`: a code from whoever runs the service, where one is needed."""

    email: Annotated[str, Meta(max_length=320, extra_json_schema={"format": "email"})]
    password: NewPassword
    display_name: Annotated[str, Meta(max_length=100, pattern="^[^\x00]*$")] | None = None
    invitation: Annotated[str, Meta(max_length=100)] | None = None
    time_zone: TimeZone = "UTC"


class RegistrationAnswer(Struct):
    """The new account. Log in to use it."""

    user: Rider
    success: bool = True


class ChangePassword(Struct):
    """The password that holds from now on."""

    password: NewPassword


class PasswordChange(Struct):
    """It holds; every other session has ended. API keys and apps go on."""

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
    owner = network_of(request)
    if answer := await find_repeated(request, owner, wanted):
        return answer
    user = await _admit(state, request, wanted)
    async with once(request, owner, wanted) as made:
        if made.answer:
            return made.answer
        user_id = await add_user(made.connection, state["settings"], user, wanted.invitation)
        rider = RegistrationAnswer(await store.read_profile(made.connection, user_id))
        location = {"Location": "/api/users/me"}
        return await made.keep(user_id, json_response(rider, HTTPStatus.CREATED, location))


async def create_account(
    state: IdentityState, request: HTTPConnection[Any], wanted: Registration
) -> UUID:
    """The id of a new user.

    Raises Unprocessable, Forbidden, Conflict, TooManyRequests, ServiceUnavailable.
    """
    user = await _admit(state, request, wanted)
    return await create_user(state, user, wanted.invitation)


async def _admit(
    state: IdentityState, request: HTTPConnection[Any], wanted: Registration
) -> NewUser:
    """Who may become a user. Raises as ``create_account`` does."""
    email = checked_email(wanted.email)
    time_zone = time_zone_of(wanted.time_zone, "timeZone")
    require_registration(state["settings"], wanted.invitation)
    await state["throttle"].admit_registration(request)
    hashed = await state["passwords"].hash(wanted.password)
    return NewUser(email, wanted.display_name or None, time_zone, password_hash=hashed)


async def change_password(request: IdentityRequest, caller: Caller) -> Response:
    """Set the password. Needs a session opened within the last ten minutes."""
    require_fresh_session(caller)
    state, user_id = request.state, caller.user_id
    wanted = await read_json(request, ChangePassword, state["settings"])
    await state["throttle"].admit_password_change(user_id)
    hashed = await state["passwords"].hash(wanted.password)
    async with state["database"].connection() as connection, connection.transaction():
        await require_open_key(connection, caller)
        await store.set_password(connection, user_id, hashed)
        await store.end_sessions(connection, user_id, kept=(caller.key_id,))
        await store.write_audit(connection, user_id, "change_password", key_id=caller.key_id)
    state["authenticator"].forget_user(user_id)
    return json_response(PasswordChange())


async def delete_account(request: IdentityRequest, caller: Caller) -> Response:
    """Delete the account and all that belongs to it.

    Needs a session opened within the last ten minutes. There is no way back.
    """
    require_fresh_session(caller)
    state, user_id = request.state, caller.user_id
    async with state["database"].connection() as connection, connection.transaction():
        await require_open_key(connection, caller)
        await store.delete_user(connection, user_id)
        await store.write_audit(connection, user_id, "delete_account", key_id=caller.key_id)
        await erase_streams(state["redis"], user_id)
    state["authenticator"].forget_user(user_id)
    return json_response(AccountDeletion(), HTTPStatus.ACCEPTED)


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
            takes_key=True,
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
