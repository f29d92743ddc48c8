"""The nodes of a cluster, each with a writer of its own, and which of them has which slots."""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Final

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, MovedError

from api.ingest.epochs import Epochs
from api.ingest.node_writer import (
    Append,
    Held,
    NodeWriter,
    NoteLate,
    Place,
    hear,
    unavailable,
)
from api.ingest.redis_pipe import answered_within
from api.ingest.stream_reading import CHUNK, Waiting, read_in_chunks
from api.web.problems import NotFound
from shared.redis_cluster import ELSEWHERE, AsyncClusterClient
from shared.redis_keys import BATCH_FIELD, SEALED_COMPLETED, SEALED_DELETED, epoch_key
from shared.redis_urls import Host

_LOOK_EVERY: Final = 1.0  # seconds
_MOST_ASKED: Final = 5
_MOST_REDIRECTS: Final = 8
# Seconds for which a node that was told to have a slot counts as having it, whatever others say.
_TOLD_FOR: Final = 5.0
logger = logging.getLogger(__name__)


class Shards:
    """Hands batches to the writers of the nodes that have their slots.

    Each node's batches are grouped by themselves: one that is away costs its rides only. Who has
    which slots is asked every second, and as soon as a node says that it has not what it is sent,
    or does not answer.
    """

    def __init__(
        self,
        client: AsyncClusterClient,
        epochs: Epochs,
        time_limit: float,
        held: Held,
        note_late: NoteLate,
    ) -> None:
        self._client = client
        self._epochs = epochs
        self._held = held
        self._note_late = note_late
        self._time_limit = time_limit
        self._nodes: dict[Host, NodeWriter] = {}
        self._by_slot: list[NodeWriter | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._told: dict[int, tuple[Host, float]] = {}  # who has a slot, and until when to heed it
        self._homeless: list[Append] = []  # until it is known who has their slots
        self._learning: asyncio.Task[None] | None = None
        self._tasks = set[asyncio.Task[None]]()

    def add(self, append: Append) -> None:
        """Write the batch to the node that has its ride, and settle it."""
        append.slot = key_slot(append.place.sealed.encode())
        self._send(append)

    async def look_at(self, key: str) -> str:
        """The epoch of what was read before of a key's slot. Raises redis.RedisError."""
        node = await self._node_of(key)
        return await node.look() if node else self._epochs.once()

    async def read(self, place: Place) -> tuple[Waiting, str]:
        """What waits of a ride, and the epoch of the node that has said so.

        Of a slot that is being moved, some keys are here and some there: then the epoch is one that
        nobody is told twice. Raises redis.RedisError.
        """
        node = await self._node_of(place.sealed)
        try:
            if node:
                return await node.read(place.stream)
        except ELSEWHERE as error:
            self._learn_soon()
            if target := self._asked_at(error):
                waiting, _ = await target.read(place.stream, asking=True)
                return waiting, self._epochs.once()
        return await self._read_by_driver(place.stream), self._epochs.once()

    def _asked_at(self, error: Exception) -> NodeWriter | None:
        """The node to which one has sent us for this time alone; None if it is for all times."""
        if isinstance(error, AskError) and not isinstance(error, MovedError):
            return self._nodes.get((error.host, error.port))
        return None

    async def _read_by_driver(self, stream: str) -> Waiting:
        async def read_chunk(start: str) -> Any:
            async with answered_within(self._time_limit):
                return await self._client.xrange(stream, min=start, count=CHUNK)

        return await read_in_chunks(read_chunk)

    async def _node_of(self, key: str) -> NodeWriter | None:
        """Who has a key, as far as any node says so."""
        slot = key_slot(key.encode())
        if self._by_slot[slot] is None:
            await self._learn_now()
        return self._by_slot[slot]

    async def watch(self) -> None:
        """Look who has which slots, for as long as the process serves.

        Each node is asked for its key, too: one that is a primary no more says so, and its
        connection is closed, before it could become one again.
        """
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            await self._learn_now()
            for node in self._nodes.values():
                hear(node.look())

    async def close(self) -> None:
        """Close all connections."""
        if self._learning:
            self._learning.cancel()  # else it makes more writers meanwhile
        for node in [*self._nodes.values()]:
            await node.close()

    def _send(self, append: Append) -> None:
        node = self._by_slot[append.slot]
        if node is None:
            self._homeless.append(append)
            self._learn_soon()
        else:
            node.add(append)

    def redirect(self, elsewhere: Sequence[tuple[Append, Exception]]) -> None:
        """Send batches to where a node has said that their slots are. Each counts once."""
        self._learn_soon()
        for append, error in elsewhere:
            append.redirected += 1
            if append.redirected > _MOST_REDIRECTS:
                self._held.end(append, unavailable(error))
            elif isinstance(error, MovedError):
                self._heed(append.slot, (error.host, error.port))
                self._send(append)
            else:
                self._start(self._send_by_driver(append))

    def _heed(self, slot: int, host: Host) -> None:
        self._told[slot] = host, time.monotonic() + _TOLD_FOR
        self._by_slot[slot] = self._nodes.get(host)

    async def _send_by_driver(self, append: Append) -> None:
        """Of a slot that is being moved, some keys are here and some there: the driver finds them.

        The epoch is one that nobody is told twice: until the slot has been moved, the device sends
        again what is not durable.
        """
        place, outcome = append.place, self._epochs.once()
        try:
            async with asyncio.timeout(self._time_limit):
                entry: Any = {BATCH_FIELD: append.entry}
                await self._client.xadd(place.stream, entry)
                seal = await self._client.get(place.sealed)
                if seal == SEALED_COMPLETED or append.finished:
                    await self._note_late({place.workout_id})
        except Exception as error:  # whatever it was, the waiting request gets its answer
            self._held.end(append, unavailable(error))
        else:
            is_gone = seal == SEALED_DELETED
            self._held.end(append, NotFound("no such workout") if is_gone else outcome)

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _learn_soon(self) -> asyncio.Task[None]:
        if self._learning is None:
            self._learning = asyncio.create_task(self._learn())
        return self._learning

    async def _learn_now(self) -> None:
        await asyncio.shield(self._learn_soon())

    async def _learn(self) -> None:
        """Ask who has which slots; then hand out what has waited for that."""
        failed: Exception = ConnectionError("no node has the slot")
        try:
            await self._adopt(await self._ask())
        except Exception as error:  # whatever it was, the next look is another try
            logger.warning("could not learn who has which slots: %r", error)
            failed = error
        finally:
            self._learning = None
        homeless, self._homeless = self._homeless, []
        for append in homeless:
            if node := self._by_slot[append.slot]:
                node.add(append)
            else:
                self._held.end(append, unavailable(failed))

    async def _ask(self) -> list[tuple[int, int, Host]]:
        """Ask one node after the other, as each may be away. Raises redis.RedisError."""
        for _ in range(_MOST_ASKED):
            with suppress(redis.RedisError, TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY):
                    return await self._client.slots()
        raise redis.TimeoutError("no node says who has which slots")

    async def _adopt(self, slots: Iterable[tuple[int, int, Host]]) -> None:
        """Have writers for the nodes that there are, each of which has told its key."""
        now = time.monotonic()
        self._told = {slot: told for slot, told in self._told.items() if told[1] > now}
        ranges = [*slots, *((slot, slot, host) for slot, (host, _) in self._told.items())]
        hosts = {host for _, _, host in ranges}
        new = [self._make(host) for host in hosts - self._nodes.keys()]
        for host in hosts:
            self._nodes[host].key = _key_in([(low, high) for low, high, of in ranges if of == host])
        if new:
            looks = [node.look() for node in new]
            for look in looks:
                hear(look)
            await asyncio.wait(looks)
        for low, high, host in ranges:
            self._by_slot[low : high + 1] = [self._nodes[host]] * (high + 1 - low)
        gone = [self._nodes.pop(host) for host in self._nodes.keys() - hosts]
        self._by_slot = (
            [None if node in gone else node for node in self._by_slot] if gone else self._by_slot
        )
        self._epochs.keep([node.name for node in self._nodes.values()])
        for node in gone:
            await node.close()

    def _make(self, host: Host) -> NodeWriter:
        async def greet(connection: Any) -> None:
            await self._epochs.greet(connection, node.key)

        client = self._client.client_of(host, redis_connect_func=greet)
        node = self._nodes[host] = NodeWriter(
            client,
            self._epochs,
            self._time_limit,
            self._held,
            self._note_late,
            name=f"{host[0]}:{host[1]}",
            redirect=self.redirect,
        )
        return node


def _key_in(ranges: Sequence[tuple[int, int]]) -> str:
    """The key that tells of a loss at a node: all processes choose the same."""
    number = 0
    while not any(low <= _slot_of_epoch(number) <= high for low, high in ranges):
        number += 1
    return epoch_key(number)


@cache
def _slot_of_epoch(number: int) -> int:
    return int(key_slot(epoch_key(number).encode()))
