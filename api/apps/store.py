"""Apps, grants and tokens in PostgreSQL: every statement of this room.

A function that takes the database runs one statement by itself. One that takes a connection is
part of the transaction that its caller has opened on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from api.apps.wire import App, Connection
from shared.connections import AsyncDatabase, BoundedConnection
from shared.credentials import NewKey
from shared.sql import load_queries

QUERIES = load_queries("apps")
# Seconds.
CODE_LIFETIME: Final = 60
ACCESS_LIFETIME: Final = 3600
REFRESH_LIFETIME: Final = 90 * 86_400
# Seconds in which a refresh token that was used gives the same answer again, which may be lost.
GRACE: Final = 30


@dataclass(frozen=True)
class StoredApp:
    """An app. ``user_id``: who has registered it, by the name ``registrant``; None: the operator.

    ``secret_hash``: None of an app that can keep no secret.
    """

    id: UUID
    user_id: UUID | None
    name: str
    redirect_uris: list[str]
    secret_hash: bytes | None
    registrant: str | None


@dataclass(frozen=True)
class StoredCode:
    """What a code lets in. ``used``: it was used before."""

    id: UUID
    app_id: UUID
    user_id: UUID
    scopes: list[str]
    redirect_uri: str | None
    code_challenge: str
    used: bool


@dataclass(frozen=True)
class Grant:
    """That a user lets an app in."""

    id: UUID
    app_id: UUID
    user_id: UUID
    scopes: list[str]


@dataclass(frozen=True)
class StoredRefresh:
    """A refresh token. ``used``: it was before; ``is_repeatable``: but only just, with a salt."""

    used: bool
    is_repeatable: bool
    salt: bytes | None


@dataclass(frozen=True)
class StoredAccess:
    """An access token."""

    id: str
    hash: bytes
    user_id: UUID
    app_id: UUID
    grant_id: UUID
    scopes: list[str]
    expires_at: datetime


@dataclass(frozen=True)
class NewGrant:
    """By which a user lets an app in; it has no tokens until its code is used."""

    app_id: UUID
    user_id: UUID
    scopes: Sequence[str]
    redirect_uri: str | None
    code_hash: bytes
    code_challenge: str


@dataclass(frozen=True)
class _Count:
    apps: int


# Apps.


async def find_app(database: AsyncDatabase, app_id: UUID) -> StoredApp | None:
    """An app that may ask riders."""
    async with database.connection() as connection:
        return await connection.row(StoredApp, QUERIES["find_app"], id=app_id)


async def create_app(
    connection: BoundedConnection,
    user_id: UUID,
    name: str,
    redirect_uris: Sequence[str],
    secret_hash: bytes | None,
) -> App:
    """Store a new app of a user's."""
    stored = {"user_id": user_id, "name": name, "secret_hash": secret_hash}
    [app] = await connection.rows(
        App, QUERIES["create_app"], redirect_uris=list(redirect_uris), **stored
    )
    return app


async def list_apps(database: AsyncDatabase, user_id: UUID) -> list[App]:
    """The apps that a user has registered, newest first."""
    async with database.connection() as connection:
        return await connection.rows(App, QUERIES["list_apps"], user_id=user_id)


async def find_own_app(connection: BoundedConnection, user_id: UUID, app_id: UUID) -> App | None:
    """An app that a user has registered."""
    return await connection.row(App, QUERIES["get_own_app"], id=app_id, user_id=user_id)


async def change_app(
    connection: BoundedConnection,
    user_id: UUID,
    app_id: UUID,
    name: str | None,
    redirect_uris: Sequence[str] | None,
) -> App | None:
    """The app after a change of what is not None; None if the user has no such one."""
    change = {"name": name, "redirect_uris": redirect_uris and list(redirect_uris)}
    return await connection.row(App, QUERIES["change_app"], id=app_id, user_id=user_id, **change)


async def rotate_secret(
    connection: BoundedConnection, user_id: UUID, app_id: UUID, secret_hash: bytes
) -> App | None:
    """The app, which has another secret; None if the user has no such one with a secret."""
    new = {"id": app_id, "user_id": user_id, "secret_hash": secret_hash}
    return await connection.row(App, QUERIES["rotate_app_secret"], **new)


async def count_apps(connection: BoundedConnection, user_id: UUID) -> int:
    """How many apps a user has registered."""
    counted = await connection.row(_Count, QUERIES["count_apps"], user_id=user_id)
    return counted.apps if counted else 0


async def delete_app(connection: BoundedConnection, user_id: UUID, app_id: UUID) -> bool:
    """Delete an app and all its grants and tokens; False if the user has no such one."""
    named = {"id": app_id, "user_id": user_id}
    return (await connection.execute(QUERIES["delete_app"], named)).rowcount > 0


# Grants and tokens.


async def create_grant(connection: BoundedConnection, grant: NewGrant) -> bool:
    """Let an app in by a code, for a minute; False if the app is gone."""
    stored = {
        "app_id": grant.app_id,
        "user_id": grant.user_id,
        "scopes": list(grant.scopes),
        "redirect_uri": grant.redirect_uri,
        "code_hash": grant.code_hash,
        "code_challenge": grant.code_challenge,
        "lifetime": CODE_LIFETIME,
    }
    return (await connection.execute(QUERIES["create_grant"], stored)).rowcount > 0


async def lock_code(connection: BoundedConnection, code_hash: bytes) -> StoredCode | None:
    """What a code lets in. Whoever else has the code waits until the transaction ends."""
    return await connection.row(StoredCode, QUERIES["lock_code"], code_hash=code_hash)


async def lock_refreshed(connection: BoundedConnection, token_hash: bytes) -> Grant | None:
    """The grant of a refresh token. Whoever else has the token waits."""
    return await connection.row(Grant, QUERIES["lock_refreshed"], hash=token_hash)


async def find_refresh_token(
    connection: BoundedConnection, token_hash: bytes
) -> StoredRefresh | None:
    """A refresh token, once its grant is locked."""
    query = QUERIES["find_refresh_token"]
    return await connection.row(StoredRefresh, query, hash=token_hash, grace=GRACE)


async def use_code(connection: BoundedConnection, grant_id: UUID) -> bool:
    """Use the code of a grant; False if it was used before."""
    return (await connection.execute(QUERIES["use_code"], {"id": grant_id})).rowcount > 0


async def use_refresh_token(
    connection: BoundedConnection, grant_id: UUID, token_hash: bytes, salt: bytes
) -> bool:
    """Use a refresh token; False if it was used before."""
    await connection.execute(QUERIES["note_refresh"], {"id": grant_id})
    used = {"hash": token_hash, "salt": salt}
    return (await connection.execute(QUERIES["use_refresh_token"], used)).rowcount > 0


async def add_tokens(
    connection: BoundedConnection,
    grant_id: UUID,
    user_id: UUID,
    scopes: Sequence[str],
    access: NewKey,
    refresh_hash: bytes,
) -> None:
    """Store an access token and the refresh token that comes with it."""
    token = {"id": access.id, "hash": access.hash, "user_id": user_id, "scopes": list(scopes)}
    await connection.execute(
        QUERIES["add_access_token"], {**token, "grant_id": grant_id, "lifetime": ACCESS_LIFETIME}
    )
    refresh = {"hash": refresh_hash, "grant_id": grant_id, "lifetime": REFRESH_LIFETIME}
    await connection.execute(QUERIES["add_refresh_token"], refresh)


async def find_access_token(connection: BoundedConnection, key_id: str) -> StoredAccess | None:
    """An access token by its public id, whether or not it opens still."""
    return await connection.row(StoredAccess, QUERIES["find_access_token"], id=key_id)


async def revoke_access_token(connection: BoundedConnection, key_id: str) -> None:
    """End an access token now."""
    await connection.execute(QUERIES["revoke_access_token"], {"id": key_id})


async def revoke_grant(connection: BoundedConnection, grant_id: UUID) -> None:
    """End a grant with all its tokens now."""
    await connection.execute(QUERIES["revoke_grant"], {"id": grant_id})
    await connection.execute(QUERIES["end_access_tokens"], {"grant_ids": [grant_id]})


async def revoke_grants(
    connection: BoundedConnection, user_id: UUID, app_id: UUID, *, newest: int = 0
) -> bool:
    """End all by which a user lets an app in; False if that is none.

    ``newest``: so many are left, and those whose codes were not used yet.
    """
    named = {"user_id": user_id, "app_id": app_id, "newest": newest}
    cursor = await connection.execute(QUERIES["revoke_grants"], named)
    ended = [row["id"] async for row in cursor]
    await connection.execute(QUERIES["end_access_tokens"], {"grant_ids": ended})
    return bool(ended)


async def list_connections(database: AsyncDatabase, user_id: UUID) -> list[Connection]:
    """The apps that a user lets in."""
    async with database.connection() as connection:
        return await connection.rows(Connection, QUERIES["list_connections"], user_id=user_id)
