"""A user's API keys: list, create, rotate, revoke. A key's text is shown once, when it is made."""

import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from msgspec import Meta, Struct
from psycopg.rows import class_row
from starlette.responses import Response

from api.identity.audit import write_audit
from api.identity.auth import Caller
from api.identity.state import IdentityRequest
from api.web.body import JSON, read_json
from api.web.problems import Conflict, Fault, NotFound, Unprocessable
from api.web.responses import json_response
from api.web.routing import CONFLICT, Operation, Operations
from shared.connections import BoundedConnection
from shared.credentials import NewKey, make_key
from shared.sql import load_queries

QUERIES = load_queries("users")
MOST_KEYS: Final = 100
_DAY: Final = 86_400

Scope = Literal["upload", "read", "admin"]
Name = Annotated[str, Meta(min_length=1, max_length=100, pattern="^[^\x00]*$")]


class Key(Struct, rename="camel"):
    """An API key without its secret. `id` is the part after `bpt_`, which tells keys apart."""

    id: str
    name: str
    scopes: list[Scope]
    session: Annotated[bool, Meta(description="Made by logging in")]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: Annotated[datetime | None, Meta(description="When a rotated key ends")]
    last_used_at: datetime | None


class CreateKey(Struct, rename="camel"):
    """What a key is for: name the device or program. Without `expiresAt` it opens until revoked."""

    name: Name
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=3)]
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class RotateKey(Struct):
    """For how many seconds the old key goes on opening."""

    overlap: Annotated[float, Meta(ge=0, le=30 * _DAY)] = _DAY


class KeyList(Struct):
    """The keys that open now, newest first."""

    keys: list[Key]


class FreshKey(Struct):
    """A new key. `secret` is its whole text, shown this once."""

    key: Key
    secret: str
    success: bool = True


class Revocation(Struct):
    """The key opens nothing more, everywhere within five seconds."""

    success: bool = True


async def list_keys(request: IdentityRequest, caller: Caller) -> Response:
    """The caller's keys."""
    async with (
        request.state["database"].connection() as connection,
        connection.cursor(row_factory=class_row(Key)) as cursor,
    ):
        await cursor.execute(QUERIES["list_keys"], {"user_id": caller.user_id})
        return json_response(KeyList(await cursor.fetchall()))


async def create_key(request: IdentityRequest, caller: Caller) -> Response:
    """Make a key."""
    wanted = await read_json(request, CreateKey, request.state["settings"])
    if wanted.expires_at is not None and not _is_future(wanted.expires_at):
        fault = Fault("is not in the future, or too far in it", "expiresAt")
        raise Unprocessable(f"expiresAt {fault.detail}", [fault])
    fresh = make_key()
    parameters = {
        "name": wanted.name,
        "scopes": sorted(set(wanted.scopes)),
        "expires_at": wanted.expires_at,
    }
    key = await _make(request, caller, fresh, "create_key", parameters)
    assert key is not None  # INSERT … RETURNING gives a row  # noqa: S101
    return _show(key, fresh)


async def rotate_key(request: IdentityRequest, caller: Caller) -> Response:
    """Replace a key by a new one of the same name, scopes and expiry."""
    wanted = await read_json(request, RotateKey, request.state["settings"])
    fresh, old_id = make_key(), _key_id_of(request)
    parameters = {"old_id": old_id, "overlap": wanted.overlap}
    key = await _make(request, caller, fresh, "rotate_key", parameters)
    if key is None:
        raise NotFound("no such key")
    return _show(key, fresh)


async def revoke_key(request: IdentityRequest, caller: Caller) -> Response:
    """Make a key open nothing more."""
    key_id = _key_id_of(request)
    async with request.state["database"].connection() as connection, connection.transaction():
        revoked = {"id": key_id, "user_id": caller.user_id}
        cursor = await connection.execute(QUERIES["revoke_key"], revoked)
        if await cursor.fetchone() is None:
            raise NotFound("no such key")
        await write_audit(
            connection, caller.user_id, "revoke_key", {"key": key_id}, key_id=caller.key_id
        )
    request.state["authenticator"].forget_key(key_id)
    return json_response(Revocation())


def _key_id_of(request: IdentityRequest) -> str:
    """The id in the path. A malformed one names no key, as an absent one does."""
    text: str = request.path_params["key"]
    if not re.fullmatch("[0-9a-f]{16}", text):
        raise NotFound("no such key")
    return text


async def _make(
    request: IdentityRequest, caller: Caller, fresh: NewKey, action: str, parameters: dict[str, Any]
) -> Key | None:
    """Store a fresh key by the query of the action, and note who did it. Raises Conflict."""
    stored = {"id": fresh.id, "hash": fresh.hash, "user_id": caller.user_id, **parameters}
    async with request.state["database"].connection() as connection, connection.transaction():
        await _require_room(connection, caller.user_id)
        async with connection.cursor(row_factory=class_row(Key)) as cursor:
            await cursor.execute(QUERIES[action], stored)
            key = await cursor.fetchone()
        if key is not None:
            detail = {"key": key.id, "scopes": list(key.scopes), "from": parameters.get("old_id")}
            await write_audit(connection, caller.user_id, action, detail, key_id=caller.key_id)
    return key


async def _require_room(connection: BoundedConnection, user_id: UUID) -> None:
    """Raises Conflict. Rotated keys count for as long as they go on opening."""
    cursor = await connection.execute(QUERIES["count_keys"], {"user_id": user_id})
    row = await cursor.fetchone()
    if row and row["keys"] >= MOST_KEYS:
        raise Conflict(f"there are {MOST_KEYS} keys that open already: revoke one")


def _show(key: Key, fresh: NewKey) -> Response:
    return json_response(FreshKey(key, fresh.text), HTTPStatus.CREATED)


def _is_future(moment: datetime) -> bool:
    now = datetime.now(UTC)
    return now < moment and moment.year < now.year + 100


OPERATIONS = Operations(
    "keys",
    "For devices and programs",
    (
        Operation("GET", "/api/keys", list_keys, {HTTPStatus.OK: KeyList}, "admin"),
        Operation(
            "POST",
            "/api/keys",
            create_key,
            {HTTPStatus.CREATED: FreshKey},
            "admin",
            body={JSON: CreateKey},
            example={"name": "head unit", "scopes": ["upload"]},
            headers=("Cache-Control",),
            refusals=CONFLICT,
            makes=("key", "$response.body#/key/id"),
        ),
        Operation(
            "POST",
            "/api/keys/{key}/rotate",
            rotate_key,
            {HTTPStatus.CREATED: FreshKey},
            "admin",
            body={JSON: RotateKey},
            headers=("Cache-Control",),
            refusals=CONFLICT,
            makes=("key", "$response.body#/key/id"),
        ),
        Operation("DELETE", "/api/keys/{key}", revoke_key, {HTTPStatus.OK: Revocation}, "admin"),
    ),
)
