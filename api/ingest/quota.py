"""How many samples a key may upload a minute: counted in Redis, by all API processes together."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from api.web.problems import TooManyRequests
from shared.connections import AsyncRedis
from shared.redis_keys import quota_key

WINDOW: Final = 60  # seconds


class Quota:
    """What each key has used of its samples in the current minute, as far as is known here.

    An upload waits for nothing: every process adds its counts to Redis once a second and learns
    the totals, so a key overdraws by no more than it uploads in that second. ``clock`` gives
    Unix seconds.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.time) -> None:
        self._limit = limit
        self._clock = clock
        self._minute = 0
        self._counted: dict[str, int] = {}  # Redis was told
        self._pending: dict[str, int] = {}  # used here since

    def require(self, key_id: str, samples: int = 1) -> None:
        """Raises TooManyRequests if that many are not left."""
        if self._used(key_id) + samples > self._limit:
            wait = {"Retry-After": str(self._seconds_left())}
            raise TooManyRequests(
                f"this key may upload {self._limit} samples a minute",
                headers={**self.headers(key_id), **wait},
            )

    @contextmanager
    def taking(self, key_id: str, samples: int) -> Iterator[None]:
        """Use samples; they are given back if the block fails. Raises TooManyRequests."""
        self.require(key_id, samples)
        minute = self._minute
        self._pending[key_id] = self._pending.get(key_id, 0) + samples
        try:
            yield
        except BaseException:
            if minute == self._current_minute():
                self._pending[key_id] = self._pending.get(key_id, 0) - samples
            raise

    def headers(self, key_id: str) -> dict[str, str]:
        """What is left: draft-ietf-httpapi-ratelimit-headers."""
        left = max(self._limit - self._used(key_id), 0)
        return {
            "RateLimit-Policy": f'"samples";q={self._limit};w={WINDOW}',
            "RateLimit": f'"samples";r={left};t={self._seconds_left()}',
        }

    async def publish(self, redis: AsyncRedis) -> None:
        """Add what was used to the counts in Redis. Raises redis.RedisError."""
        minute = self._current_minute()
        added, self._pending = self._pending, {}
        if not added:
            return
        for key_id, samples in added.items():
            self._counted[key_id] = self._counted.get(key_id, 0) + samples
        async with redis.pipeline() as pipe:
            for key_id, samples in added.items():
                pipe.incrby(quota_key(key_id, minute), samples)
                pipe.expire(quota_key(key_id, minute), 2 * WINDOW)
            totals = (await pipe.execute())[::2]
        if minute == self._current_minute():
            self._counted.update(zip(added, totals, strict=True))

    def _used(self, key_id: str) -> int:
        self._current_minute()
        return self._counted.get(key_id, 0) + self._pending.get(key_id, 0)

    def _current_minute(self) -> int:
        minute = int(self._clock()) // WINDOW
        if minute != self._minute:
            self._minute = minute
            self._counted.clear()
            self._pending.clear()
        return minute

    def _seconds_left(self) -> int:
        return WINDOW - int(self._clock()) % WINDOW
