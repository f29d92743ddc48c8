"""A connection to Redis on which groups of commands are answered by a callback, without tasks.

The driver opens it and signs in, and closes it at the end; in between the socket is ours.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import redis
from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.asyncio.connection import AbstractConnection

from shared.connections import AsyncRedis

Replies = list[Any]
Done = Callable[[Replies | Exception], None]


@asynccontextmanager
async def answered_within(seconds: float) -> AsyncIterator[None]:
    """Limit what the block may take, all of it together. Raises redis.TimeoutError."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise redis.TimeoutError("Redis does not answer") from None


class RedisPipe(asyncio.Protocol):
    """One group at a time, answered within ``time_limit`` seconds as a whole, or not at all."""

    def __init__(self, client: AsyncRedis, time_limit: float) -> None:
        self._pool = client.connection_pool
        self._time_limit = time_limit
        self._connection: Any = None
        self._transport: Any = None
        self._done: Done | None = None
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def connection(self) -> AbstractConnection:
        """The driver's, that was opened last."""
        connection: AbstractConnection = self._connection
        return connection

    async def open(self) -> None:
        """Connect, anew if need be. Raises redis.RedisError."""
        async with answered_within(self._time_limit):
            if self._connection is None:
                self._connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
            else:
                await self._connection.disconnect(nowait=True)
                await self._connection.connect()
        self._next_reply = self._connection._parser._reader.gets
        self._feed = self._connection._parser._reader.feed
        self._transport = self._connection._writer.transport
        self._drivers = self._transport.get_protocol()
        self._transport.set_protocol(self)
        if not self.is_open:  # nobody would hear of it any more, and no command be answered
            raise redis.ConnectionError("the connection to Redis was lost at once")

    def send(self, packed: bytes, count: int, done: Done) -> None:
        """Send commands; ``done`` gets their replies, errors among them, or why there are none."""
        self._count, self._replies, self._done = count, Replies(), done
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(self._time_limit, self._give_up)
        self._transport.write(packed)

    def close(self) -> None:
        """Close the connection: what is to be sent next opens another one."""
        if self.is_open:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Replies, or parts of them."""
        self._feed(data)
        while (reply := self._next_reply()) is not NOT_ENOUGH_DATA:
            self._replies.append(reply)
        if len(self._replies) >= self._count:
            self._finish(self._replies)

    def connection_lost(self, exc: Exception | None) -> None:
        """Redis is gone, or the driver closes the connection."""
        self._transport = None
        self._drivers.connection_lost(exc)
        self._finish(redis.ConnectionError(f"the connection to Redis was lost: {exc}"))

    def _give_up(self) -> None:
        self._transport.abort()
        self._finish(redis.TimeoutError("Redis does not answer"))

    def _finish(self, replies: Replies | Exception) -> None:
        done, self._done = self._done, None
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None
        if done:
            done(replies)
