"""From the messages of a stream to the samples of the ride that it feeds.

Clients create a stream, send, and then start the ride, or do so in the other order. Nothing may be
lost in between, whichever process serves which request:

1. A message is added to the stream's log first. The same script says which ride is fed.
2. If one is, its sample is added to the stream of the ride, and only then is the message answered.
   If none is known, PostgreSQL is asked, at most every ten seconds for a stream without a ride.
3. Whoever attaches a ride commits its row, then notes it beside the log, then copies all that the
   log has into the ride. A message came either before the note, and is copied, or after it, and
   sees it. What is copied twice is folded once: it has the same timestamp.
4. Whoever completes a ride holds its row meanwhile, so that nobody else ends the same stream or
   has it feed another ride. What is deleted is the stream that feeds this ride: one that has formed
   since, of the same name, stays with what it was sent.
5. Notes that Redis has lost, or a process that was killed after 3's commit has not made, are made
   anew when the row is found by 2, and at the latest when the ride is completed.
6. Where the epoch says that Redis may have lost samples, the process that has answered for them
   feeds the ride those of the last seconds again, with the ride's next one or when it is completed.
"""

import asyncio
import logging
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

import numpy as np
import psycopg
import psycopg_pool

from api.clients.log import StreamLog
from api.clients.messages import Message, Reading
from api.clients.recent import RecentReadings
from api.clients.store import find_fed
from api.ingest.batch import Limits
from api.ingest.state import IngestState
from api.ingest.uploads import Entry, append
from api.web.problems import NotFound
from shared.samples import stream_codec
from shared.samples.channels import CHANNEL_NAMES
from shared.samples.columns import Samples

_ASK_EVERY: Final = 10_000  # ms
_COPIED_AT_ONCE: Final = 1000
_OUTAGE: Final = (psycopg.OperationalError, psycopg_pool.PoolTimeout)
_RIDE: Final = re.compile(r"([0-9a-f-]{36})(\??)")
logger = logging.getLogger(__name__)


class StreamRides:
    """The rides that streams feed. ``log``: the streams."""

    def __init__(self, log: StreamLog, state: IngestState) -> None:
        self._log = log
        self._state = state
        self._recent = RecentReadings()

    async def send(self, user_id: UUID, name: str, message: Message) -> str:
        """Add a message to a stream, and its sample to the ride; the id of the message.

        Raises Conflict, TooManyRequests, ServiceUnavailable.
        """
        reading = message.reading()
        with self._state["quota"].taking(user_id, 1):
            stamp = reading is not None and not reading.is_stamped
            added = await self._log.append(user_id, name, message, stamp=stamp)
            if reading:
                if stamp:
                    reading = replace(reading, timestamp=added.moment)
                ride = await self._ride_of(user_id, name, added.ride)
                if ride:
                    await self._feed(user_id, ride, [reading])
        return added.id

    async def attach(self, user_id: UUID, name: str, workout_id: UUID) -> None:
        """Let the stream feed the ride: what was sent so far, and what will be."""
        after = await self._log.bind(user_id, name, workout_id)
        if after is None:
            return
        for messages in await self._log.samples_after(user_id, name, after):
            readings = await asyncio.to_thread(_readings_of, messages)
            await self._feed(user_id, workout_id, readings)
        await self._log.note_bound(user_id, name, workout_id)

    async def end(self, user_id: UUID, name: str, workout_id: UUID, *, keep: bool) -> None:
        """The ride is over: it gets what it lacks, and its stream goes unless it is to be kept."""
        await self.attach(user_id, name, workout_id)
        epoch = await self._state["writer"].epoch(workout_id)
        await self._append(user_id, workout_id, self._recent.perhaps_lost(workout_id, epoch))
        if keep:
            await self._log.leave(user_id, name, workout_id)
        else:
            await self._log.delete_of(user_id, name, workout_id)

    async def drop(self, user_id: UUID, name: str, workout_id: UUID) -> None:
        """The ride is deleted, and its stream with it."""
        await self._log.delete_of(user_id, name, workout_id, or_free=True)

    async def _ride_of(self, user_id: UUID, name: str, note: str) -> UUID | None:
        """The ride that a stream feeds, by the note of it or else by its row."""
        now = time.time_ns() // 1_000_000
        if note.startswith("-") and now + int(note) < _ASK_EVERY:
            return None
        if noted := _RIDE.fullmatch(note):
            return await self._attached(user_id, name, UUID(noted[1]), is_copied=not noted[2])
        try:
            found = await find_fed(self._state["database"], user_id, name)
        except _OUTAGE as error:  # the message stays in the log, from which it is copied later
            logger.warning("could not look for the ride of a stream: %r", error)
            return None
        if found:
            return await self._attached(user_id, name, found, is_copied=False)
        meanwhile = await self._log.note_unbound(user_id, name, now)
        return await self._ride_of(user_id, name, meanwhile) if meanwhile else None

    async def _attached(self, user_id: UUID, name: str, ride: UUID, *, is_copied: bool) -> UUID:
        if not is_copied:
            await self.attach(user_id, name, ride)
        return ride

    async def _feed(self, user_id: UUID, ride: UUID, readings: Sequence[Reading]) -> None:
        """Add samples to the ride; nothing to one that is deleted."""
        for at in range(0, len(readings), _COPIED_AT_ONCE):
            few = readings[at : at + _COPIED_AT_ONCE]
            if epoch := await self._append(user_id, ride, few):
                if lost := self._recent.perhaps_lost(ride, epoch):
                    await self._append(user_id, ride, [*lost, *few])  # the later one counts
                self._recent.note(ride, epoch, few)

    async def _append(self, user_id: UUID, ride: UUID, readings: Sequence[Reading]) -> str | None:
        """The epoch in which they were stored; None where there is nothing to store."""
        try:
            finished = await self._state["ownerships"].is_finished(ride, user_id)
            kept = self._without_removed(ride, readings)
            if kept:
                entry = Entry(_encoded(kept), len(kept), finished=finished)
                return await append(self._state, ride, user_id, entry)
        except NotFound:
            logger.info("the ride %s, which a stream fed, is deleted", ride)
        return None

    def _without_removed(self, ride: UUID, readings: Sequence[Reading]) -> list[Reading]:
        """Nothing that lies where the rider has removed samples for good."""
        limits = Limits(0, 0, self._state["ownerships"].removed_from(ride))
        return [each for each in readings if not limits.is_removed(each.timestamp)]


def _readings_of(messages: Sequence[Message]) -> list[Reading]:
    return [reading for each in messages if (reading := each.reading())]


def _encoded(readings: Sequence[Reading]) -> bytes:
    if len(readings) == 1:
        return stream_codec.encode_one(readings[0].timestamp, readings[0].values)
    times = np.array([each.timestamp for each in readings], np.int64)
    values = np.array([each.values for each in readings], np.float64).T  # None → NaN
    columns = zip(CHANNEL_NAMES, values, strict=True)
    channels = {name: column for name, column in columns if not np.isnan(column).all()}
    return stream_codec.encode(Samples(times, channels))
