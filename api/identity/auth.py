"""Who calls: API keys, found by id, compared in constant time, cached while they are true."""

import hmac
import math
import time
from collections.abc import Awaitable, Callable, Collection, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from starlette.requests import HTTPConnection

from api.identity import store
from api.identity.cookies import CSRF_HEADER, key_of_page
from api.web.cache import Cache, Entry
from api.web.cors import is_from_elsewhere
from api.web.headers import header
from api.web.problems import Forbidden, MissingScope, NotFound, Unauthorized
from api.web.routing import ATHLETE
from shared.connections import AsyncDatabase, BoundedConnection
from shared.credentials import hash_key, key_id_of, make_key

# Seconds for which a revoked key may still open a process that has just seen it.
REVOCATION_BOUND: Final = 5.0
# Seconds for which a key that was good may go on uploading while PostgreSQL does not answer.
OUTAGE_BOUND: Final = 3600.0
# How long after logging in a session may do what cannot be undone.
_FRESH: Final = timedelta(minutes=10)
_READ: Final = "read"
_NO_ATHLETE: Final = "no such athlete: `GET /api/athletes` lists those who have let you in"
_NO_HASH: Final = bytes(32)
_NO_KEY: Final = "the key or token is malformed, unknown, revoked or expired"
# Whoever sends no key, where that is allowed: a user without password, by a key that nobody has.
LOCAL_USER: Final = UUID("10ca10ca-10ca-40ca-80ca-10ca10ca10ca")
LOCAL_KEY: Final = "10ca10ca10ca10ca"
_IN_QUERY: Final = "apiKey"
_LOCAL: Final = b"local"  # in place of a key's hash, which is longer


@dataclass(frozen=True)
class Reading:
    """Who reads an athlete's data, and by which share of the athlete's."""

    reader_id: UUID
    share_id: UUID


@dataclass(frozen=True)
class Caller:
    """A user, and what the key in use may do. ``session_since``: when it logged in, if it did.

    ``reading``: where ``user_id`` is an athlete whose data another user reads, and nothing else.
    ``app``: the app that calls, if the key is one that the user let it in by.
    """

    user_id: UUID
    key_id: str
    scopes: frozenset[str]
    expires_at: datetime | None
    session_since: datetime | None = None
    reading: Reading | None = None
    app: UUID | None = None

    @property
    def own_id(self) -> UUID:
        """Whose key it is, whoever's data it reads."""
        return self.reading.reader_id if self.reading else self.user_id


class Authenticator:
    """Finds callers by their keys, and collects which keys were used.

    ``allow_anonymous``: requests without a key are the local user's, but for those of pages whose
    origin is not among ``origins``: browsers send them to any host, a home network's as well.
    """

    def __init__(
        self,
        database: AsyncDatabase,
        *,
        allow_anonymous: bool = False,
        origins: Collection[str] = (),
    ) -> None:
        self._database = database
        self._allow_anonymous = allow_anonymous
        self._origins = origins
        self._callers = Cache[bytes, Caller](100_000, REVOCATION_BOUND, OUTAGE_BOUND)
        self._used: set[str] = set()
        self._read: set[UUID] = set()

    async def authenticate(
        self, request: HTTPConnection[Any], *scopes: str, in_query: bool = False
    ) -> Caller:
        """The caller of a request. Raises Unauthorized, or Forbidden without any of ``scopes``.

        While PostgreSQL is down, a key that was good lately goes on uploading, and does nothing
        else. ``in_query``: whether the key may be in the query.
        """
        key = _key_of(request, in_query=in_query)
        if key:
            return await self.open(key, *scopes)
        if not self._allow_anonymous or not self._may_be_local(request):
            raise Unauthorized("send an API key: Authorization: Bearer KEY, or X-API-Key: KEY")
        return await self._admit(_LOCAL, self._load_local, *scopes)

    async def open(self, text: str, *scopes: str) -> Caller:
        """The caller with a key. Raises Unauthorized, or Forbidden without any of ``scopes``."""
        digest = hash_key(text)
        return await self._admit(digest, partial(self._load, text, digest), *scopes)

    async def _admit(
        self, digest: bytes, load: Callable[[], Awaitable[Caller]], *scopes: str
    ) -> Caller:
        caller = await self._callers.get(digest, load, allow_stale="upload" in scopes)
        if caller.expires_at is not None and caller.expires_at <= datetime.now(UTC):
            raise Unauthorized("the key or token has expired", is_token_wrong=True)
        if caller.scopes.isdisjoint(scopes):
            raise MissingScope.of(*scopes)
        self._used.add(caller.key_id)
        return caller

    async def read_as(self, caller: Caller, athlete: str) -> Caller:
        """The caller as a reader of what is an athlete's, by the athlete's id.

        Asked anew each time: who is not let in any more reads nothing more. Raises MissingScope;
        NotFound alike for an athlete who does not let the caller in and for an id of nobody.
        """
        require_own_key(caller)
        if _READ not in caller.scopes:
            raise MissingScope.of(_READ)
        try:
            athlete_id = UUID(athlete)
        except ValueError:
            raise NotFound(_NO_ATHLETE) from None
        share_id = await store.find_athlete_share(self._database, caller.user_id, athlete_id)
        if share_id is None:
            raise NotFound(_NO_ATHLETE)
        self._read.add(share_id)
        return Caller(
            athlete_id,
            caller.key_id,
            frozenset({_READ}),
            caller.expires_at,
            reading=Reading(caller.user_id, share_id),
        )

    def remembered(self, text: str, scope: str) -> Entry[Caller] | None:
        """As ``open``, where that needs no look and raises nothing; None says nothing."""
        entry = self._callers.fresh(hash_key(text))
        return entry if entry and scope in entry.value.scopes and _seconds_left(entry) else None

    def open_until(self, entry: Entry[Caller]) -> float:
        """Until when ``remembered`` would give this once more, unless it is dropped: it is used.

        By the monotonic clock.
        """
        self._used.add(entry.value.key_id)
        ends_at = time.monotonic() + _seconds_left(entry)
        return min(self._callers.fresh_until(entry), ends_at)

    def _may_be_local(self, request: HTTPConnection[Any]) -> bool:
        """Not a page of ours either: it would go on as another user when its session has ended."""
        is_own_page = bool(header(request, CSRF_HEADER.lower().encode()))
        return not is_own_page and not is_from_elsewhere(request, self._origins)

    def forget_user(self, user_id: UUID) -> None:
        """Drop a user's keys from the cache, so that this process asks for them again at once."""
        self._callers.drop_where(lambda caller: caller.user_id == user_id)

    def forget_app(self, app_id: UUID) -> None:
        """Drop an app's tokens from the cache, so that this process asks for them at once."""
        self._callers.drop_where(lambda caller: caller.app == app_id)

    def forget_keys(self, key_ids: Set[str]) -> None:
        """Drop keys from the cache, so that this process asks for them again at once."""
        self._callers.drop_where(lambda caller: caller.key_id in key_ids)

    def forget(self, key_ids: Set[str], user_ids: Set[UUID]) -> None:
        """Drop these keys, and those of these users, from the cache."""
        self._callers.drop_where(
            lambda caller: caller.key_id in key_ids or caller.user_id in user_ids
        )

    def forget_all(self) -> None:
        """Empty the cache."""
        self._callers.drop_where(lambda _: True)

    def confirm(self, at: float) -> None:
        """Every key that has ended before this moment of the monotonic clock was forgotten."""
        self._callers.confirm(at)

    async def note_use(self) -> None:
        """Write when keys and shares were used, of those that were since the last call."""
        read, self._read = self._read, set()
        if read:
            await store.note_reads(self._database, read)
        used, self._used = self._used, set()
        if used:
            await store.touch_keys(self._database, used)

    async def _load(self, text: str, digest: bytes) -> Caller:
        key_id = key_id_of(text) or ""  # a malformed key costs what any wrong one does
        key = await store.find_key(self._database, key_id)
        if not hmac.compare_digest(digest, key.hash if key else _NO_HASH) or key is None:
            raise Unauthorized(_NO_KEY, is_token_wrong=True)
        scopes = frozenset(key.scopes)
        return Caller(key.user_id, key_id, scopes, key.expires_at, key.session_since, app=key.app)

    async def _load_local(self) -> Caller:
        """The local user, who is made the first time; revoked or disabled, nobody is."""
        hash_ = hash_key(make_key().text)
        await store.create_local_user(self._database, LOCAL_USER, LOCAL_KEY, hash_)
        key = await store.find_key(self._database, LOCAL_KEY)
        if key is None:
            raise Unauthorized("requests without a key are not let in any more")
        return Caller(key.user_id, LOCAL_KEY, frozenset(key.scopes), key.expires_at)


async def authenticate(
    request: HTTPConnection[Any],
    *scopes: str,
    in_query: bool = False,
    takes_athlete: bool = False,
) -> Caller:
    """The caller of a request to an operation that any of ``scopes`` allows.

    ``takes_athlete``: `athlete` in the query makes it a reader of that athlete's data. Raises
    Unauthorized, Forbidden, NotFound.
    """
    authenticator: Authenticator = request.scope["state"]["authenticator"]
    caller = await authenticator.authenticate(request, *scopes, in_query=in_query)
    if not (takes_athlete and request.scope["query_string"]):
        return caller
    athlete = request.query_params.get(ATHLETE)
    return caller if athlete is None else await authenticator.read_as(caller, athlete)


def refuse_local(caller: Caller) -> None:
    """Raises Forbidden for a request without a key: what it makes must not outlast that it may."""
    if caller.key_id == LOCAL_KEY:
        raise Forbidden("this needs a key: requests without one make none")


def require_own_key(caller: Caller) -> None:
    """Raises Forbidden for an app: a user lets it into their own account, and no further."""
    if caller.app is not None:
        raise Forbidden("this is not for apps: use a key of the user's own")


async def require_open_key(connection: BoundedConnection, caller: Caller) -> None:
    """Raises Unauthorized unless the caller's key opens still, by PostgreSQL and not by the cache.

    Begin every transaction with this whose effect outlasts the key: one that has just ended must
    not make another key, or set a password.
    """
    if not await store.is_open_key(connection, caller.user_id, caller.key_id):
        raise Unauthorized(_NO_KEY, is_token_wrong=True)


def require_fresh_session(caller: Caller) -> None:
    """Raises Forbidden unless the caller has just logged in: a device's key may have leaked."""
    since = caller.session_since
    if since is None or datetime.now(UTC) - since > _FRESH:
        raise Forbidden("log in again first: this needs a session of the last ten minutes")


def _key_of(request: HTTPConnection[Any], *, in_query: bool = False) -> str:
    """The key in a header or, ``in_query``, the query; or else in the cookie of one of our pages.

    Empty without one. Raises Unauthorized for a key in the query elsewhere, even beside a good one:
    logs and histories keep addresses.
    """
    query = request.query_params if request.scope["query_string"] else {}
    if _IN_QUERY in query and not in_query:
        raise Unauthorized(f"the query takes no {_IN_QUERY} here: send X-API-Key: KEY")
    bearer = _bearer_in(header(request, b"authorization"))
    if bearer is not None:
        return bearer
    found = header(request, b"x-api-key").strip() or query.get(_IN_QUERY, "")
    return found or key_of_page(request) or ""


def key_in(authorization: str, x_api_key: str) -> str:
    """The key in these headers, each of which may be empty; empty without one."""
    bearer = _bearer_in(authorization)
    return x_api_key.strip() if bearer is None else bearer


def _seconds_left(entry: Entry[Caller]) -> float:
    """Of the key; 0 once it has expired."""
    expires_at = entry.value.expires_at
    if expires_at is None:
        return math.inf
    return max((expires_at - datetime.now(UTC)).total_seconds(), 0)


def _bearer_in(authorization: str) -> str | None:
    """What follows the word, though it be blank; None without both."""
    scheme, _, bearer = authorization.partition(" ")
    return bearer.strip() if scheme.lower() == "bearer" and bearer else None
