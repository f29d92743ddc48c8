"""A ride's batches in Redis: sealed, read whole, and trimmed by exactly what was read."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from redis.client import Pipeline
from redis.exceptions import OutOfMemoryError, RedisError

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
from worker.rides.asking import ask_each

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


def take_waiting(redis: Redis, workout_id: UUID, *, seal: bool) -> Waiting:
    """Clear the marks, so that the next upload asks for a fold; then read the whole stream.

    ``seal``: the ride is over, but the API may have died before it sealed. Sealing before reading
    means that an upload either is read here, or sees the seal and asks for another fold. A full
    Redis refuses the seal, as it does uploads; the sweeper finds what slips in all the same.
    """
    with redis.pipeline(transaction=False) as pipe:
        if seal:
            pipe.set(sealed_key(workout_id), SEALED_COMPLETED, ex=SEALED_FOR, nx=True)
        for queue in Queue:
            pipe.delete(asked_key(workout_id, queue))
        _read_chunk(pipe, workout_id)
        *_, chunk = _executed(pipe)
    return _read_on(redis, workout_id, chunk)


def read_waiting(redis: Redis, workout_id: UUID) -> Waiting:
    """The whole stream, read in chunks."""
    return _read_on(redis, workout_id, _read_chunk(redis, workout_id))


def leave(redis: Redis, workout_id: UUID, through: str | None, rest: float | None) -> None:
    """Remove exactly the entries up to ``through``: they are folded, and later ones were not read.

    ``rest``: how many seconds late samples of the ride are to wait for the next fold; they do not
    where Redis is full and refuses the key.
    """
    with redis.pipeline(transaction=False) as pipe:
        if through:
            trim(pipe, workout_id, through)
        if rest is not None:
            pipe.set(resting_key(workout_id), b"", px=int(rest * 1000))
        _executed(pipe)


def newest_arrivals(redis: Redis, workout_ids: Iterable[UUID]) -> dict[UUID, float]:
    """When the newest waiting batch of each arrived, in Unix seconds; 0 if none waits.

    Without the rides of which it cannot be known now. Raises redis.RedisError.
    """
    found = ask_each(
        redis, workout_ids, samples_key, lambda pipe, key: pipe.xrevrange(key, count=1)
    )
    return {
        each: _seconds(newest[0][0].decode()) if newest else 0.0 for each, newest in found.items()
    }


def trim(redis: Redis, workout_id: UUID, last_id: str) -> None:
    """Remove exactly the entries up to ``last_id``; later ones were not read."""
    milliseconds, _, sequence = last_id.partition("-")
    first_kept = f"{milliseconds}-{int(sequence) + 1}"
    redis.xtrim(samples_key(workout_id), minid=first_kept, approximate=False)
    drop_empty(redis, workout_id)


def drop_empty(redis: Redis, workout_id: UUID) -> None:
    """Delete the stream if nothing is in it: a worker may have died after it had trimmed it."""
    drop: Any = ("EVAL", _DROP_EMPTY, 1, samples_key(workout_id))
    redis.execute_command(*drop)  # type: ignore[no-untyped-call]


def seal_deleted(redis: Redis, workout_id: UUID) -> None:
    """From now on uploads to the workout are refused, as they are by a full Redis anyway."""
    with suppress(OutOfMemoryError):
        redis.set(sealed_key(workout_id), SEALED_DELETED, ex=SEALED_FOR)


def drop(redis: Redis, workout_id: UUID) -> None:
    """Delete the batches, and what is noted of the ride; but not the seal."""
    asked = (asked_key(workout_id, queue) for queue in Queue)
    redis.delete(samples_key(workout_id), size_key(workout_id), resting_key(workout_id), *asked)


def _executed(pipe: Pipeline) -> list[Any]:
    """The answers. A full Redis refuses keys, and the commands beside them are carried out."""
    answers = pipe.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, RedisError) and not isinstance(answer, OutOfMemoryError):
            raise answer
    return answers


def _read_chunk(redis: Redis, workout_id: UUID, start: str = "-") -> Any:
    return redis.xrange(samples_key(workout_id), min=start, count=_CHUNK)


def _read_on(redis: Redis, workout_id: UUID, chunk: Any) -> Waiting:
    """The entries of a first chunk, and of all that follow."""
    entries, last_id = list[bytes](), None
    while chunk:
        entries += [fields[BATCH_FIELD] for _, fields in chunk]
        last_id = chunk[-1][0].decode()
        is_last = len(chunk) < _CHUNK
        chunk = None if is_last else _read_chunk(redis, workout_id, f"({last_id}")
    return Waiting(entries, last_id)


def _seconds(entry_id: str) -> float:
    return int(entry_id.partition("-")[0]) / 1000
