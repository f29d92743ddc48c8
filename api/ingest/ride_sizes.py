"""How many samples a ride may have: counted in Redis, by all API processes together."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from api.ingest.store import find_ownership
from api.web.problems import LimitReached
from shared.connections import AsyncDatabase, AsyncRedis
from shared.redis_keys import SIZE_KEPT_FOR, samples_key, size_key

_MOST_RIDES: Final = 200_000  # remembered by one process
_STEPS: Final = 1000  # of the limit; a ride is counted in Redis once it has grown by one


class RideSizes:
    """How many samples each ride has, archived or waiting, as far as is known here.

    An upload waits for nothing. A process begins with what the archive has, and once it has taken
    a thousandth of the limit for a ride it adds that to the count in Redis, at most once a second,
    and learns the total. So a ride exceeds the limit by a thousandth a process, and by what its
    user's quota lets through in a second. A sample that was sent twice counts twice until the ride
    seems to be full: then, once nothing of it waits, it has what the archive has.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._step = max(limit // _STEPS, 1)
        # By the numbers of the rides' ids, as the hash of a UUID is a Python function.
        self._known: dict[int, int] = {}  # the ride heard of first is the first
        self._pending: dict[int, int] = {}  # taken here since
        self._due: set[int] = set()  # to be counted in Redis
        self._refused: dict[int, UUID] = {}  # with their users; to be counted in PostgreSQL

    def learn(self, workout_id: UUID, archived: int) -> None:
        """Note how many samples PostgreSQL has of a ride."""
        ride = workout_id.int
        if ride not in self._known and len(self._known) >= _MOST_RIDES:
            self._forget(next(iter(self._known)))
        self._known[ride] = max(self._known.get(ride, 0), archived)

    def require(self, workout_id: UUID, user_id: UUID, samples: int = 1) -> None:
        """Raises Conflict if the ride has no room for that many."""
        if self._size(workout_id.int) + samples > self._limit:
            raise self._full(workout_id, user_id)

    @contextmanager
    def taking(self, workout_id: UUID, user_id: UUID, samples: int) -> Iterator[None]:
        """Add samples to a ride; they are taken back if the block fails. Raises Conflict."""
        if not self.take(workout_id, samples):
            raise self._full(workout_id, user_id)
        try:
            yield
        except BaseException:
            self.give_back(workout_id, samples)
            raise

    def take(self, workout_id: UUID, samples: int) -> bool:
        """Add samples to a ride; False if it has no room for them."""
        ride = workout_id.int
        pending = self._pending.get(ride, 0) + samples
        if self._known.get(ride, 0) + pending > self._limit:
            return False
        self._pending[ride] = pending
        if pending >= self._step:
            self._due.add(ride)
        return True

    def give_back(self, workout_id: UUID, samples: int) -> None:
        """Samples of a ride were not stored after all."""
        ride = workout_id.int
        self._pending[ride] = self._pending.get(ride, 0) - samples

    async def publish(self, redis: AsyncRedis) -> None:
        """Add what was taken to the counts in Redis, and learn them. Raises redis.RedisError."""
        due, self._due = self._due, set()
        if not due:
            return
        async with redis.pipeline(transaction=False) as pipe:
            for ride in due:
                key, before = size_key(UUID(int=ride)), self._known.get(ride, 0)
                taken = self._pending.pop(ride, 0)
                self._known[ride] = before + taken
                pipe.set(key, before, nx=True, ex=SIZE_KEPT_FOR)
                pipe.incrby(key, taken)
                pipe.expire(key, SIZE_KEPT_FOR)
            totals = (await pipe.execute())[1::3]
        self._known.update(zip(due, totals, strict=True))

    async def recount(self, redis: AsyncRedis, database: AsyncDatabase) -> None:
        """Count anew what seems to be full, unless some of it waits to be archived.

        Raises redis.RedisError, psycopg.OperationalError, psycopg_pool.PoolTimeout.
        """
        refused, self._refused = self._refused, {}
        for ride, user_id in refused.items():
            workout_id = UUID(int=ride)
            if await redis.exists(samples_key(workout_id)):
                continue
            if found := await find_ownership(database, workout_id, user_id):
                await redis.set(size_key(workout_id), found.archived, ex=SIZE_KEPT_FOR)
                self._known[ride] = found.archived
                self._pending.pop(ride, None)

    def _full(self, workout_id: UUID, user_id: UUID) -> LimitReached:
        self._refused[workout_id.int] = user_id
        return LimitReached(
            f"a workout may have {self._limit} samples, and this one has no room for more:"
            " complete it and start another"
        )

    def _size(self, ride: int) -> int:
        return self._known.get(ride, 0) + self._pending.get(ride, 0)

    def _forget(self, ride: int) -> None:
        self._known.pop(ride)
        self._pending.pop(ride, None)
        self._due.discard(ride)
        self._refused.pop(ride, None)
