"""Where the API writes sample streams and fold events, and nowhere else."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Iterable
from functools import partial
from itertools import chain
from typing import Any, Final
from uuid import UUID

import redis

from api.ingest.epochs import Command, Epochs
from api.ingest.node_writer import (
    Append,
    Held,
    NodeWriter,
    Place,
    Settle,
    place_of,
    settle,
)
from api.ingest.redis_pipe import answered_within
from api.ingest.shards import Shards
from api.ingest.stream_reading import Waiting
from api.ingest.table import Rows
from shared import tracing
from shared.connections import AsyncRedis
from shared.errors import ServiceUnavailable
from shared.events import FoldRequest
from shared.redis_cluster import AsyncClusterClient
from shared.redis_keys import (
    ASKED_FOR,
    DUE,
    SEALED_COMPLETED,
    SEALED_DELETED,
    SEALED_FOR,
    UNASKED,
    Queue,
    asked_key,
    sealed_key,
)

_LATE_AFTER: Final = 1000  # ms from the first late sample of a ride to its fold

logger = logging.getLogger(__name__)


class StreamWriter:
    """Appends batches, those of concurrent requests in one pipeline: see NodeWriter.

    In a cluster each node has a writer of its own: see Shards. ``time_limit`` in seconds is that of
    a pipeline; connections are greeted by ``epochs``.
    """

    def __init__(
        self, client: AsyncRedis, epochs: Epochs, max_pending_bytes: int, time_limit: float
    ) -> None:
        self._redis = client
        self._epochs = epochs
        self._time_limit = time_limit
        self._held = Held(max_pending_bytes)
        how = (epochs, time_limit, self._held, self._note_late)
        self._writer: Shards | NodeWriter
        if isinstance(client, AsyncClusterClient):
            self._writer = Shards(client, *how)
        else:
            self._writer = NodeWriter(client, *how)

    async def append(self, workout_id: UUID, entry: bytes, *, finished: bool) -> str:
        """Store a batch; returns once Redis has it, and a fold is asked for if the ride is over.

        Returns the epoch: as long as the same is told, Redis has not lost the batch.

        Raises NotFound if the workout was deleted; ServiceUnavailable if Redis cannot take the
        batch or did not say so: sending it again is then right, and harmless.
        """
        done = asyncio.get_running_loop().create_future()
        if not self.has_room(len(entry)):
            raise ServiceUnavailable("too many uploads are waiting for Redis")
        place, told = place_of(workout_id), partial(settle, done)
        self.add(place, entry, len(entry), told, finished=finished)
        epoch: str = await done
        return epoch

    def has_room(self, size: int) -> bool:
        """Whether a batch of so many bytes may wait, too."""
        return self._held.size + size <= self._held.most

    def add(
        self, place: Place, batch: bytes | Rows, size: int, settle: Settle, *, finished: bool
    ) -> None:
        """As ``append``, of a batch for which there is room, or of rows that may take its size.

        ``settle`` is called with what that returns or would raise, and with NotRight for rows.
        """
        self._held.size += size
        self._writer.add(Append(place, batch, size, finished, settle))

    async def epoch(self, workout_id: UUID) -> str:
        """The epoch of what was read before of a ride. Raises redis.RedisError."""
        if isinstance(self._writer, Shards):
            return await self._writer.look_at(sealed_key(workout_id))
        return await self._writer.look()

    async def epoch_if_known(self, workout_id: UUID) -> str | None:
        """The same; None while Redis does not answer, for an answer that does not need it."""
        try:
            return await self.epoch(workout_id)
        except redis.RedisError:
            return None

    async def waiting(self, workout_id: UUID) -> tuple[Waiting, str]:
        """What waits of a ride, and the epoch of the server that has said so.

        As long as that epoch is told, whatever was acknowledged and does not wait is archived.
        Raises redis.RedisError.
        """
        place = place_of(workout_id)
        if isinstance(self._writer, Shards):
            return await self._writer.read(place)
        return await self._writer.read(place.stream)

    async def watch(self) -> None:
        """Look which server has what, for as long as the process serves and there are several."""
        if isinstance(self._writer, Shards):
            await self._writer.watch()
        else:
            await self._writer.follow_primary()

    async def close(self) -> None:
        """Close the connections to nodes."""
        if isinstance(self._writer, Shards):
            await self._writer.close()

    async def announce_completion(self, workout_id: UUID) -> None:
        """A ride is over: later uploads ask for a fold, as this does for the one that is due."""
        seal = _seal(workout_id, SEALED_COMPLETED)
        await self._announce("completed", workout_id, self._ask_for_fold(workout_id, seal))

    async def announce_deletion(self, workout_id: UUID) -> None:
        """A ride is deleted: every API process refuses further uploads to it."""
        seal, late = _seal(workout_id, SEALED_DELETED), _note_late([workout_id])
        await self._announce("deleted", workout_id, self._carry_out(seal, late))

    async def _announce(self, what: str, workout_id: UUID, telling: Awaitable[object]) -> None:
        """Tell of a change that is committed. A failure is logged, and does not undo it.

        The workers look for the folds that a row says are due, and purge stray samples.
        """
        try:
            await telling
        except redis.RedisError as error:
            logger.warning("%s %s, but could not announce it: %s", what, workout_id, error)

    async def _ask_for_fold(self, workout_id: UUID, *first: Command) -> None:
        """Add an event for a fold that a row says is due, unless one waits already.

        Nor if some wait: then the workers take it from the row, each user's in turn. Who ends one
        ride after the other would else keep the stream full. Raises redis.RedisError.
        """
        mark = asked_key(workout_id, Queue.PROMPT)
        ask = ("SET", mark, b"", "NX", "EX", ASKED_FOR)
        *_, is_first, length = await self._carry_out(*first, ask, ("XLEN", Queue.PROMPT))
        if is_first:
            await self._carry_out(_event(workout_id) if length < UNASKED else ("DEL", mark))

    async def _carry_out(self, *commands: Command) -> list[Any]:
        """What came of commands that must all succeed. Raises redis.RedisError."""
        async with (
            answered_within(self._time_limit),
            self._redis.pipeline(transaction=False) as pipe,
        ):
            for command in commands:
                pipe.execute_command(*command)
            replies: list[Any] = await pipe.execute()
        return replies

    async def _note_late(self, workout_ids: set[UUID]) -> None:
        """Have rides that are over folded once more, soon. Raises redis.RedisError."""
        await self._carry_out(_note_late(workout_ids))


def _event(workout_id: UUID) -> Command:
    fields = FoldRequest(workout_id, tracing.current()).fields().items()
    return ("XADD", Queue.PROMPT, "*", *chain.from_iterable(fields))


def _note_late(workout_ids: Iterable[UUID]) -> Command:
    """Have the samples that wait of rides that are over, or deleted, archived soon."""
    due_at = int(time.time() * 1000) + _LATE_AFTER
    rides = chain.from_iterable((due_at, str(workout_id)) for workout_id in workout_ids)
    return ("ZADD", DUE, "NX", *rides)


def _seal(workout_id: UUID, why: bytes) -> Command:
    return ("SET", sealed_key(workout_id), why, "EX", SEALED_FOR)
