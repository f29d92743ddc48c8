"""How many bytes of a user's batches may wait in Redis, so that nobody fills what all share."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from api.ingest.store import ask_for_checkpoints
from api.web.problems import TooManyRequests
from shared.connections import AsyncDatabase, AsyncRedis
from shared.redis_keys import WAITING_KEPT_FOR, samples_key, waiting_key

_STEPS: Final = 64  # of the share; what waits is measured once a user has added one
_MOST_USERS: Final = 100_000  # remembered by one process
_RETRY_AFTER: Final = "5"  # seconds, in which a checkpoint usually makes room
# Note the streams that a user has added to: where Redis is full, all the same. Then all of them.
_NOTE: Final = """#!lua flags=allow-oom
if #ARGV > 0 then redis.call('SADD', KEYS[1], unpack(ARGV)) end
return redis.call('SMEMBERS', KEYS[1])
"""


@dataclass
class _Added:
    """What this process has added since a user's streams were measured."""

    size: int = 0  # bytes
    under_way: int = 0  # bytes that Redis is to take
    streams: set[str] = field(default_factory=set)


class WaitingBytes:
    """How many bytes of each user wait, as far as this process knows.

    An upload waits for nothing: once a user has added a 64th of the share here, or was refused,
    Redis measures what waits, at most once a second. So a user exceeds the share by a 64th a
    process, and by what is uploaded in a second.
    """

    def __init__(self, share: int) -> None:
        self._share = share
        # By the numbers of the users' ids, as the hash of a UUID is a Python function.
        self._measured: dict[int, int] = {}
        self._added: defaultdict[int, _Added] = defaultdict(_Added)
        self._due: set[UUID] = set()  # to be measured

    def require(self, user_id: UUID, size: int = 1) -> None:
        """Raises TooManyRequests if the user's share has no room for that many bytes.

        Where nothing waits there is room for any batch.
        """
        used = self._used(user_id.int)
        if used and used + size > self._share:
            raise self._exceeded(user_id)

    @contextmanager
    def taking(self, user_id: UUID, workout_id: UUID, size: int) -> Iterator[None]:
        """Append a batch in the block; it counts unless that fails. Raises TooManyRequests."""
        if not self.begin(user_id, size):
            raise self._exceeded(user_id)
        try:
            yield
        except BaseException:
            self.give_up(user_id, size)
            raise
        self.end(user_id, samples_key(workout_id), size, size)

    def begin(self, user_id: UUID, size: int) -> bool:
        """A batch is on its way to Redis; False if the user's share has no room for it."""
        used = self._used(user_id.int)
        if used and used + size > self._share:
            return False
        self._added[user_id.int].under_way += size
        return True

    def give_up(self, user_id: UUID, size: int) -> None:
        """It has not got there."""
        self._added[user_id.int].under_way -= size

    def end(self, user_id: UUID, stream: str, begun: int, size: int) -> None:
        """A batch that began with so many bytes is in its stream, where it has this size."""
        added = self._added[user_id.int]
        added.under_way -= begun
        added.size += size
        added.streams.add(stream)
        if added.size * _STEPS >= self._share:
            self._due.add(user_id)

    async def measure(self, redis: AsyncRedis) -> list[UUID]:
        """Measure the users marked due; return those who use half of their share or more.

        What a fold has taken away is no longer there, so nothing has to be subtracted, and no crash
        makes the sum wrong. Raises redis.RedisError: then it is done the next time.
        """
        due = {user_id: list(self._added[user_id.int].streams) for user_id in self._due}
        sizes = {user_id: self._added[user_id.int].size for user_id in due}
        async with redis.pipeline(transaction=False) as pipe:
            for user_id, streams in due.items():
                pipe.eval(_NOTE, 1, waiting_key(user_id), *streams)
                pipe.expire(waiting_key(user_id), WAITING_KEPT_FOR)
            replies: list[Any] = await pipe.execute() if due else []
        totals = await _measure(redis, dict(zip(due, replies[::2], strict=True)))
        for user_id, streams in due.items():
            self._note(user_id, totals[user_id], sizes[user_id], streams)
        near = [user_id for user_id in due if 2 * self._used(user_id.int) >= self._share]
        if len(self._added) > _MOST_USERS:
            self._forget_idle()
        return near

    def _note(self, user_id: UUID, total: int, size: int, streams: list[str]) -> None:
        self._due.discard(user_id)
        self._measured[user_id.int] = total
        added = self._added[user_id.int]
        added.size -= size
        added.streams.difference_update(streams)

    def _forget_idle(self) -> None:
        """Forget users without an upload in progress; under 1/64 of the share goes uncounted."""
        for user in [each for each, added in self._added.items() if not added.under_way]:
            del self._added[user]
            self._measured.pop(user, None)

    def _exceeded(self, user_id: UUID) -> TooManyRequests:
        self._due.add(user_id)
        return TooManyRequests(
            "your samples arrive faster than they are archived; what was accepted is kept",
            headers={"Retry-After": _RETRY_AFTER},
        )

    def _used(self, user: int) -> int:
        added = self._added.get(user)
        here = added.size + added.under_way if added else 0
        return self._measured.get(user, 0) + here


async def _measure(redis: AsyncRedis, streams: dict[UUID, list[bytes]]) -> dict[UUID, int]:
    """The bytes of all streams of each user, all asked for at once; forget those that are gone.

    In a cluster each may be at another node. Every entry is looked at: by default Redis would take
    the first few for an example of all.
    """
    each = [(user_id, stream) for user_id, found in streams.items() for stream in found]
    async with redis.pipeline(transaction=False) as pipe:
        for _, stream in each:
            pipe.memory_usage(stream, samples=0)
        sizes = await pipe.execute() if each else []
    totals = dict.fromkeys(streams, 0)
    for (user_id, _), size in zip(each, sizes, strict=True):
        totals[user_id] += size or 0
    await _forget(redis, [one for one, size in zip(each, sizes, strict=True) if not size])
    return totals


async def _forget(redis: AsyncRedis, gone: list[tuple[UUID, bytes]]) -> None:
    """Forget streams of users, and note again those that a batch has come for meanwhile."""
    if not gone:
        return
    async with redis.pipeline(transaction=False) as pipe:
        for user_id, stream in gone:
            pipe.srem(waiting_key(user_id), stream)
        await pipe.execute()
    async with redis.pipeline(transaction=False) as pipe:
        for _, stream in gone:
            pipe.exists(stream)
        there = await pipe.execute()
    for (user_id, stream), is_there in zip(gone, there, strict=True):
        if is_there:
            await redis.eval(_NOTE, 1, waiting_key(user_id), stream)


async def keep_shares(waiting: WaitingBytes, redis: AsyncRedis, database: AsyncDatabase) -> None:
    """Measure what waits, and have the rides of users near their share archived soon.

    Raises redis.RedisError, psycopg.OperationalError, psycopg_pool.PoolTimeout.
    """
    for user_id in await waiting.measure(redis):
        await ask_for_checkpoints(database, user_id)
