"""The breaker: when most folds fail, it is not the rides but us, and the rides had better wait."""

from contextlib import suppress
from typing import Any, Final

from redis.exceptions import OutOfMemoryError

from shared.connections import Redis
from shared.streams import OUTCOMES

FEWEST: Final = 5  # rides that fail before we doubt ourselves
SHARE: Final = 0.5  # of the rides looked at
_WINDOW: Final = 50  # outcomes remembered
_SUCCESS: Final = b"ok"


class Breaker:
    """Outcomes of the last folds, in Redis: of all workers, and outliving a crash of each.

    Open, it stops consumption but for a fold now and then, and nothing is given up. A fold that
    succeeds closes it. A full Redis takes no note, which must not keep folds from making room.
    """

    def __init__(self, client: Redis) -> None:
        self._redis = client

    def is_open(self) -> bool:
        """Whether so many different rides failed, and so few succeeded, that work should stop."""
        outcomes: Any = self._redis.lrange(OUTCOMES, 0, -1)
        failed = set(outcomes) - {_SUCCESS}
        share = len(failed) / max(len(failed) + outcomes.count(_SUCCESS), 1)
        return len(failed) >= FEWEST and share >= SHARE

    def note_failure(self, ride: bytes) -> None:
        """A ride's fold failed, or workers died over it. However often it fails, it counts once."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.lrem(OUTCOMES, 0, ride.decode())
            pipe.lpush(OUTCOMES, ride)
            pipe.ltrim(OUTCOMES, 0, _WINDOW - 1)
            with suppress(OutOfMemoryError):
                pipe.execute()

    def note_success(self, ride: bytes) -> None:
        """A ride was folded, whatever came of it before."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.lrem(OUTCOMES, 0, ride.decode())
            pipe.lpush(OUTCOMES, _SUCCESS)
            pipe.ltrim(OUTCOMES, 0, _WINDOW - 1)
            with suppress(OutOfMemoryError):
                pipe.execute()

    def close(self) -> None:
        """Forget what was, and begin anew."""
        self._redis.delete(OUTCOMES)
