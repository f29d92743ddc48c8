"""Who calls: API keys, found by id, compared in constant time, cached for five seconds."""

import hmac
from collections.abc import Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from starlette.requests import HTTPConnection

from api.identity import store
from api.identity.cookies import key_of_page
from api.web.cache import Cache
from api.web.headers import header
from api.web.problems import Forbidden, MissingScope, Unauthorized
from shared.connections import AsyncDatabase, BoundedConnection
from shared.credentials import hash_key, key_id_of

# Seconds for which a revoked key may still open a process that has just seen it.
REVOCATION_BOUND: Final = 5.0
# Seconds for which a key that was good may go on uploading while PostgreSQL does not answer.
OUTAGE_BOUND: Final = 3600.0
# How long after logging in a session may do what cannot be undone.
_FRESH: Final = timedelta(minutes=10)
_NO_HASH: Final = bytes(32)
_NO_KEY: Final = "the API key is malformed, unknown, revoked or expired"


@dataclass(frozen=True)
class Caller:
    """A user, and what the key in use may do. ``session_since``: when it logged in, if it did."""

    user_id: UUID
    key_id: str
    scopes: frozenset[str]
    expires_at: datetime | None
    session_since: datetime | None = None


class Authenticator:
    """Finds callers by their keys, and collects which keys were used."""

    def __init__(self, database: AsyncDatabase) -> None:
        self._database = database
        self._callers = Cache[bytes, Caller](100_000, REVOCATION_BOUND, OUTAGE_BOUND)
        self._used: set[str] = set()

    async def authenticate(self, request: HTTPConnection[Any], *scopes: str) -> Caller:
        """The caller of a request. Raises Unauthorized, or Forbidden without any of ``scopes``.

        While PostgreSQL is down, a key that was good lately goes on uploading, and does nothing
        else.
        """
        return await self.open(_key_of(request), *scopes)

    async def open(self, text: str, *scopes: str) -> Caller:
        """The caller with a key. Raises Unauthorized, or Forbidden without any of ``scopes``."""
        digest = hash_key(text)
        load = partial(self._load, text, digest)
        caller = await self._callers.get(digest, load, allow_stale="upload" in scopes)
        if caller.expires_at is not None and caller.expires_at <= datetime.now(UTC):
            raise Unauthorized("the API key has expired")
        if caller.scopes.isdisjoint(scopes):
            named = "` or `".join(scopes)
            raise MissingScope(f"this API key lacks the scope `{named}`")
        self._used.add(caller.key_id)
        return caller

    def forget_user(self, user_id: UUID) -> None:
        """Drop a user's keys from the cache, so that this process asks for them again at once."""
        self._callers.drop_where(lambda caller: caller.user_id == user_id)

    def forget_keys(self, key_ids: Set[str]) -> None:
        """Drop keys from the cache, so that this process asks for them again at once."""
        self._callers.drop_where(lambda caller: caller.key_id in key_ids)

    async def note_use(self) -> None:
        """Write ``last_used_at`` of the keys used since the last call."""
        used, self._used = self._used, set()
        if used:
            await store.touch_keys(self._database, used)

    async def _load(self, text: str, digest: bytes) -> Caller:
        key_id = key_id_of(text) or ""  # a malformed key costs what any wrong one does
        key = await store.find_key(self._database, key_id)
        if not hmac.compare_digest(digest, key.hash if key else _NO_HASH) or key is None:
            raise Unauthorized(_NO_KEY)
        return Caller(key.user_id, key_id, frozenset(key.scopes), key.expires_at, key.session_since)


async def authenticate(request: HTTPConnection[Any], *scopes: str) -> Caller:
    """The caller of a request to an operation that any of ``scopes`` allows.

    Raises Unauthorized, Forbidden.
    """
    authenticator: Authenticator = request.scope["state"]["authenticator"]
    return await authenticator.authenticate(request, *scopes)


async def require_open_key(connection: BoundedConnection, caller: Caller) -> None:
    """Raises Unauthorized unless the caller's key opens still, by PostgreSQL and not by the cache.

    Begin every transaction with this whose effect outlasts the key: one that has just ended must
    not make another key, or set a password.
    """
    if not await store.is_open_key(connection, caller.user_id, caller.key_id):
        raise Unauthorized(_NO_KEY)


def require_fresh_session(caller: Caller) -> None:
    """Raises Forbidden unless the caller has just logged in: a device's key may have leaked."""
    since = caller.session_since
    if since is None or datetime.now(UTC) - since > _FRESH:
        raise Forbidden("log in again first: this needs a session of the last ten minutes")


def _key_of(request: HTTPConnection[Any]) -> str:
    """The key in a header, or else in the cookie of one of our pages."""
    scheme, _, bearer = header(request, b"authorization").partition(" ")
    if scheme.lower() == "bearer" and bearer:
        return bearer.strip()
    key = header(request, b"x-api-key") or key_of_page(request)
    if key:
        return key
    raise Unauthorized("send an API key: Authorization: Bearer KEY, or X-API-Key: KEY")
