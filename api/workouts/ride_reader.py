"""What the server holds of a ride: archived in PostgreSQL, and waiting in Redis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg.rows import class_row

from api.ingest.state import IngestState
from api.workouts.store import Workout
from shared.connections import AsyncRedis
from shared.redis_keys import BATCH_FIELD, samples_key
from shared.samples import archive, stream_codec
from shared.samples.archive import ArchivedChannel
from shared.samples.columns import Samples, concatenate, merge
from shared.sql import load_queries

QUERIES = load_queries("workouts")
_CHUNK: Final = 1000  # entries a reply


@dataclass(frozen=True)
class Ride:
    """``archived`` is in order of time; ``waiting`` in order of arrival."""

    archived: Samples
    waiting: Samples

    def samples(self) -> Samples:
        """All of it, in order of time."""
        return merge(concatenate([self.archived, self.waiting]))


@dataclass(frozen=True)
class StoredRide:
    """A ride as the servers have it."""

    rows: list[ArchivedChannel]
    entries: list[bytes]

    def decode(self) -> Ride:
        """Raises MalformedEntry."""
        return Ride(archive.decode(self.rows), stream_codec.decode(self.entries))


async def read_ride(
    state: IngestState, workout: Workout, channels: Sequence[str] | None = None
) -> Ride:
    """Read a ride, or only the named channels of what is archived."""
    return (await fetch_ride(state, workout, channels)).decode()


async def fetch_ride(
    state: IngestState, workout: Workout, channels: Sequence[str] | None = None
) -> StoredRide:
    """The same without decoding it, which takes its time.

    The stream comes first: a fold in between moves samples from it to the archive, so the other
    way round they would be in neither; this way at worst they are in both.
    """
    entries = await _read_stream(state["redis"], samples_key(workout.id))
    named = None if channels is None else [archive.TIMESTAMP, *channels]
    async with (
        state["database"].connection() as connection,
        connection.cursor(row_factory=class_row(ArchivedChannel)) as cursor,
    ):
        owned = {"id": workout.id, "user_id": workout.user_id, "channels": named}
        await cursor.execute(QUERIES["read_own_channels"], owned)
        rows = await cursor.fetchall()
    return StoredRide(rows, entries)


async def _read_stream(client: AsyncRedis, key: str) -> list[bytes]:
    entries: list[bytes] = []
    start = "-"
    while True:
        chunk: Any = await client.xrange(key, min=start, count=_CHUNK)
        entries += [fields[BATCH_FIELD] for _, fields in chunk]
        if len(chunk) < _CHUNK:
            return entries
        start = "(" + chunk[-1][0].decode()
