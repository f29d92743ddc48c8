"""How many samples a user may upload a minute: counted in Redis, by all API processes together."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from api.web.problems import TooManyRequests
from shared.connections import AsyncRedis
from shared.redis_keys import quota_key

WINDOW: Final = 60  # seconds


class Quota:
    """What each user has used of the samples of the current minute, as far as is known here.

    An upload waits for nothing: every process adds its counts to Redis once a second and learns
    the totals, so a user overdraws by no more than is uploaded in that second. All keys of a user
    count together: many of them give no more than one. ``clock`` gives Unix seconds.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.time) -> None:
        self._limit = limit
        self._clock = clock
        self._minute = 0
        self._lines = b'ratelimit-policy: "samples";q=%d;w=%d\r\n' % (limit, WINDOW)
        self._lines += b'ratelimit: "samples";r=%d;t=%d\r\n'
        # By the numbers of the users' ids, as the hash of a UUID is a Python function.
        self._counted: dict[int, int] = {}  # Redis was told
        self._pending: dict[int, int] = {}  # used here since

    def require(self, user_id: UUID, samples: int = 1) -> None:
        """Raises TooManyRequests if that many are not left."""
        if self._used(user_id) + samples > self._limit:
            raise self._exceeded(user_id)

    @contextmanager
    def taking(self, user_id: UUID, samples: int) -> Iterator[None]:
        """Use samples; they are given back if the block fails. Raises TooManyRequests."""
        minute = self.take(user_id, samples)
        if minute is None:
            raise self._exceeded(user_id)
        try:
            yield
        except BaseException:
            self.give_back(user_id, samples, minute)
            raise

    def take(self, user_id: UUID, samples: int) -> int | None:
        """Use samples: the minute to which they count; None if that many are not left."""
        minute, user = self._current_minute(), user_id.int
        pending = self._pending.get(user, 0) + samples
        if self._counted.get(user, 0) + pending > self._limit:
            return None
        self._pending[user] = pending
        return minute

    def give_back(self, user_id: UUID, samples: int, minute: int) -> None:
        """Samples of a minute were not used after all."""
        if minute == self._current_minute():
            self._pending[user_id.int] = self._pending.get(user_id.int, 0) - samples

    def headers(self, user_id: UUID) -> dict[str, str]:
        """What is left: draft-ietf-httpapi-ratelimit-headers."""
        left = max(self._limit - self._used(user_id), 0)
        return {
            "RateLimit-Policy": f'"samples";q={self._limit};w={WINDOW}',
            "RateLimit": f'"samples";r={left};t={self._seconds_left()}',
        }

    def header_lines(self, user_id: UUID) -> bytes:
        """The same as lines, each with its end."""
        return self._lines % (max(self._limit - self._used(user_id), 0), self._seconds_left())

    async def publish(self, redis: AsyncRedis) -> None:
        """Add what was used to the counts in Redis. Raises redis.RedisError."""
        minute = self._current_minute()
        added, self._pending = self._pending, {}
        if not added:
            return
        for user, samples in added.items():
            self._counted[user] = self._counted.get(user, 0) + samples
        async with redis.pipeline(transaction=False) as pipe:
            for user, samples in added.items():
                key = quota_key(UUID(int=user), minute)
                pipe.set(key, 0, nx=True, ex=2 * WINDOW)
                pipe.incrby(key, samples)
            totals = (await pipe.execute())[1::2]
        if minute == self._current_minute():
            self._counted.update(zip(added, totals, strict=True))

    def _exceeded(self, user_id: UUID) -> TooManyRequests:
        wait = {"Retry-After": str(self._seconds_left())}
        return TooManyRequests(
            f"a user may upload {self._limit} samples a minute, by all keys together",
            headers={**self.headers(user_id), **wait},
        )

    def _used(self, user_id: UUID) -> int:
        self._current_minute()
        user = user_id.int
        return self._counted.get(user, 0) + self._pending.get(user, 0)

    def _current_minute(self) -> int:
        minute = int(self._clock()) // WINDOW
        if minute != self._minute:
            self._minute = minute
            self._counted.clear()
            self._pending.clear()
        return minute

    def _seconds_left(self) -> int:
        return WINDOW - int(self._clock()) % WINDOW
