"""The breaker: when most folds fail, it is not the rides but us, and the rides had better wait."""

import time
from typing import Any, Final

from redis.exceptions import OutOfMemoryError

from shared.connections import Redis
from shared.redis_keys import FAILING, FOLDED

FEWEST: Final = 5  # rides that fail before we doubt ourselves
_MOST_FOLDED: Final = 50  # remembered, so that many good rides of the past do not hide a bad deploy
_MEMORY: Final = 3600.0  # seconds


class Breaker:
    """Which rides failed lately and which were folded, in Redis: as all workers saw it.

    Open while at least five rides fail, and more than are folded. A ride's failure is excused
    while the breaker is open and nothing has been folded since that ride first failed: until then
    nothing shows that it is the ride's own fault.
    """

    def __init__(self, client: Redis) -> None:
        self._redis = client

    def is_open(self) -> bool:
        """Whether work should go on at a trickle only."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.zcard(FAILING)
            pipe.zcard(FOLDED)
            failing, folded = pipe.execute()
        return bool(failing >= FEWEST and failing > folded)

    def excuses(self, ride: bytes) -> bool:
        """Whether a failure of the ride tells nothing about it."""
        if not self.is_open():
            return False
        latest: Any = self._redis.zrange(FOLDED, -1, -1, withscores=True)
        first_failed: Any = self._redis.zscore(FAILING, ride)
        return not latest or first_failed is None or latest[0][1] < first_failed

    def note_failure(self, ride: bytes) -> bool:
        """A fold failed, or a worker died over it. False if Redis is full and takes no note."""
        now = time.time()
        with self._redis.pipeline() as pipe:  # all of it or, in a full Redis, nothing
            pipe.zadd(FAILING, {ride: now}, nx=True)
            pipe.zrem(FOLDED, ride)
            pipe.zremrangebyscore(FAILING, 0, now - _MEMORY)
            try:
                pipe.execute()
            except OutOfMemoryError:
                return False
        return True

    def note_success(self, ride: bytes) -> None:
        """A fold was committed. One that found nothing to do shows nothing, and is not noted."""
        now = time.time()
        with self._redis.pipeline() as pipe:
            pipe.zadd(FOLDED, {ride: now})
            pipe.zrem(FAILING, ride)
            pipe.zremrangebyscore(FOLDED, 0, now - _MEMORY)
            pipe.zremrangebyrank(FOLDED, 0, -_MOST_FOLDED - 1)
            try:
                pipe.execute()
            except OutOfMemoryError:
                self._redis.zrem(FAILING, ride)
