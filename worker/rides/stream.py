"""A ride's batches in Redis: sealed, read whole, and trimmed by exactly what was read."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from redis.exceptions import OutOfMemoryError

from shared.connections import Redis
from shared.redis_keys import (
    BATCH_FIELD,
    SEALED_COMPLETED,
    SEALED_DELETED,
    SEALED_FOR,
    Queue,
    asked_key,
    resting_key,
    samples_key,
    sealed_key,
    size_key,
)

_CHUNK: Final = 1000  # entries a reply
# An empty stream would stay for ever; in one step, as an upload may come between two. No script
# here writes more than once: see shared.redis_keys.
_DROP_EMPTY: Final = """
if redis.call('EXISTS', KEYS[1]) == 1 and redis.call('XLEN', KEYS[1]) == 0 then
  redis.call('DEL', KEYS[1])
end
"""


@dataclass(frozen=True)
class Waiting:
    """Batches not yet folded, in order of arrival; ``last_id`` is the newest one's entry id."""

    entries: list[bytes]
    last_id: str | None

    @property
    def received_at(self) -> float | None:
        """When the newest batch arrived, in Unix seconds: Redis put it into the id."""
        return _seconds(self.last_id) if self.last_id else None


def read_waiting(redis: Redis, workout_id: UUID) -> Waiting:
    """The whole stream, read in chunks."""
    entries: list[bytes] = []
    last_id, start = None, "-"
    while True:
        chunk: Any = redis.xrange(samples_key(workout_id), min=start, count=_CHUNK)
        entries += [fields[BATCH_FIELD] for _, fields in chunk]
        if chunk:
            last_id = chunk[-1][0].decode()
            start = f"({last_id}"
        if len(chunk) < _CHUNK:
            return Waiting(entries, last_id)


def clear_asked(redis: Redis, workout_id: UUID) -> None:
    """Clear the marks, so that the next upload asks for a fold. To be called before a read."""
    redis.delete(*(asked_key(workout_id, queue) for queue in Queue))


def rest(redis: Redis, workout_id: UUID, seconds: float) -> None:
    """Let late samples of a ride wait for so long; not where Redis is full and refuses the key."""
    with suppress(OutOfMemoryError):
        redis.set(resting_key(workout_id), b"", px=int(seconds * 1000))


def newest_arrival(redis: Redis, workout_id: UUID) -> float:
    """When the newest waiting batch arrived, in Unix seconds; 0 if none waits."""
    newest: Any = redis.xrevrange(samples_key(workout_id), count=1)
    return _seconds(newest[0][0].decode()) if newest else 0.0


def trim(redis: Redis, workout_id: UUID, last_id: str) -> None:
    """Remove exactly the entries up to ``last_id``; later ones were not read."""
    milliseconds, _, sequence = last_id.partition("-")
    first_kept = f"{milliseconds}-{int(sequence) + 1}"
    redis.xtrim(samples_key(workout_id), minid=first_kept, approximate=False)
    drop_empty(redis, workout_id)


def drop_empty(redis: Redis, workout_id: UUID) -> None:
    """Delete the stream if nothing is in it: a worker may have died after it had trimmed it."""
    redis.eval(_DROP_EMPTY, 1, samples_key(workout_id))


def seal_completed(redis: Redis, workout_id: UUID) -> None:
    """From now on each upload to the ride asks for a fold.

    A full Redis refuses, as it does uploads; the sweeper finds what slips in all the same.
    """
    with suppress(OutOfMemoryError):
        redis.set(sealed_key(workout_id), SEALED_COMPLETED, ex=SEALED_FOR, nx=True)


def seal_deleted(redis: Redis, workout_id: UUID) -> None:
    """From now on uploads to the workout are refused, as they are by a full Redis anyway."""
    with suppress(OutOfMemoryError):
        redis.set(sealed_key(workout_id), SEALED_DELETED, ex=SEALED_FOR)


def drop(redis: Redis, workout_id: UUID) -> None:
    """Delete the batches, and what is noted of the ride; but not the seal."""
    asked = (asked_key(workout_id, queue) for queue in Queue)
    redis.delete(samples_key(workout_id), size_key(workout_id), resting_key(workout_id), *asked)


def _seconds(entry_id: str) -> float:
    return int(entry_id.partition("-")[0]) / 1000
