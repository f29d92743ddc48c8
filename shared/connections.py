"""The only place that opens drivers, with the time limits and retry rules the design asks for."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from functools import cache
from inspect import signature
from select import POLLIN, poll
from typing import Any, Final, LiteralString, Protocol, TypeVar, cast

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
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry
from redis.sentinel import Sentinel

from shared.redis_cluster import AsyncClusterClient, ClusterClient
from shared.redis_keys import PROBE, probe_key
from shared.redis_urls import ClusterUrl, Host, SentinelUrl, parse_redis_url
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
logger = logging.getLogger(__name__)

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


@contextmanager
def in_one_trip(connection: Connection[Any]) -> Iterator[None]:
    """Send the statements of the block together.

    The driver ends such a group with a message (Flush) after which PostgreSQL does not watch how
    long we are idle: of a worker that stalls, or whose host is lost, it would keep the transaction
    and its locks for as long as the connection lasts. After a statement by itself it does.
    """
    with connection.pipeline():
        yield
    connection.execute("")


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


def open_async_database(
    settings: Settings, *, user: str = "api", most: int | None = None
) -> AsyncPool:
    """A closed pool for an event loop, each statement its own transaction.

    ``user``: whose it is, as PostgreSQL lists it; ``most``: connections, or DATABASE_POOL_SIZE.
    """
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
        kwargs={
            **_CONNECTION,
            "application_name": f"bike-power-tracker {user}",
            "autocommit": True,
        },
        min_size=1,
        max_size=most or settings.database_pool_size,
        timeout=settings.service_timeout,
        reconnect_timeout=settings.service_timeout,
        check=check,
        open=False,
    )
    return pool


# Seconds: a sentinel that does not answer is passed over for the next one.
_SENTINEL_TIMEOUT: Final = 1.0


def open_redis(settings: Settings, *, longest_block: float = 0) -> Redis:
    """A client for a worker; ``longest_block``: seconds that its blocking reads may take."""
    return redis_at(settings.redis_url, settings.service_timeout, longest_block=longest_block)


def redis_at(
    url: str, time_limit: float = 30, *, longest_block: float = 0, **options: Any
) -> Redis:
    """A client of one server, of a cluster or of a primary that sentinels name.

    It waits ``time_limit`` seconds for an answer. ``options`` are the driver's.
    """
    # No retries inside the driver: a command whose reply was lost would run twice unseen.
    how: dict[str, Any] = {
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": time_limit + longest_block,
        "socket_connect_timeout": time_limit,
        **options,
    }
    where = parse_redis_url(url)
    if isinstance(where, ClusterUrl):
        return cast(Redis, ClusterClient(where, **how))
    if isinstance(where, SentinelUrl):
        found: Any = Sentinel
        sentinels = found(where.hosts, sentinel_kwargs=_asking(where, Retry(NoBackoff(), 0)))
        primary: Redis = sentinels.master_for(where.name, **where.options, **how)
        return primary
    return redis.Redis.from_url(url, **how)


def open_async_redis(
    settings: Settings,
    *,
    bounded: bool = True,
    greet: Callable[[AbstractConnection], Awaitable[None]] | None = None,
) -> AsyncRedis:
    """A client for an API process; for the same reason it never retries.

    Unless ``bounded``, whoever uses it limits the time itself, once for many replies: the driver
    would watch over each of them. ``greet``: what to do first on each new connection, in place of
    its ``on_connect``; a cluster's are made by ``client_of``, which is told by itself.
    """
    # Where the driver expects notifications of maintenance, as it does by default, its pool does
    # not look whether Redis has closed a connection: after a restart each would fail once.
    how: dict[str, Any] = {
        "retry": AsyncRetry(NoBackoff(), 0),
        "socket_timeout": settings.service_timeout if bounded else None,
        "socket_connect_timeout": settings.service_timeout,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    where = parse_redis_url(settings.redis_url)
    if isinstance(where, ClusterUrl):
        return cast(AsyncRedis, AsyncClusterClient(where, **how))
    if isinstance(where, SentinelUrl):
        found: Any = AsyncSentinel
        sentinels = found(where.hosts, sentinel_kwargs=_asking(where, AsyncRetry(NoBackoff(), 0)))
        how |= {**where.options, "redis_connect_func": greet}
        primary: AsyncRedis = sentinels.master_for(where.name, _AsyncPrimary, **how)
        return primary
    return redis.asyncio.Redis.from_url(settings.redis_url, redis_connect_func=greet, **how)


class _AsyncPrimary(redis.asyncio.Redis):
    """The primary that sentinels name: with its client, those of the sentinels are closed."""

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await super().aclose(close_connection_pool)
        pool: Any = self.connection_pool
        for sentinel in pool.sentinel_manager.sentinels:
            await sentinel.aclose()


def is_cluster(client: Redis | AsyncRedis) -> bool:
    """Whether a command may not name keys of two slots."""
    return isinstance(client, ClusterClient | AsyncClusterClient)


def primaries_of(client: Redis) -> dict[str, Redis]:
    """A client of each server that takes writes, by its name; the only one has none.

    Raises redis.RedisError.
    """
    return client.primaries() if isinstance(client, ClusterClient) else {"": client}


def answering_of(client: Redis) -> dict[str, Redis]:
    """The same, without the nodes of a cluster that did not answer lately."""
    return client.answering() if isinstance(client, ClusterClient) else {"": client}


def by_server(client: Redis, keys: Iterable[str]) -> list[tuple[Redis, list[str]]]:
    """Keys, with a client of the server that has them; without those of a node that is away.

    Raises redis.RedisError where no server answers.
    """
    return client.by_node(keys) if isinstance(client, ClusterClient) else [(client, list(keys))]


def is_away(client: Redis, key: str) -> bool:
    """Whether the node of a cluster that has a key did not answer lately."""
    return isinstance(client, ClusterClient) and client.is_away(key)


@contextmanager
def passing_over(client: Redis, *, key: str = "", node: str = "") -> Iterator[None]:
    """Go on without what a node, or that of a key, does not do; the only server is waited for.

    A node that does not answer is away for a while: see ``is_away``.
    """
    if not isinstance(client, ClusterClient):
        yield
        return
    asked = node or client.name_of(key)  # as it fails, the driver may learn who has its place
    try:
        yield
    except redis.RedisError as error:
        logger.warning("passed over %s: %s: %s", key or asked, type(error).__name__, error)
        if isinstance(error, redis.ConnectionError | redis.TimeoutError):
            with suppress(redis.RedisError):
                client.leave_alone(asked)


async def primary_of(client: AsyncRedis) -> Host | None:
    """Whom sentinels name now; idle connections to another one are closed. None without sentinels.

    Raises redis.RedisError.
    """
    pool: Any = client.connection_pool
    if not isinstance(pool, SentinelConnectionPool):
        return None
    address: Host = await pool.get_master_address()  # type: ignore[no-untyped-call]
    return address


async def infos_of(client: AsyncRedis) -> dict[str, dict[str, Any] | None]:
    """What each server that takes writes tells of itself, by its name; the only one has none.

    None for a node that does not answer. Raises redis.RedisError where no server does.
    """
    if not isinstance(client, AsyncClusterClient):
        return {"": await client.info("everything")}
    return await client.infos()


def probes_of(client: AsyncRedis) -> dict[str, str]:
    """What may be written to each server to see whether it takes writes, by the server's name.

    Of a cluster once ``infos_of`` has found the nodes.
    """
    if isinstance(client, AsyncClusterClient):
        return client.spread(probe_key)
    return {"": PROBE}


def _asking(where: SentinelUrl, retry: Any) -> dict[str, Any]:
    """How sentinels are asked."""
    return {
        **where.own,
        "retry": retry,
        "socket_timeout": _SENTINEL_TIMEOUT,
        "socket_connect_timeout": _SENTINEL_TIMEOUT,
    }
