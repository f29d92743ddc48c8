"""Users, keys, invitations and the audit log in PostgreSQL: every statement of this room.

A function that takes the database runs one statement by itself. One that takes a connection is
part of the transaction that its caller has opened on it.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, LiteralString
from uuid import UUID

from msgspec import UNSET, UnsetType
from psycopg.types.json import Jsonb

from api.identity.wire import Key, Rider, Storage
from shared.connections import AsyncDatabase, BoundedConnection
from shared.credentials import SCOPES, NewKey
from shared.sql import load_queries

QUERIES = load_queries("users")
_ATHLETES = load_queries("athletes")
_MARK_STALE_FROM = load_queries("riders")["mark_stale_from"]


@dataclass(frozen=True)
class StoredKey:
    """Whose a key is and what it allows. ``session_since``: when it logged in, if it did.

    ``app``: the app that has it, if the user let one in by it.
    """

    user_id: UUID
    hash: bytes
    scopes: list[str]
    expires_at: datetime | None
    session_since: datetime | None
    app: UUID | None = None


@dataclass(frozen=True)
class Login:
    """A user who may log in with a password, and its hash."""

    id: UUID
    password_hash: str


@dataclass(frozen=True)
class NewUser:
    """A user to create, with the hash of a password or with a provider and its id of the user."""

    email: str
    display_name: str | None
    time_zone: str = "UTC"
    password_hash: str | None = None
    provider: str | None = None
    provider_id: str | None = None


@dataclass(frozen=True)
class ProviderUser:
    """The user whom an OpenID provider knows by some id."""

    id: UUID
    disabled: bool


@dataclass(frozen=True)
class _Share:
    id: UUID


@dataclass(frozen=True)
class _Ftp:
    ftp: float


# Keys and sessions.


async def find_key(database: AsyncDatabase, key_id: str) -> StoredKey | None:
    """A key that opens, by its public id."""
    async with database.connection() as connection:
        return await connection.row(StoredKey, QUERIES["find_key"], id=key_id)


async def create_local_user(
    database: AsyncDatabase, user_id: UUID, key_id: str, hash_: bytes
) -> None:
    """The user as whom requests without a key act, unless there is one."""
    local = {"user_id": user_id, "key_id": key_id, "hash": hash_}
    async with database.connection() as connection:
        await connection.execute(QUERIES["create_local_user"], local)


async def find_ended_uploads(
    database: AsyncDatabase, pairs: Collection[tuple[str, UUID]]
) -> set[tuple[str, UUID]]:
    """Those pairs of a key's id and a workout's of which either is no more."""
    key_ids, workout_ids = zip(*pairs, strict=True)
    ids = {"key_ids": list(key_ids), "workout_ids": list(workout_ids)}
    async with database.connection() as connection:
        cursor = await connection.execute(QUERIES["find_ended_uploads"], ids)
        return {(row["key_id"], row["workout_id"]) async for row in cursor}


async def is_open_key(connection: BoundedConnection, user_id: UUID, key_id: str) -> bool:
    """Whether a key of the user opens still, which it then does until the transaction ends.

    Until then, too, no other transaction that asks this of the same user goes on.
    """
    cursor = await connection.execute(QUERIES["lock_open_key"], {"id": key_id, "user_id": user_id})
    return await cursor.fetchone() is not None


async def touch_keys(database: AsyncDatabase, key_ids: Collection[str]) -> None:
    """Note that these keys have just been used."""
    async with database.connection() as connection:
        await connection.execute(QUERIES["touch_keys"], {"ids": list(key_ids)})


# Athletes and who reads what is theirs.


async def find_athlete_share(
    database: AsyncDatabase, user_id: UUID, athlete_id: UUID
) -> UUID | None:
    """By which share a user reads an athlete's data now; None if by none."""
    query, ids = _ATHLETES["find_athlete_share"], {"user_id": user_id, "athlete_id": athlete_id}
    async with database.connection() as connection:
        found = await connection.row(_Share, query, **ids)
    return found.id if found else None


async def note_reads(database: AsyncDatabase, share_ids: Collection[UUID]) -> None:
    """Note that somebody has just read by these shares."""
    async with database.connection() as connection:
        await connection.execute(_ATHLETES["note_reads"], {"ids": list(share_ids)})


async def list_keys(database: AsyncDatabase, user_id: UUID) -> list[Key]:
    """A user's keys that open, newest first."""
    async with database.connection() as connection:
        return await connection.rows(Key, QUERIES["list_keys"], user_id=user_id)


async def count_keys(connection: BoundedConnection, user_id: UUID) -> int:
    """How many keys of a user open, sessions not counted."""
    cursor = await connection.execute(QUERIES["count_keys"], {"user_id": user_id})
    [row] = await cursor.fetchall()
    return int(row["keys"])


async def create_key(
    connection: BoundedConnection,
    user_id: UUID,
    fresh: NewKey,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime | None,
) -> Key:
    """Store a new key."""
    stored = {"id": fresh.id, "hash": fresh.hash, "user_id": user_id, "name": name}
    await connection.execute(
        QUERIES["create_key"], {**stored, "scopes": list(scopes), "expires_at": expires_at}
    )
    return await _get_key(connection, fresh)


async def create_session(
    connection: BoundedConnection, user_id: UUID, fresh: NewKey, lifetime: float
) -> Key:
    """Store a new session: a key with every scope, for ``lifetime`` seconds."""
    stored = {"id": fresh.id, "hash": fresh.hash, "user_id": user_id, "scopes": sorted(SCOPES)}
    await connection.execute(QUERIES["create_session"], {**stored, "lifetime": lifetime})
    return await _get_key(connection, fresh)


async def rotate_key(
    connection: BoundedConnection, user_id: UUID, old_id: str, fresh: NewKey, overlap: float
) -> Key | None:
    """Store a new key like an old one, which ends after ``overlap`` seconds.

    None if the user has no such key, or it is a session or has been rotated before.
    """
    new = {"id": fresh.id, "hash": fresh.hash, "user_id": user_id}
    rotation = {**new, "old_id": old_id, "overlap": overlap}
    if not await _changes(connection, QUERIES["rotate_key"], rotation):
        return None
    return await _get_key(connection, fresh)


async def revoke_key(connection: BoundedConnection, user_id: UUID, key_id: str) -> bool:
    """End a key now; False if the user has no such key that opens."""
    return await _changes(connection, QUERIES["revoke_key"], {"id": key_id, "user_id": user_id})


async def end_sessions(
    connection: BoundedConnection, user_id: UUID, *, newest: int = 0, kept: tuple[str, ...] = ()
) -> bool:
    """End a user's sessions but for the ``newest`` few and those whose ids are in ``kept``.

    False if there was none to end.
    """
    parameters = {"user_id": user_id, "newest": newest, "kept": list(kept)}
    return await _changes(connection, QUERIES["end_sessions"], parameters)


# Users.


async def find_login(database: AsyncDatabase, email: str) -> Login | None:
    """The user with an email address, if it may log in and has a password."""
    async with database.connection() as connection:
        return await connection.row(Login, QUERIES["find_login"], email=email)


async def find_provider_user(
    database: AsyncDatabase, provider: str, provider_id: str
) -> ProviderUser | None:
    """The user who signed up by a provider that knows it by that id."""
    query, known = QUERIES["find_provider_user"], {"provider_id": provider_id}
    async with database.connection() as connection:
        return await connection.row(ProviderUser, query, provider=provider, **known)


async def get_profile(database: AsyncDatabase, user_id: UUID) -> Rider:
    """The profile of a user who exists."""
    async with database.connection() as connection:
        return await read_profile(connection, user_id)


async def read_profile(connection: BoundedConnection, user_id: UUID) -> Rider:
    """The profile of a user who exists."""
    [profile] = await connection.rows(Rider, QUERIES["get_profile"], user_id=user_id)
    return profile


async def count_storage(connection: BoundedConnection, user_id: UUID) -> Storage:
    """What a user's originals and samples take, without the quota."""
    [storage] = await connection.rows(Storage, QUERIES["count_storage"], user_id=user_id)
    return storage


async def find_ftp(database: AsyncDatabase, user_id: UUID) -> float | None:
    """The user's FTP of cycling that holds today."""
    async with database.connection() as connection:
        found = await connection.row(_Ftp, QUERIES["find_ftp"], user_id=user_id)
    return found.ftp if found else None


async def update_profile(
    connection: BoundedConnection,
    user_id: UUID,
    display_name: str | UnsetType | None,
    avatar_url: str | UnsetType | None,
    time_zone: str | None,
) -> None:
    """Change what is given of a profile: not UNSET, and of the time zone not None."""
    change = {
        "user_id": user_id,
        "set_display_name": display_name is not UNSET,
        "display_name": display_name or None,
        "set_avatar_url": avatar_url is not UNSET,
        "avatar_url": avatar_url or None,
        "time_zone": time_zone,
    }
    await connection.execute(QUERIES["update_profile"], change)


async def mark_workouts_stale(connection: BoundedConnection, user_id: UUID) -> None:
    """Have the figures of all of a user's workouts computed anew."""
    all_of_them = {"user_id": user_id, "effective_from": date.min, "names": None}
    await connection.execute(_MARK_STALE_FROM, all_of_them)


async def create_user(connection: BoundedConnection, user: NewUser) -> UUID | None:
    """The id of a new user; None if there is one with the email address or the provider's id."""
    cursor = await connection.execute(QUERIES["register"], asdict(user))
    row = await cursor.fetchone()
    return row["id"] if row else None


async def use_invitation(
    connection: BoundedConnection, code_hash: bytes, user_id: UUID | None
) -> bool:
    """Use up an invitation for a user; False if it is unknown, used or expired."""
    use = {"hash": code_hash, "user_id": user_id}
    return await _changes(connection, QUERIES["use_invitation"], use)


async def set_password(connection: BoundedConnection, user_id: UUID, password_hash: str) -> None:
    """Replace the hash of a user's password."""
    change = {"user_id": user_id, "password_hash": password_hash}
    await connection.execute(QUERIES["set_password"], change)


async def renew_hash(database: AsyncDatabase, login: Login, password_hash: str) -> bool:
    """Replace the hash of the same password; False if the user has set another one meanwhile."""
    renewal = {"user_id": login.id, "compared": login.password_hash}
    async with database.connection() as connection:
        return await _changes(
            connection, QUERIES["renew_hash"], {**renewal, "password_hash": password_hash}
        )


async def note_login(connection: BoundedConnection, user_id: UUID, compared: str | None) -> bool:
    """Note a login, and lock the user's row until the transaction ends.

    False if the user may no longer log in, or ``compared`` is no longer the hash of its password.
    """
    return await _changes(
        connection, QUERIES["note_login"], {"user_id": user_id, "compared": compared}
    )


async def delete_user(connection: BoundedConnection, user_id: UUID) -> None:
    """Delete a user's keys, apps, files and personal data; workers remove the rest later."""
    apps = ("delete_apps", "delete_grants")  # before keys, as who ends a grant locks it first
    for query in ("delete_user", *apps, "delete_keys", "delete_files", "delete_answers"):
        await connection.execute(QUERIES[query], {"user_id": user_id})
    await connection.execute(_ATHLETES["delete_reading"], {"user_id": user_id})


async def write_audit(
    connection: BoundedConnection,
    user_id: UUID,
    action: str,
    detail: dict[str, Any] | None = None,
    *,
    key_id: str | None = None,
) -> None:
    """Record an action in the transaction that carries it out. ``key_id``: the key in use."""
    row = {"user_id": user_id, "key_id": key_id, "action": action, "detail": Jsonb(detail or {})}
    await connection.execute(QUERIES["write_audit"], row)


async def find_open_key(connection: BoundedConnection, user_id: UUID, key_id: str) -> Key | None:
    """A key of the user's that opens."""
    return await connection.row(Key, QUERIES["find_open_key"], id=key_id, user_id=user_id)


async def _get_key(connection: BoundedConnection, fresh: NewKey) -> Key:
    """A key that this transaction has stored."""
    [key] = await connection.rows(Key, QUERIES["get_key"], id=fresh.id)
    return key


async def _changes(
    connection: BoundedConnection, query: LiteralString, parameters: dict[str, Any]
) -> bool:
    """Run a statement; whether it changed any row."""
    cursor = await connection.execute(query, parameters)
    return cursor.rowcount > 0
