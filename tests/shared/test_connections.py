import asyncio
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from select import select
from socketserver import BaseRequestHandler, TCPServer
from threading import Thread
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from shared.connections import (
    Database,
    in_one_trip,
    open_async_database,
    open_async_redis,
    open_redis,
)
from shared.settings import Settings, read_settings
from tests.faults.proxy import Proxy


@contextmanager
def server_that_loses_replies() -> Iterator[tuple[int, list[bytes]]]:
    """Hangs up after each XADD; yields its port, and the XADDs it was sent."""
    added: list[bytes] = []

    class HangUp(BaseRequestHandler):
        def handle(self) -> None:
            while received := self.request.recv(65536):
                if b"XADD" in received:
                    added.append(received)
                    return
                self.request.sendall(b"+OK\r\n" * received.count(b"CLIENT"))

    with TCPServer(("127.0.0.1", 0), HangUp) as server:
        thread = Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server.socket.getsockname()[1], added
        server.shutdown()
        thread.join()


def redis_settings(url: str, **more: str) -> Settings:
    return read_settings({"DATABASE_URL": "postgresql://none", "REDIS_URL": url, **more})


def test_a_command_whose_reply_was_lost_is_not_sent_again() -> None:
    with server_that_loses_replies() as (port, added):
        settings = redis_settings(f"redis://127.0.0.1:{port}?protocol=2")
        with open_redis(settings) as client, pytest.raises(redis.ConnectionError):
            client.xadd("s", {"b": "1"})
    assert len(added) == 1


def test_nor_is_one_of_the_api() -> None:
    async def add(settings: Settings) -> None:
        async with open_async_redis(settings) as client:
            await client.xadd("s", {"b": "1"})

    with server_that_loses_replies() as (port, added):
        settings = redis_settings(f"redis://127.0.0.1:{port}?protocol=2")
        with pytest.raises(redis.ConnectionError):
            asyncio.run(add(settings))
    assert len(added) == 1


def test_a_blocking_read_may_take_as_long_as_it_blocks() -> None:
    settings = redis_settings("redis://127.0.0.1:1", SERVICE_TIMEOUT="3")
    with open_redis(settings) as brief, open_redis(settings, longest_block=2) as blocking:
        assert brief.get_connection_kwargs()["socket_timeout"] == 3
        assert blocking.get_connection_kwargs()["socket_timeout"] == 5


def test_rows_are_read_by_name_and_json_by_value(database: Database) -> None:
    with database.connection() as connection:
        row = connection.execute("""SELECT 1 AS a, '{"b": [2]}'::jsonb AS c""").fetchone()
    assert row == {"a": 1, "c": {"b": [2]}}


@dataclass
class Known:
    """What an older process knows of a view."""

    a: int
    b: str = "unread"


def test_a_column_of_a_later_migration_is_left_out_of_a_row(settings: Settings) -> None:
    async def read() -> list[Known]:
        async with open_async_database(settings) as database, database.connection() as connection:
            first = await connection.row(Known, "SELECT 1 AS a, 'read' AS b, 2 AS added_later")
            assert first is not None
            return [first, *await connection.rows(Known, "SELECT 3 AS a, 4 AS added_later")]

    assert asyncio.run(read()) == [Known(1, "read"), Known(3)]


def test_a_pool_heals_when_its_connections_were_cut(database: Database, database_url: str) -> None:
    with database.connection() as connection:
        cut = connection.info.backend_pid
    with psycopg.connect(database_url, autocommit=True) as killer:
        killer.execute("SELECT pg_terminate_backend(%s, 10000)", [cut])
    with database.connection() as connection:
        assert connection.execute("SELECT 1 AS one").fetchone() == {"one": 1}


def test_nothing_is_prepared_so_that_pgbouncer_may_stand_between(database: Database) -> None:
    with database.connection() as connection:
        for _ in range(10):
            connection.execute("SELECT %s::int AS n", [1])
        prepared = connection.execute("SELECT count(*) AS n FROM pg_prepared_statements").fetchone()
    assert prepared == {"n": 0}


def test_a_frozen_redis_is_an_error_within_the_time_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # accepts, and is then silent
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}"
        with (
            open_redis(redis_settings(url, SERVICE_TIMEOUT="0.05")) as client,
            pytest.raises(redis.TimeoutError),
        ):
            client.ping()


@pytest.fixture
def proxy(urls: Mapping[str, str]) -> Iterator[Proxy]:
    """Before Redis, as over TCP the driver minds other things than over a socket."""
    proxy = Proxy(urlsplit(urls["REDIS_URL"]).path)
    yield proxy
    proxy.close()


async def _ping_across_a_cut(proxy: Proxy) -> bool:
    async with open_async_redis(redis_settings(f"redis://127.0.0.1:{proxy.port}")) as client:
        await client.ping()
        proxy.cut()
        await asyncio.sleep(0.05)  # the event loop hears of it
        return bool(await client.ping())


def test_a_connection_of_the_api_that_redis_has_closed_is_replaced(proxy: Proxy) -> None:
    assert asyncio.run(_ping_across_a_cut(proxy))


def test_postgresql_ends_what_stays_idle_after_statements_in_one_trip(
    urls: Mapping[str, str],
) -> None:
    """As of a worker whose host is lost in the middle of a fold."""
    with psycopg.connect(urls["DATABASE_URL"]) as connection:
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = '50ms'")
        with in_one_trip(connection):
            connection.execute("SELECT 1")
            connection.execute("SELECT 2")
        ended, _, _ = select([connection], [], [], 30)  # PostgreSQL says so before it hangs up
        assert ended
        connection.close()
