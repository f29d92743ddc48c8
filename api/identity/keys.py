"""A user's API keys: list, create, rotate, revoke. A key's text is shown once, when it is made."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct
from starlette.responses import Response

from api.identity import store
from api.identity.auth import Caller, refuse_local, require_open_key
from api.identity.state import IdentityRequest
from api.identity.wire import Key, KeyList, Revocation
from api.repeats.once import Once, once
from api.web.body import JSON, read_json
from api.web.problems import Fault, LimitReached, NotFound, RevokedSince, Unprocessable
from api.web.responses import json_response
from api.web.routing import CONFLICT, Operation, Operations, Scope
from shared.connections import BoundedConnection
from shared.credentials import NewKey, make_key
from shared.moments import Instant

MOST_KEYS: Final = 100  # of a user, that open at a time
_DAY: Final = 86_400

Name = Annotated[str, Meta(min_length=1, max_length=100, pattern="^[^\x00]*$")]


class CreateKey(Struct, rename="camel"):
    """What a key is for: name the device or program. Without `expiresAt` it opens until revoked."""

    name: Name
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=3)]
    expires_at: Instant | None = None


class RotateKey(Struct):
    """For how many seconds the old key goes on opening."""

    overlap: Annotated[float, Meta(ge=0, le=30 * _DAY)] = _DAY


class FreshKey(Struct):
    """A new key. `secret` is its whole text, shown this once."""

    key: Key
    secret: str
    success: bool = True


async def list_keys(request: IdentityRequest, caller: Caller) -> Response:
    """The caller's keys."""
    keys = await store.list_keys(request.state["database"], caller.user_id)
    return json_response(KeyList(keys))


async def create_key(request: IdentityRequest, caller: Caller) -> Response:
    """Make a key."""
    refuse_local(caller)
    wanted = await read_json(request, CreateKey, request.state["settings"])
    _require_future(wanted.expires_at)
    fresh, wanted.scopes = make_key(), sorted(set(wanted.scopes))  # in whatever order
    async with _made_once(request, caller, wanted) as made:
        if made.answer:
            return await _show_again(made.connection, caller, made.answer)
        key = await store.create_key(
            made.connection, caller.user_id, fresh, wanted.name, wanted.scopes, wanted.expires_at
        )
        await _audit(made.connection, caller, "create_key", key)
        return await made.keep(caller.user_id, _show(key, fresh))


async def rotate_key(request: IdentityRequest, caller: Caller) -> Response:
    """Replace a key by a new one of the same name, scopes and expiry."""
    refuse_local(caller)
    wanted = await read_json(request, RotateKey, request.state["settings"])
    old_id, fresh = _key_id_of(request), make_key()
    async with _made_once(request, caller, wanted) as made:
        if made.answer:
            return await _show_again(made.connection, caller, made.answer)
        key = await store.rotate_key(made.connection, caller.user_id, old_id, fresh, wanted.overlap)
        if key is None:
            raise NotFound("no such key")
        await _audit(made.connection, caller, "rotate_key", key, old_id)
        return await made.keep(caller.user_id, _show(key, fresh))


async def revoke_key(request: IdentityRequest, caller: Caller) -> Response:
    """Make a key open nothing more."""
    key_id, user_id = _key_id_of(request), caller.user_id
    async with request.state["database"].connection() as connection, connection.transaction():
        if not await store.revoke_key(connection, user_id, key_id):
            raise NotFound("no such key")
        detail = {"key": key_id}
        await store.write_audit(connection, user_id, "revoke_key", detail, key_id=caller.key_id)
    request.state["authenticator"].forget_keys({key_id})
    return json_response(Revocation())


@asynccontextmanager
async def _made_once(
    request: IdentityRequest, caller: Caller, wanted: Struct
) -> AsyncIterator[Once]:
    """A transaction in which there is room for another key, unless one was made before.

    Raises Unauthorized, Conflict, TooManyRequests, and as ``once`` does.
    """
    async with once(request, str(caller.user_id), wanted) as made:
        await require_open_key(made.connection, caller)
        if not made.answer:
            await request.state["throttle"].admit_key(caller.user_id)
            await _require_room(made.connection, caller)
        yield made


def _require_future(moment: datetime | None) -> None:
    """Raises Unprocessable for what is past, or a hundred years ahead."""
    now = datetime.now(UTC)
    if moment is not None and not (now < moment and moment.year < now.year + 100):
        fault = Fault("is not in the future, or too far in it", "expiresAt")
        raise Unprocessable(f"expiresAt {fault.detail}", [fault])


def _key_id_of(request: IdentityRequest) -> str:
    """The id in the path. A malformed one names no key, as an absent one does."""
    text: str = request.path_params["key"]
    if not re.fullmatch("[0-9a-f]{16}", text):
        raise NotFound("no such key")
    return text


async def _require_room(connection: BoundedConnection, caller: Caller) -> None:
    """Raises Conflict. Rotated keys count for as long as they go on opening."""
    if await store.count_keys(connection, caller.user_id) >= MOST_KEYS:
        raise LimitReached(f"there are {MOST_KEYS} keys that open already: revoke one")


async def _audit(
    connection: BoundedConnection, caller: Caller, action: str, key: Key, old_id: str | None = None
) -> None:
    detail = {"key": key.id, "scopes": key.scopes, "from": old_id}
    await store.write_audit(connection, caller.user_id, action, detail, key_id=caller.key_id)


def _show(key: Key, fresh: NewKey) -> Response:
    return json_response(FreshKey(key, fresh.text), HTTPStatus.CREATED)


async def _show_again(connection: BoundedConnection, caller: Caller, answer: Response) -> Response:
    """The first answer, about the key as it is now. Raises RevokedSince."""
    made = msgspec.json.decode(answer.body, type=FreshKey)
    key = await store.find_open_key(connection, caller.user_id, made.key.id)
    if key is None:
        raise RevokedSince("the key that this request made does not open any more")
    return json_response(FreshKey(key, made.secret), HTTPStatus.CREATED)


_REFUSALS: Final = {
    **CONFLICT,
    HTTPStatus.TOO_MANY_REQUESTS: "Made too many; wait for Retry-After",
}

OPERATIONS = Operations(
    "keys",
    "For devices and programs",
    (
        Operation(
            "GET", "/api/keys", list_keys, {HTTPStatus.OK: KeyList}, "admin", of_primary=True
        ),
        Operation(
            "POST",
            "/api/keys",
            create_key,
            {HTTPStatus.CREATED: FreshKey},
            "admin",
            body={JSON: CreateKey},
            example={"name": "head unit", "scopes": ["upload"]},
            headers=("Cache-Control",),
            refusals=_REFUSALS,
            makes=("key", "$response.body#/key/id"),
            takes_key=True,
        ),
        Operation(
            "POST",
            "/api/keys/{key}/rotate",
            rotate_key,
            {HTTPStatus.CREATED: FreshKey},
            "admin",
            body={JSON: RotateKey},
            example={"overlap": 3600},
            headers=("Cache-Control",),
            refusals=_REFUSALS,
            makes=("key", "$response.body#/key/id"),
            takes_key=True,
        ),
        Operation("DELETE", "/api/keys/{key}", revoke_key, {HTTPStatus.OK: Revocation}, "admin"),
    ),
)
