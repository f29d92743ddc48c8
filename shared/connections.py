"""The only place that opens drivers, with the time limits and retry rules the design asks for."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import cache
from inspect import signature
from select import POLLIN, poll
from typing import Any, Final, LiteralString, Protocol, TypeVar

import msgspec
import psycopg
import redis
import redis.asyncio
from psycopg import AsyncConnection, Connection
from psycopg.abc import PQGen
from psycopg.rows import dict_row, kwargs_row
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from shared.settings import Settings

RV = TypeVar("RV")
T = TypeVar("T")
Row = dict[str, Any]
DatabaseConnection = Connection[Row]
Database = ConnectionPool[DatabaseConnection]
AsyncPool = AsyncConnectionPool["BoundedConnection"]
Redis = redis.Redis
AsyncRedis = redis.asyncio.Redis
_ROWS_AT_ONCE: Final = 50
_FASTER: Final = 2  # times that a replica must answer: then the primary has time to

set_json_dumps(msgspec.json.encode)
set_json_loads(msgspec.json.decode)


class AsyncDatabase(Protocol):
    """What lends connections: a pool, or who chooses between the pools of several servers."""

    def connection(self) -> AbstractAsyncContextManager["BoundedConnection"]:
        """A connection for as long as the block lasts."""


class BoundedConnection(AsyncConnection[Row]):
    """Waits ``time_limit`` seconds for each answer: a server that hangs must not hang the API.

    Then the connection is closed, and the pool replaces it. Raises psycopg.OperationalError.
    """

    time_limit = 5.0

    async def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """As the driver waits, but not for ever."""
        try:
            return await super().wait(gen, interval, timeout or self.time_limit)
        except psycopg.errors._WaitTimeout:
            self.pgconn.finish()
            raise psycopg.OperationalError("PostgreSQL does not answer") from None

    async def row(self, kind: type[T], query: LiteralString, **parameters: object) -> T | None:
        """The first row as ``kind``, whose members are named as the columns; None without one."""
        async with self.cursor(row_factory=kwargs_row(_maker_of(kind))) as cursor:
            await cursor.execute(query, parameters)
            return await cursor.fetchone()

    async def rows(self, kind: type[T], query: LiteralString, **parameters: object) -> list[T]:
        """Every row as ``kind``, whose members are named as the columns.

        Between some rows and the next ones the event loop sees to others.
        """
        found = list[T]()
        async with self.cursor(row_factory=kwargs_row(_maker_of(kind))) as cursor:
            await cursor.execute(query, parameters)
            while rows := await cursor.fetchmany(_ROWS_AT_ONCE):
                found += rows
                if len(rows) < _ROWS_AT_ONCE:
                    break
                await asyncio.sleep(0)
        return found


def _maker_of(kind: Callable[..., T]) -> Callable[..., T]:
    """Makes a ``kind`` of a row's columns, and leaves out those that it has no member for.

    A migration may give a view one more column while older processes still read all of it.
    """
    members = _members_of(kind)
    return lambda **columns: kind(**{name: columns[name] for name in members & columns.keys()})


@cache
def _members_of(kind: Callable[..., Any]) -> frozenset[str]:
    return frozenset(signature(kind).parameters)


# reconnect_timeout, below: by default the pauses between attempts to reconnect double for five
# minutes, and PostgreSQL could be back for as long as its outage was before a pool noticed.

# No prepared statements: PgBouncer may stand in between, in transaction mode.
_CONNECTION: Final[dict[str, Any]] = {
    "row_factory": dict_row,
    "prepare_threshold": None,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "connect_timeout": 5,
}


def check_quiet(connection: Connection[Any]) -> None:
    """Ask PostgreSQL only over a connection on which something has come that nobody asked for.

    A server that ends says so, and one that dies is told of by the kernel: what is silent is there,
    as far as anybody could know before the first statement. Raises psycopg.OperationalError.
    """
    waiting = poll()
    waiting.register(connection.fileno(), POLLIN)
    if waiting.poll(0):
        ConnectionPool.check_connection(connection)


def open_database(settings: Settings) -> Database:
    """A closed pool for a worker: open it with ``with``. Dead connections are replaced on use."""
    return ConnectionPool(
        settings.database_url,
        connection_class=Connection[Row],
        kwargs={**_CONNECTION, "application_name": "bike-power-tracker worker"},
        min_size=1,
        max_size=2,
        timeout=settings.service_timeout,
        reconnect_timeout=settings.service_timeout,
        check=check_quiet,
        open=False,
    )


def connect_database(settings: Settings, *, replica: bool = False) -> DatabaseConnection:
    """One connection, for a look now and then. Raises psycopg.OperationalError."""
    return psycopg.connect(
        settings.database_read_url if replica else settings.database_url,
        row_factory=dict_row,
        prepare_threshold=None,
        connect_timeout=max(int(settings.service_timeout), 2),
        application_name="bike-power-tracker monitoring",
    )


def open_replica(settings: Settings, connection_class: type[BoundedConnection]) -> AsyncPool:
    """A closed pool of the replica for an API process.

    It looks at no connection before lending it: whoever reads has the primary to ask.
    """
    limit = settings.service_timeout / _FASTER
    return AsyncConnectionPool(
        settings.database_read_url,
        connection_class=connection_class,
        kwargs={**_CONNECTION, "application_name": "bike-power-tracker reads", "autocommit": True},
        min_size=1,
        max_size=settings.database_pool_size,
        timeout=limit,
        reconnect_timeout=settings.service_timeout,
        configure=_within(limit),
        open=False,
    )


def _within(seconds: float) -> Callable[[BoundedConnection], Awaitable[None]]:
    async def configure(connection: BoundedConnection) -> None:
        connection.time_limit = seconds

    return configure


async def connect_bounded(url: str, seconds: float) -> BoundedConnection:
    """One connection that waits so long for an answer. Raises psycopg.OperationalError."""
    connection = await BoundedConnection.connect(
        url, **_CONNECTION, application_name="bike-power-tracker watch", autocommit=True
    )
    connection.time_limit = seconds
    return connection


def open_async_database(settings: Settings) -> AsyncPool:
    """A closed pool for an API process, each statement its own transaction."""
    bounded = {"time_limit": settings.service_timeout}
    replacing = set[asyncio.Task[None]]()

    async def check(connection: BoundedConnection) -> None:
        """After a restart all idle ones are broken: replace them together.

        Else a caller finds one after the other, and the driver has it wait twice as long each time.
        """
        try:
            await AsyncConnectionPool.check_connection(connection)
        except psycopg.Error:
            task = asyncio.create_task(pool.check())
            replacing.add(task)
            task.add_done_callback(replacing.discard)
            raise

    pool = AsyncConnectionPool[BoundedConnection](
        settings.database_url,
        connection_class=type("BoundedConnection", (BoundedConnection,), bounded),
        kwargs={**_CONNECTION, "application_name": "bike-power-tracker api", "autocommit": True},
        min_size=1,
        max_size=settings.database_pool_size,
        timeout=settings.service_timeout,
        reconnect_timeout=settings.service_timeout,
        check=check,
        open=False,
    )
    return pool


def open_redis(settings: Settings, *, longest_block: float = 0) -> Redis:
    """A client for a worker; ``longest_block``: seconds that its blocking reads may take."""
    # No retries inside the driver: a command whose reply was lost would run twice unseen.
    return redis.Redis.from_url(
        settings.redis_url,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=settings.service_timeout + longest_block,
        socket_connect_timeout=settings.service_timeout,
    )


def open_async_redis(
    settings: Settings,
    *,
    bounded: bool = True,
    greet: Callable[[AbstractConnection], Awaitable[None]] | None = None,
) -> AsyncRedis:
    """A client for an API process; for the same reason it never retries.

    Unless ``bounded``, whoever uses it limits the time itself, once for many replies: the driver
    would watch over each of them. ``greet``: what to do first on each new connection, in place of
    its ``on_connect``.
    """
    # Where the driver expects notifications of maintenance, as it does by default, its pool does
    # not look whether Redis has closed a connection: after a restart each would fail once.
    return redis.asyncio.Redis.from_url(
        settings.redis_url,
        retry=AsyncRetry(NoBackoff(), 0),
        socket_timeout=settings.service_timeout if bounded else None,
        socket_connect_timeout=settings.service_timeout,
        redis_connect_func=greet,
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
