"""Links and hidden places in PostgreSQL.

A function that takes a connection is part of the transaction that its caller has opened on it.
"""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from api.sharing.wire import CreateShare, HiddenPlace, Share, stored_places
from shared.connections import AsyncDatabase, BoundedConnection
from shared.sql import load_queries

QUERIES = load_queries("shares")


@dataclass(frozen=True)
class OpenShare:
    """What a link opens. ``rider``: the display name of whose it is."""

    id: UUID
    user_id: UUID
    workout_id: UUID
    hide_metres: int
    hide_places: bool
    with_description: bool
    expires_at: datetime
    rider: str | None


@dataclass(frozen=True)
class Hidden:
    """What a user never shows, and the salt by which that is hidden."""

    salt: bytes
    places: list[HiddenPlace]


@dataclass(frozen=True)
class _Hidden:
    salt: bytes
    places: Any


@dataclass(frozen=True)
class _Id:
    id: str


@dataclass(frozen=True)
class _Count:
    shares: int


async def create_share(
    connection: BoundedConnection,
    user_id: UUID,
    workout_id: UUID,
    token_hash: bytes,
    wanted: CreateShare,
    expires_at: datetime,
) -> Share | None:
    """A new link to the user's workout; None if there is no such one."""
    salt = {"user_id": user_id, "salt": secrets.token_bytes(32)}
    await connection.execute(QUERIES["keep_salt"], salt)
    return await connection.row(
        Share,
        QUERIES["create_share"],
        user_id=user_id,
        workout_id=workout_id,
        hash=token_hash,
        hide_metres=round(wanted.hide_metres),
        hide_places=wanted.hide_places,
        with_description=wanted.with_description,
        expires_at=expires_at,
    )


async def count_shares(connection: BoundedConnection, user_id: UUID) -> int:
    """How many links of a user's open something."""
    counted = await connection.row(_Count, QUERIES["count_shares"], user_id=user_id)
    return counted.shares if counted else 0


async def is_open(connection: BoundedConnection, user_id: UUID, share_id: UUID) -> bool:
    """Whether a link of the user's opens something still."""
    query = QUERIES["find_open_share"]
    return await connection.row(_Id, query, id=share_id, user_id=user_id) is not None


async def list_shares(database: AsyncDatabase, user_id: UUID) -> list[Share]:
    """A user's links that open something, newest first."""
    async with database.connection() as connection:
        return await connection.rows(Share, QUERIES["list_shares"], user_id=user_id)


async def revoke_share(connection: BoundedConnection, user_id: UUID, share_id: UUID) -> bool:
    """End a link now; False if the user has no such one that opens."""
    named = {"id": share_id, "user_id": user_id}
    cursor = await connection.execute(QUERIES["revoke_share"], named)
    return cursor.rowcount > 0


async def find_share(database: AsyncDatabase, token_hash: bytes) -> OpenShare | None:
    """What a token opens."""
    async with database.connection() as connection:
        return await connection.row(OpenShare, QUERIES["find_share"], hash=token_hash)


async def find_shut_shares(database: AsyncDatabase, ids: Collection[str]) -> set[str]:
    """Of these links, those that open nothing any more."""
    async with database.connection() as connection:
        found = await connection.rows(_Id, QUERIES["find_shut_shares"], ids=list(ids))
    return {each.id for each in found}


async def get_hidden(database: AsyncDatabase, user_id: UUID) -> Hidden:
    """What a user never shows."""
    async with database.connection() as connection:
        found = await connection.row(_Hidden, QUERIES["get_hidden"], user_id=user_id)
    return Hidden(found.salt, stored_places(found.places)) if found else Hidden(bytes(32), [])


async def put_places(
    connection: BoundedConnection, user_id: UUID, places: Sequence[HiddenPlace]
) -> None:
    """Replace the places that a user never shows."""
    stored = Jsonb(msgspec.to_builtins(places))
    salt = secrets.token_bytes(32)
    await connection.execute(
        QUERIES["put_places"], {"user_id": user_id, "salt": salt, "places": stored}
    )
