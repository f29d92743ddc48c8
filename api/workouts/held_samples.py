"""The samples that the servers hold of a workout: archived in PostgreSQL, and waiting in Redis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from api.web.state import State
from api.workouts.store import Workout, read_channels
from shared.connections import AsyncRedis
from shared.redis_keys import BATCH_FIELD, samples_key
from shared.samples import archive, stream_codec
from shared.samples.archive import ArchivedChannel
from shared.samples.columns import Samples, concatenate, merge

_CHUNK: Final = 1000  # entries a reply


@dataclass(frozen=True)
class HeldSamples:
    """``archived`` is in order of time; ``waiting`` in order of arrival."""

    archived: Samples
    waiting: Samples

    def merged(self) -> Samples:
        """All of them, in order of time."""
        return merge(concatenate([self.archived, self.waiting]))


@dataclass(frozen=True)
class EncodedSamples:
    """The same as the servers gave them: rows of the archive, entries of the stream."""

    rows: list[ArchivedChannel]
    entries: list[bytes]

    def decode(self) -> HeldSamples:
        """Raises MalformedEntry."""
        return HeldSamples(archive.decode(self.rows), stream_codec.decode(self.entries))


async def read_samples(
    state: State, workout: Workout, channels: Sequence[str] | None = None
) -> HeldSamples:
    """The samples of a workout, or only the named channels of what is archived of it."""
    return (await fetch_samples(state, workout, channels)).decode()


async def fetch_samples(
    state: State, workout: Workout, channels: Sequence[str] | None = None
) -> EncodedSamples:
    """The same without decoding them, which takes its time.

    The stream comes first: a fold in between moves samples from it to the archive, so the other
    way round they would be in neither; this way at worst they are in both.
    """
    entries = await _read_stream(state["redis"], samples_key(workout.id))
    named = None if channels is None else [archive.TIMESTAMP, *channels]
    rows = await read_channels(state["database"], workout.id, workout.user_id, named)
    return EncodedSamples(rows, entries)


async def _read_stream(client: AsyncRedis, key: str) -> list[bytes]:
    entries: list[bytes] = []
    start = "-"
    while True:
        chunk: Any = await client.xrange(key, min=start, count=_CHUNK)
        entries += [fields[BATCH_FIELD] for _, fields in chunk]
        if len(chunk) < _CHUNK:
            return entries
        start = "(" + chunk[-1][0].decode()
