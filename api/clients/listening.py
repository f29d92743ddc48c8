"""The process's one subscription to what users' streams are told, and who listens to them here.

Redis says each message to every process of which somebody listens to that user. It is made into an
event once, and waits for each listener as samples do for who watches a ride.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import msgspec
import redis
from redis.asyncio.client import PubSub

from api.live.viewers import Viewer
from api.live.watching import Watching
from shared.connections import AsyncRedis
from shared.errors import ServiceUnavailable
from shared.redis_keys import messages_channel, stream_key

_PATIENCE: Final = 10.0  # seconds of silence after which Redis is asked whether it is there
_LOOK_EVERY: Final = 2.0  # seconds: a revoked key closes within REVOCATION_BOUND
_PAUSE: Final = 1.0  # seconds between attempts to subscribe
_BASE: Final = "messages"  # a channel of nobody's, which holds the subscription open
logger = logging.getLogger(__name__)


@dataclass(eq=False)
class _Audience:
    """Who listens to a user's streams: each to one of a name, or to all for None.

    ``heard``: is set once Redis tells this process what they are told.
    """

    user_id: UUID
    listeners: dict[Viewer, str | None] = field(default_factory=dict)
    heard: asyncio.Event = field(default_factory=asyncio.Event)


class Listening:
    """Who listens to which streams in this process. ``watching``: has the viewers of all kinds."""

    def __init__(self, client: AsyncRedis, watching: Watching, patience: float) -> None:
        self._redis = client
        self._watching = watching
        self._patience = patience
        self._audiences = dict[str, _Audience]()  # by channel
        self._channel: PubSub | None = None

    @asynccontextmanager
    async def listen(self, viewer: Viewer, user_id: UUID, name: str | None) -> AsyncIterator[None]:
        """Have the viewer told what the user's streams, or that of a name, are told meanwhile.

        Raises ServiceUnavailable where Redis cannot be heard.
        """
        channel = messages_channel(user_id)
        audience = self._audiences.setdefault(channel, _Audience(user_id))
        audience.listeners[viewer] = name
        try:
            await self._hear_of(channel, audience)
            yield
        finally:
            del audience.listeners[viewer]
            if not audience.listeners:
                await self._leave(channel)

    async def read(self) -> None:
        """Hold the subscription, for as long as the process serves."""
        while True:
            try:
                await self._subscribe()
            except Exception as error:  # whatever it was, it is made anew
                logger.warning("hear nothing of the streams: %s: %s", type(error).__name__, error)
            self._channel = None
            self._end_all()
            await asyncio.sleep(_PAUSE)

    def _end_all(self) -> None:
        """Messages may be missed from here on: who listens comes again, and knows that."""
        for audience in self._audiences.values():
            audience.heard.clear()
            for viewer in audience.listeners:
                viewer.end()

    async def look(self) -> None:
        """Drop those whose key, or stream, has ended, for as long as the process serves."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            if self._audiences:
                try:
                    await self._watching.look_at_tickets()
                    await self._look_for_streams()
                except Exception as error:  # whatever it was, the next look is another try
                    logger.warning("could not look at who listens: %r", error)

    async def _look_for_streams(self) -> None:
        """Tell of those that have aged out, which nobody says. Raises redis.RedisError."""
        heard = [
            (audience, name)
            for audience in self._audiences.values()
            for name in set(filter(None, audience.listeners.values()))
        ]
        async with self._redis.pipeline(transaction=False) as pipe:
            for audience, name in heard:
                pipe.exists(stream_key(audience.user_id, name))
            found = await pipe.execute()
        for (audience, name), is_there in zip(heard, found, strict=True):
            if not is_there:
                _tell(audience, name.encode())

    async def _hear_of(self, channel: str, audience: _Audience) -> None:
        if self._channel and not audience.heard.is_set():
            await self._channel.subscribe(channel)
        try:
            async with asyncio.timeout(self._patience):
                await audience.heard.wait()
        except TimeoutError:
            raise ServiceUnavailable("cannot hear Redis") from None

    async def _leave(self, channel: str) -> None:
        self._audiences.pop(channel, None)
        if self._channel:
            try:
                await self._channel.unsubscribe(channel)
            except redis.RedisError as error:  # the subscription is made anew
                logger.info("could not leave a channel: %r", error)

    async def _subscribe(self) -> None:
        """Hear what is said until Redis does not answer. Raises redis.RedisError."""
        async with self._redis.pubsub() as channel:
            await channel.subscribe(_BASE)
            self._channel, is_asked = channel, False
            if self._audiences:  # those who came before; whoever comes now subscribes by itself
                await channel.subscribe(*self._audiences)
            while True:
                message = await channel.get_message(timeout=_PATIENCE)
                if message:
                    self._hear(message)
                elif is_asked:
                    raise redis.TimeoutError("Redis does not answer")
                else:
                    await channel.ping()
                is_asked = not message

    def _hear(self, message: dict[str, Any]) -> None:
        channel = (message["channel"] or b"").decode()
        if channel not in self._audiences:
            return
        audience = self._audiences[channel]
        if message["type"] == "subscribe":
            audience.heard.set()
        elif message["type"] == "message":
            _tell(audience, message["data"])


def connected(name: str | None) -> bytes:
    """The first event."""
    return event({"type": "connected", "streamName": name or "all"})


def deleted(name: str) -> bytes:
    """The last event of a stream that is deleted, or was not there."""
    return event({"type": "stream_deleted", "streamName": name})


def event(data: object) -> bytes:
    """An event without a name or an id."""
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


def _tell(audience: _Audience, said: bytes) -> None:
    """What the log has published: a name, and of a message its id and data."""
    name, *message = said.decode().split("\n", 2)
    listeners = tuple(audience.listeners.items())
    if not message:
        for viewer, wanted in listeners:
            if wanted == name:
                viewer.push(deleted(name))
                viewer.end()
        return
    id_, data = message[0], msgspec.Raw(message[1].encode())
    told = {"type": "message", "id": id_, "data": data}
    of_one, of_all = event(told), event({**told, "stream": name})
    for viewer, wanted in listeners:
        if wanted in (None, name):
            viewer.push(of_all if wanted is None else of_one)
