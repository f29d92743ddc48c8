"""The breaker: while most jobs fail, the cause is ours and not their subjects', so they wait."""

import time
from contextlib import suppress
from typing import Any, Final

from redis.exceptions import OutOfMemoryError

from shared.connections import Redis
from shared.redis_keys import FAILING, SUCCEEDED

FEWEST: Final = 5  # subjects that fail before the workers suspect themselves
_MOST_SUCCEEDED: Final = 50  # or many successes of the past would hide a bad deploy
_MEMORY: Final = 3600.0  # seconds


class Breaker:
    """The subjects whose jobs failed or succeeded lately, in Redis: as all workers saw it.

    Open while at least five subjects fail, and more than succeed. A failure is excused while the
    breaker is open and nothing has succeeded since that subject first failed: until then nothing
    shows that its own data is at fault, and it must not be given up.
    """

    def __init__(self, client: Redis) -> None:
        self._redis = client

    def is_open(self) -> bool:
        """Whether workers should pause, and try one event at a time."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.zcard(FAILING)
            pipe.zcard(SUCCEEDED)
            failing, succeeded = pipe.execute()
        return bool(failing >= FEWEST and failing > succeeded)

    def excuses(self, subject: bytes) -> bool:
        """Whether a failure over this subject must not count against it, because all jobs fail."""
        if not self.is_open():
            return False
        latest: Any = self._redis.zrange(SUCCEEDED, -1, -1, withscores=True)
        first_failed: Any = self._redis.zscore(FAILING, subject)
        return not latest or first_failed is None or latest[0][1] < first_failed

    def note_failure(self, subject: bytes) -> bool:
        """A job failed, or a worker died over it. False if Redis is full and takes no note."""
        now = time.time()
        try:
            self._redis.zadd(FAILING, {subject: now}, nx=True)
        except OutOfMemoryError:
            return False
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.zrem(SUCCEEDED, subject)
            pipe.zremrangebyscore(FAILING, 0, now - _MEMORY)
            pipe.execute()
        return True

    def note_success(self, subject: bytes) -> None:
        """A job did something. One that found nothing to do proves nothing, and is not noted."""
        now = time.time()
        with suppress(OutOfMemoryError):
            self._redis.zadd(SUCCEEDED, {subject: now})
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.zrem(FAILING, subject)
            pipe.zremrangebyscore(SUCCEEDED, 0, now - _MEMORY)
            pipe.zremrangebyrank(SUCCEEDED, 0, -_MOST_SUCCEEDED - 1)
            pipe.execute()
