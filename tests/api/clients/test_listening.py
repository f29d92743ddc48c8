"""Hearing what streams are told, from the first moment of a process on."""

import asyncio
from typing import Any, cast
from uuid import uuid4

import msgspec
from redis.asyncio.client import PubSub

from api.clients.listening import Listening
from api.live.viewers import Ticket, Viewer
from api.live.watching import Watching
from shared.connections import open_async_redis
from shared.redis_keys import messages_channel
from shared.settings import Settings

PATIENCE = 10.0  # seconds


class Held(PubSub):
    """A subscription that Redis confirms only once ``let_go`` is set."""

    def __init__(self, client: Any) -> None:
        super().__init__(client.connection_pool)
        self.begun, self.let_go = asyncio.Event(), asyncio.Event()

    async def subscribe(self, *channels: Any, **handlers: Any) -> None:
        await super().subscribe(*channels, **handlers)
        self.begun.set()
        await self.let_go.wait()


def test_who_comes_while_the_process_subscribes_is_heard(settings: Settings) -> None:
    async def scenario() -> list[bytes | None]:
        viewer, heard = Viewer(Ticket("key", "1", uuid4())), asyncio.Event()
        async with open_async_redis(settings) as client:
            held = Held(client)
            client.pubsub = lambda **_: held  # type: ignore[method-assign]
            listening = Listening(client, cast(Watching, None), PATIENCE)
            reading = asyncio.create_task(listening.read())
            await held.begun.wait()
            told = asyncio.create_task(next_of(listening, viewer, heard))
            await asyncio.sleep(0)  # it has come, and waits to be heard
            held.let_go.set()
            await asyncio.wait(
                {asyncio.create_task(heard.wait()), told}, return_when="FIRST_COMPLETED"
            )
            channel = messages_channel(viewer.ticket.user_id)
            await client.publish(channel, b'one\n1-0\n{"message": 1}')
            try:
                return await told
            finally:
                reading.cancel()

    [event] = asyncio.run(scenario())
    assert event is not None
    told = msgspec.json.decode(event.removeprefix(b"data: "))
    assert told == {"type": "message", "id": "1-0", "data": {"message": 1}}


async def next_of(listening: Listening, viewer: Viewer, heard: asyncio.Event) -> list[bytes | None]:
    async with listening.listen(viewer, viewer.ticket.user_id, "one"):
        heard.set()
        return await viewer.next_events()
