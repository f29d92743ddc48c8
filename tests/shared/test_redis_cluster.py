"""A cluster's clients where there is no cluster: they behave as one server's do."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis

from shared.connections import AsyncRedis, Redis, open_async_redis, open_redis
from shared.settings import Settings, read_settings

NOWHERE = "redis+cluster://127.0.0.1:1,127.0.0.1:2/"


@pytest.fixture
def settings() -> Settings:
    urls = {"DATABASE_URL": "postgresql://none", "REDIS_URL": NOWHERE}
    return read_settings({**urls, "SERVICE_TIMEOUT": "1"})


@pytest.mark.parametrize(
    "use",
    [
        lambda client: client.get("a"),
        lambda client: client.exists("a", "b"),
        lambda client: client.delete("a"),
        lambda client: client.xread({"a": "0"}),
        lambda client: client.pipeline(transaction=False).get("a").execute(),
        lambda client: list(client.scan_iter("a")),
    ],
)
def test_one_that_is_away_is_an_error_of_the_connection(
    settings: Settings, use: Callable[[Redis], Any]
) -> None:
    with open_redis(settings) as client:
        for _ in range(2):
            with pytest.raises(redis.ConnectionError):
                use(client)


@pytest.mark.parametrize(
    "use",
    [
        lambda client: client.get("a"),
        lambda client: client.exists("a", "b"),
        lambda client: client.xread({"a": "0"}),
        lambda client: client.pipeline(transaction=False).get("a").execute(),
        lambda client: client.pubsub().subscribe("a"),
    ],
)
def test_so_it_is_for_the_api(
    settings: Settings, use: Callable[[AsyncRedis], Awaitable[Any]]
) -> None:
    async def run() -> None:
        async with open_async_redis(settings) as client:
            for _ in range(2):
                with pytest.raises(redis.ConnectionError):
                    await use(client)

    asyncio.run(run())


def test_streams_of_two_slots_in_one_command_are_a_mistake(settings: Settings) -> None:
    with open_redis(settings) as client, pytest.raises(ValueError, match="2 slots"):
        client.determine_slot("XREAD", b"STREAMS", "a", "b", "0", "0")
