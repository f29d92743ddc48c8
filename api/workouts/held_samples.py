"""The samples that the servers hold of a workout: archived in PostgreSQL, and waiting in Redis.

They are fetched as they are stored, packed: about a tenth of an answer. Decoded they are only a
part of four hours at a time, and in a thread.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import UUID

import numpy as np

from api.ingest.stream_reading import CHUNK, Waiting, read_in_chunks
from api.web.state import State
from api.workouts.store import Workout, read_channels
from shared.connections import AsyncDatabase, AsyncRedis
from shared.redis_keys import SEALED_DELETED, samples_key, sealed_key
from shared.samples import archive, stream_codec
from shared.samples.archive import TIMESTAMP, ArchivedChannel
from shared.samples.channels import CHANNEL, CHANNEL_NAMES
from shared.samples.columns import Samples, concatenate, merge

_COLUMNS: Final = frozenset((TIMESTAMP, *CHANNEL))
_SAMPLE: Final = 8 * len(_COLUMNS)  # bytes of one that has every channel


@dataclass(frozen=True)
class HeldSamples:
    """``archived`` is in order of time; ``waiting`` in order of arrival."""

    archived: Samples
    waiting: Samples

    def merged(self) -> Samples:
        """All of them, in order of time."""
        return merge(concatenate([self.archived, self.waiting]))


class HeldRide:
    """A ride's samples in order of time, a window of them after the other."""

    def __init__(self, parts: dict[int, list[ArchivedChannel]], waiting: Samples) -> None:
        self._parts = parts
        self._waiting = merge(waiting)
        archived = {row.channel for rows in parts.values() for row in rows}
        self.channels = [
            name for name in CHANNEL_NAMES if name in archived or name in self._waiting.channels
        ]

    def windows(self, channels: Sequence[str], size: int) -> Iterator[Samples]:
        """The named channels, at most ``size`` samples at a time; one may lack a channel.

        Raises MalformedEntry, LeaveToNewer.
        """
        kept = {name: self._waiting.channels.get(name) for name in channels}
        present = {name: values for name, values in kept.items() if values is not None}
        waiting = Samples(self._waiting.timestamps, present)
        start = 0
        for archived in self._archived(channels, size):
            last = archived.timestamps[-1]
            end = int(np.searchsorted(waiting.timestamps, last, side="right"))
            fresh, start = waiting.select(slice(start, end)), end
            if not len(fresh):
                yield archived
                continue
            yield from merge(concatenate([archived, fresh])).slices(size)
        yield from waiting.select(slice(start, None)).slices(size)

    def _archived(self, channels: Sequence[str], size: int) -> Iterator[Samples]:
        named = {TIMESTAMP, *channels}
        for number in sorted(self._parts):
            rows = [row for row in self._parts[number] if row.channel in named]
            yield from archive.decode(rows).slices(size)


@dataclass(frozen=True)
class EncodedSamples:
    """The samples as the servers gave them: rows of the archive, entries of the stream.

    ``last_entry``: the id of the newest entry; None where none waits.
    """

    rows: list[ArchivedChannel]
    entries: list[bytes]
    last_entry: str | None = None

    @property
    def packed_size(self) -> int:
        """The bytes that they take as they are."""
        return sum(len(row.data) for row in self.rows) + sum(map(len, self.entries))

    def size(self) -> int:
        """The bytes that reading them takes at most. Raises as ``decode`` does."""
        longest = max((row.samples for row in self.rows if row.channel == TIMESTAMP), default=0)
        # Waiting samples are there twice while they are put in order.
        samples = longest + 2 * stream_codec.count(self.entries)
        return self.packed_size + samples * _SAMPLE

    def decode(self) -> HeldRide:
        """All that waits, and what is archived as it is iterated over.

        Raises MalformedEntry, LeaveToNewer.
        """
        parts = defaultdict[int, list[ArchivedChannel]](list)
        for row in self.rows:
            if row.channel in _COLUMNS:  # others are a newer version's
                parts[row.part].append(row)
        return HeldRide(parts, stream_codec.decode(self.entries))

    def decode_times(self) -> HeldSamples:
        """The timestamps alone. Raises MalformedEntry, LeaveToNewer."""
        times = [row for row in self.rows if row.channel == TIMESTAMP]
        waiting = Samples(stream_codec.decode_times(self.entries), {})
        return HeldSamples(archive.decode(times), waiting)


async def fetch_samples(
    state: State, workout: Workout, channels: Sequence[str] | None = None
) -> EncodedSamples:
    """The samples of a workout, or only the named channels of what is archived of it."""
    return await fetch_from(state["redis"], state["database"], workout, channels)


async def fetch_from(
    client: AsyncRedis,
    database: AsyncDatabase,
    workout: Workout,
    channels: Sequence[str] | None = None,
) -> EncodedSamples:
    """The same, from these servers."""
    read = partial(client.xrange, samples_key(workout.id), count=CHUNK)
    return await add_archived(database, workout, await read_in_chunks(read), channels)


async def add_archived(
    database: AsyncDatabase,
    workout: Workout,
    waiting: Waiting,
    channels: Sequence[str] | None = None,
) -> EncodedSamples:
    """The samples of a workout of which those that wait have been read.

    They come first: a fold in between moves samples to the archive, so the other way round they
    would be in neither; this way at worst they are in both.
    """
    named = None if channels is None else [TIMESTAMP, *channels]
    rows = await read_channels(database, workout.id, workout.user_id, named)
    return EncodedSamples(rows, waiting.batches, waiting.last_entry)


async def has_waiting(client: AsyncRedis, workout_id: UUID) -> bool:
    """Whether batches of the workout wait for a fold."""
    return bool(await client.exists(samples_key(workout_id)))


async def was_deleted(client: AsyncRedis, workout_id: UUID) -> bool:
    """Whether uploads to the workout are refused, as some process may yet remember it."""
    return bool(await client.get(sealed_key(workout_id)) == SEALED_DELETED)


async def newest_entry(client: AsyncRedis, workout_id: UUID) -> str | None:
    """The id of the newest batch that waits; None where none does."""
    found: Any = await client.xrevrange(samples_key(workout_id), count=1)
    return found[0][0].decode() if found else None
