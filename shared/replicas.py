"""Reads from a streaming replica of PostgreSQL: as good as those from the primary, or left to it.

What a replica shows is a little old. How old at most is found out by the primary's own positions in
its WAL: whoever has replayed up to where the primary was at a moment shows all that was committed
before. Nothing else is believed: a replica that is cut off knows of nothing that it has not got.

Riders see what they wrote. Rows that were written for a user are noted in Redis, before the answer
or the announcement that tells of them, and for longer than what is shown may be old: meanwhile that
user's reads are the primary's. It is looked at whenever a connection is lent, so what a fold moves
from a stream of Redis into the archive is in one of the two for who reads the stream first.
"""

import asyncio
import logging
import math
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, MutableMapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final, LiteralString, Protocol, Self, TypeVar
from uuid import UUID

import psycopg
import redis.exceptions
from msgspec import Struct
from psycopg_pool import PoolTimeout

from shared.connections import (
    AsyncDatabase,
    AsyncPool,
    AsyncRedis,
    BoundedConnection,
    connect_bounded,
    is_cluster,
    open_replica,
)
from shared.errors import TrackerError
from shared.redis_keys import WROTE_FOR, wrote_key
from shared.settings import Settings
from shared.sql import load_queries

QUERIES: Final = load_queries("replicas")
LOOK_EVERY: Final = 0.25  # seconds
ASK_AGAIN_AFTER: Final = 5.0  # seconds for which a replica that failed is left alone
_REDIS_PATIENCE: Final = 1.0  # seconds
_MANY_USERS: Final = 100_000
T = TypeVar("T")
logger = logging.getLogger(__name__)


class NotAReplica(TrackerError):
    """The server at DATABASE_READ_URL does not follow the one at DATABASE_URL."""


class Served(Protocol):
    """A request: in the ``state`` of its scope is what its handler uses."""

    scope: MutableMapping[str, Any]


class _Position(Struct):
    position: int


class _Replayed(Struct):
    follows: bool
    position: int


class Freshness:
    """How old what a replica shows is at most, by positions in the WAL. Moments are monotonic.

    ``limit``: seconds after which nobody asks any more, so that a replica that stands still does
    not have us remember ever more.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._written = deque[tuple[float, int]]()  # by when the primary had written up to where
        self.shows = -math.inf  # all that was committed before this moment

    def note(self, asked_at: float, written: int, replayed: int) -> None:
        """The primary, asked from that moment on, had written so far, and the replica replayed."""
        self._written.append((asked_at, written))
        while self._written and self._written[0][1] <= replayed:
            self.shows, _ = self._written.popleft()
        while self._written and self._written[0][0] < asked_at - self._limit:
            self._written.popleft()

    def forget(self) -> None:
        """Whatever was known may be of another server."""
        self._written.clear()
        self.shows = -math.inf

    def age(self, now: float) -> float:
        """Seconds; infinite while nothing is known."""
        return now - self.shows


class Replica:
    """Chooses, read by read, between the replica and the primary of an API process.

    ``follow`` looks after the replica. Whatever goes wrong with it, the primary is read from at
    once, and the replica is asked again after a while.
    """

    def __init__(self, settings: Settings, primary: AsyncPool, client: AsyncRedis) -> None:
        self._settings = settings
        self._primary = primary
        self._redis = client
        self._freshness = Freshness(settings.read_lag_limit)
        self._looked = asyncio.Condition()
        self._left_until = 0.0
        self._met: OrderedDict[UUID, float] = OrderedDict()
        self._pool = open_replica(settings, type("_Own", (_FallingBack,), {"replica": self}))
        self.reads = 0  # by the replica
        self.passed_on = 0  # by the primary, though they might have been by the replica

    async def __aenter__(self) -> Self:
        await self._pool.open(wait=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def serving(self, request: Served, user_id: UUID, *, reads: bool) -> AsyncIterator[None]:
        """Give a request of the user its ``database``: to read from, or to write.

        What it may have written is noted before it is answered.
        """
        state = request.scope["state"]
        if reads:
            state["database"] = _Reading(self, user_id)
            yield
            return
        state["database"] = lending = _Lending(self._primary)
        try:
            yield
        finally:
            if lending.has_lent:
                await self._note_write(user_id)

    async def follow(self) -> None:
        """Look after the replica, for ever."""
        while True:
            try:
                await self._look_on()
            except Exception as error:  # whatever it was, or nobody would ever look again
                self.leave(error)
            await asyncio.sleep(ASK_AGAIN_AFTER)

    def leave(self, why: BaseException) -> None:
        """Read from the primary, for a while at least."""
        if self.is_fresh():
            said = str(why).strip().partition("\n")[0]
            logger.warning("reading from the primary: the replica failed: %s", said)
        self._freshness.forget()
        self._left_until = time.monotonic() + ASK_AGAIN_AFTER

    def is_fresh(self) -> bool:
        """Whether what the replica shows is new enough."""
        now = time.monotonic()
        limit = self._settings.read_lag_limit
        return now >= self._left_until and self._freshness.age(now) <= limit

    async def may_show(self, user_id: UUID) -> bool:
        """Whether the replica has all that was written for the user, as far as anybody was told."""
        if not self.is_fresh() or self._is_new(user_id):
            return False
        try:
            async with asyncio.timeout(_REDIS_PATIENCE):
                return not await self._redis.exists(wrote_key(user_id))
        except (redis.exceptions.RedisError, TimeoutError) as error:
            if is_cluster(self._redis):  # the node of other users may well answer
                self._met[user_id] = time.monotonic()
            else:
                self.leave(error)  # without Redis nobody knows who has written
            return False

    @asynccontextmanager
    async def lend(self, user_id: UUID) -> AsyncIterator[BoundedConnection]:
        """A connection to read the user's rows by."""
        async with AsyncExitStack() as lent:
            connection = None
            if await self.may_show(user_id):
                try:
                    connection = await lent.enter_async_context(self._pool.connection())
                    if not self.is_fresh():  # any more: it was long in coming
                        connection = None
                except (PoolTimeout, psycopg.OperationalError) as error:
                    self.leave(error)
            self.reads += connection is not None
            self.passed_on += connection is None
            if connection is None:
                connection = await lent.enter_async_context(self._primary.connection())
            yield connection

    def instead(self, error: psycopg.Error, connection: BoundedConnection) -> AsyncDatabase:
        """Where to ask what the replica did not answer by this connection.

        A single query may be cancelled, as the replica has to go on: that says nothing against it.
        """
        self.passed_on += 1
        if connection.closed:
            self.leave(error)
        return self._primary

    def _is_new(self, user_id: UUID) -> bool:
        """Whether this process has just met the user, who may be newer than the replica's rows.

        Or has just been unable to ask Redis about them.
        """
        met_at = self._met.setdefault(user_id, time.monotonic())
        self._met.move_to_end(user_id)
        if len(self._met) > _MANY_USERS:
            self._met.popitem(last=False)
        return time.monotonic() < met_at + self._settings.read_lag_limit

    async def _note_write(self, user_id: UUID) -> None:
        """Where Redis takes no note, wait until the replica shows what was written, or is left."""
        written_at = time.monotonic()
        try:
            async with asyncio.timeout(_REDIS_PATIENCE):
                await self._redis.set(wrote_key(user_id), 1, ex=WROTE_FOR)
                return
        except (redis.exceptions.RedisError, TimeoutError) as error:
            logger.warning("waiting for the replica: no note of a write was taken: %r", error)
        try:
            async with asyncio.timeout(self._settings.read_lag_limit), self._looked:
                await self._looked.wait_for(lambda: self._freshness.shows > written_at)
        except TimeoutError:
            pass  # what is older than this no process reads from it

    async def _look_on(self) -> None:
        """Keep looking, until something is wrong. Raises NotAReplica, psycopg.Error."""
        url, limit = self._settings.database_read_url, self._settings.service_timeout
        async with (
            await connect_bounded(self._settings.database_url, limit) as primary,
            await connect_bounded(url, limit) as replica,
        ):
            await self._pool.check()  # connections that broke meanwhile are replaced, all at once
            while True:
                await self._look(primary, replica)
                await asyncio.sleep(LOOK_EVERY)

    async def _look(self, primary: BoundedConnection, replica: BoundedConnection) -> None:
        asked_at = time.monotonic()
        written = await _ask(primary, _Position, QUERIES["read_written"])
        replayed = await _ask(replica, _Replayed, QUERIES["read_replayed"])
        since = await _ask(primary, _Position, QUERIES["read_written"])
        if not replayed.follows:
            raise NotAReplica("DATABASE_READ_URL leads to a server that follows no other")
        if replayed.position > since.position:
            raise NotAReplica("DATABASE_READ_URL leads to a server that is ahead of DATABASE_URL's")
        async with self._looked:
            was_fresh = self.is_fresh()
            self._freshness.note(asked_at, written.position, replayed.position)
            if self.is_fresh() and not was_fresh:
                logger.info("reading from the replica")
            self._looked.notify_all()


async def _ask(connection: BoundedConnection, kind: type[T], query: LiteralString) -> T:
    row = await connection.row(kind, query)
    assert row is not None  # a SELECT without FROM gives a row  # noqa: S101
    return row


class _FallingBack(BoundedConnection):
    """To the replica: what that does not answer is asked of the primary, once."""

    replica: Replica

    async def row(self, kind: type[T], query: LiteralString, **parameters: object) -> T | None:
        try:
            return await super().row(kind, query, **parameters)
        except psycopg.Error as error:
            elsewhere = self.replica.instead(error, self)
        async with elsewhere.connection() as connection:
            return await connection.row(kind, query, **parameters)

    async def rows(self, kind: type[T], query: LiteralString, **parameters: object) -> list[T]:
        try:
            return await super().rows(kind, query, **parameters)
        except psycopg.Error as error:
            elsewhere = self.replica.instead(error, self)
        async with elsewhere.connection() as connection:
            return await connection.rows(kind, query, **parameters)


class _Reading:
    """The database of a request that only reads, for one user."""

    def __init__(self, replica: Replica, user_id: UUID) -> None:
        self._replica = replica
        self._user_id = user_id

    def connection(self) -> AbstractAsyncContextManager[BoundedConnection]:
        return self._replica.lend(self._user_id)


class _Lending:
    """The primary, and whether it was asked anything."""

    def __init__(self, primary: AsyncPool) -> None:
        self._primary = primary
        self.has_lent = False

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[BoundedConnection]:
        self.has_lent = True
        async with self._primary.connection() as connection:
            yield connection
