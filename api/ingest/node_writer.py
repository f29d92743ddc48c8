"""Appends batches to the streams of one server, those of concurrent requests in one pipeline."""

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

import hiredis
import redis
from msgspec import Struct

from api.ingest.epochs import Command, Epochs, is_of
from api.ingest.parsing import pack_all
from api.ingest.redis_pipe import RedisPipe, answered_within
from api.ingest.stream_reading import CHUNK, Waiting, read_in_chunks
from api.ingest.table import Rows
from api.web.problems import NotFound
from shared.connections import AsyncRedis, primary_of
from shared.errors import ServiceUnavailable, TrackerError
from shared.failpoints import failpoint
from shared.redis_cluster import ELSEWHERE
from shared.redis_keys import (
    BATCH_FIELD,
    EPOCH,
    SEALED_COMPLETED,
    samples_key,
    sealed_key,
)

T = TypeVar("T")
_MOST_AT_ONCE: Final = 512
_LOOK_EVERY: Final = 1.0  # seconds
# Of a group, but for its last batch: more would be packed for longer than others ought to wait.
_MOST_BYTES_AT_ONCE: Final = 1024 * 1024

logger = logging.getLogger(__name__)


# Called with the epoch in which a batch was stored, or with why it was not.
Settle = Callable[[str | Exception], None]


class Place(NamedTuple):
    """Where the batches of a ride go, and what says that it is over."""

    workout_id: UUID
    stream: str
    sealed: str


def place_of(workout_id: UUID) -> Place:
    """The place of a ride."""
    return Place(workout_id, samples_key(workout_id), sealed_key(workout_id))


class NotRight(TrackerError):
    """Something is wrong with the rows of a batch, of which nothing was stored."""


class Append(Struct):
    """A batch on its way. ``slot`` is that of its ride, where there are several."""

    place: Place
    batch: bytes | Rows
    size: int  # bytes
    finished: bool  # known to be over, whatever its sealed key says
    settle: Settle
    slot: int = 0
    redirected: int = 0  # times

    @property
    def entry(self) -> bytes:
        """The batch in its stream form; of rows, once they are packed."""
        return self.batch if isinstance(self.batch, bytes) else self.batch.entry


class Held(Struct):
    """How many bytes wait for Redis in this process: ``most``, and now."""

    most: int
    size: int = 0

    def end(self, append: Append, outcome: str | Exception) -> None:
        """Settle a batch. Whatever fails as its request is answered, the others are still told."""
        self.size -= append.size
        try:
            append.settle(outcome)
        except Exception:
            logger.exception("could not tell a request what came of its batch")


# Why a batch was not stored, or else what its sealed key says.
Outcome = tuple[Append, Any]
# Has rides that are over folded once more, soon.
NoteLate = Callable[[set[UUID]], Awaitable[None]]
# Gets batches of slots that the server has not, or has not whole, each with what it said.
Redirect = Callable[[Sequence[tuple[Append, Exception]]], None]


class NodeWriter:
    """One pipeline is under way at a time, by a connection of its own; what arrives meanwhile forms
    the next. So a busy process packs and writes in large groups, and with ``appendfsync always`` a
    group shares one fsync. A group is given ``time_limit`` seconds as a whole: ``client`` need not
    watch over every reply. Its connections are greeted by ``epochs``.

    ``redirect`` is None for the only server there is; of one of several, ``key`` tells of a loss
    there. No command of a group names keys of two slots.
    """

    key = EPOCH

    def __init__(
        self,
        client: AsyncRedis,
        epochs: Epochs,
        time_limit: float,
        held: Held,
        note_late: NoteLate,
        *,
        name: str = "",
        redirect: Redirect | None = None,
    ) -> None:
        self.name = name
        self._client = client
        self._epochs = epochs
        self._held = held
        self._note_late = note_late
        self._redirect = redirect
        self._pending: deque[Append] = deque()
        self._looks: list[asyncio.Future[str]] = []
        self._time_limit = time_limit
        self._pipe = RedisPipe(client, time_limit)
        self._is_busy = self._is_closed = False
        self._task: asyncio.Task[None] | None = None  # of the group under way, if it needs one
        self._late: list[tuple[Append, str]] = []  # each with the epoch in which it was stored
        self._finishing: asyncio.Task[None] | None = None

    def add(self, append: Append) -> None:
        """Write the batch with the next group, and settle it."""
        self._pending.append(append)
        if not self._is_busy and len(self._pending) == 1:  # the others of this turn join
            asyncio.get_running_loop().call_soon(self._flush)

    def look(self) -> asyncio.Future[str]:
        """The epoch of what was read before. Raises redis.RedisError."""
        told = asyncio.get_running_loop().create_future()
        self._looks.append(told)
        if not self._is_busy:
            asyncio.get_running_loop().call_soon(self._flush)
        return told

    async def read(self, stream: str, *, asking: bool = False) -> tuple[Waiting, str]:
        """What waits in a stream, and the epoch of the server that has said so.

        ``asking``: another node has sent us here for a slot that is being moved; the server wants
        to be told so by the same connection.

        Each part is asked for along with the epoch, by one connection. With one of another server,
        what that one has acknowledged and this one never got would pass for archived.

        Raises redis.RedisError.
        """
        await self.look()  # so that there is a key
        epochs = set[str]()

        async def read_chunk(start: str) -> Any:
            async with answered_within(self._time_limit), self._client.pipeline(False) as pipe:
                if asking:
                    pipe.execute_command("ASKING")
                pipe.xrange(stream, min=start, count=CHUNK)
                pipe.get(self.key)
                pipe.info("server")
                *_, chunk, secret, told = await pipe.execute()
            epochs.add(self._epochs.tell(told["run_id"].encode(), secret, self.name))
            return chunk

        waiting = await read_in_chunks(read_chunk)
        return waiting, epochs.pop() if len(epochs) == 1 else self._epochs.once()

    async def follow_primary(self) -> None:
        """Ask sentinels who the primary is, for as long as the process serves, if there are any.

        One that froze, or was cut off, goes on acknowledging when it is back, until they tell it
        that it is none any more.
        """
        known = None
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            try:
                primary = await primary_of(self._client)
            except redis.RedisError as error:
                logger.warning("could not ask who the primary is: %r", error)
                continue
            if primary is None:
                return
            if known not in (None, primary):
                self._pipe.close()
                hear(self.look())  # at once, so that it has a key of its own
            known = primary

    async def close(self) -> None:
        """Close the connection: the server has no part any more.

        What still waits is sent by another one, which is closed then: the server says who has it.
        """
        self._is_closed = True
        self._pipe.close()
        await self._client.aclose()

    def _flush(self) -> None:
        """Write the next group, unless one is under way."""
        if self._is_busy or not (self._pending or self._looks):
            return
        self._is_busy = True
        group = self._pack(self._next_group())
        looks, self._looks = self._looks, []
        if not (group or looks):
            self._go_on()
        elif self._pipe.is_open:
            self._write(group, looks)
        else:
            self._task = asyncio.create_task(self._open_and_write(group, looks))

    def _next_group(self) -> list[Append]:
        """Those that wait longest, as many as are packed and sent at once."""
        group, size = list[Append](), 0
        while self._pending and len(group) < _MOST_AT_ONCE and size < _MOST_BYTES_AT_ONCE:
            group.append(self._pending.popleft())
            size += group[-1].size
        return group

    def _pack(self, group: list[Append]) -> list[Append]:
        """Pack all rows together. Those in which something is wrong are told so, and left out."""
        rows = [append.batch for append in group if isinstance(append.batch, Rows)]
        if not rows:
            return group
        try:
            if pack_all(rows, time.time_ns() // 1_000_000):
                return group
        except Exception as error:  # whatever it was, every waiting request gets its answer
            logger.warning("could not pack %d batches: %r", len(rows), error)
        for append in group:
            if not append.entry:
                self._held.end(append, NotRight())
        return [append for append in group if append.entry]

    async def _open_and_write(self, group: list[Append], looks: list[asyncio.Future[str]]) -> None:
        try:
            await self._pipe.open()
        except Exception as error:  # whatever it was, every waiting request gets its answer
            self._fail(group, looks, error)
        else:
            self._write(group, looks)

    def _write(
        self,
        group: list[Append],
        looks: list[asyncio.Future[str]],
        first: Command | None = None,
    ) -> None:
        """``first``: is carried out before all else."""
        slots = _by_slot(group) if self._redirect else [group]
        commands = [("GET", self.key), *_commands(slots)]
        told = partial(self._written, slots, looks, is_again=first is not None)
        packed = [
            hiredis.pack_command(each)
            for each in (commands if first is None else [first, *commands])
        ]
        self._pipe.send(b"".join(packed), len(packed), told)

    def _written(
        self,
        slots: list[list[Append]],
        looks: list[asyncio.Future[str]],
        replies: list[Any] | Exception,
        *,
        is_again: bool,
    ) -> None:
        """Settle a group, at once unless there is more to be done.

        Where there is no key of the run, Redis was emptied, or is the replica of another one. It
        gets a key, and then the batches once more: each counts once, and what was written before
        may be gone. In a full Redis that is in vain, and in a replica.
        """
        if isinstance(replies, Exception):
            self._fail([append for slot in slots for append in slot], looks, replies)
            return
        claimed, secret, *replies = replies if is_again else [None, *replies]
        failpoint("after-append")
        run = self._epochs.run_of(self._pipe.connection)
        if not (is_again or isinstance(secret, Exception) or is_of(run, secret)):
            group = [append for slot in slots for append in slot]
            self._write(group, looks, self._epochs.claim(run, self.key))
            return
        epoch = self._epochs.tell(run, secret, self.name)
        for look in looks:
            settle(look, secret if isinstance(secret, Exception) else epoch)
        outcomes = list(_outcomes(slots, replies))
        others = [each for each in outcomes if each[1] is not None or each[0].finished]
        told_of = (claimed, *(told for _, told in others))
        if isinstance(secret, Exception) or any(map(_is_demoted, told_of)):
            self._pipe.close()  # it is no primary any more, or has not the key: look who is
        if late := [(append, epoch) for append, told in others if _is_late(append, told)]:
            outcomes = [each for each in outcomes if not _is_late(*each)]
            self._late += late
            if self._finishing is None:
                self._finishing = asyncio.create_task(self._finish())
        self._settle(outcomes, epoch)

    async def _finish(self) -> None:
        """Have rides that are over folded once more; however many batches ask for it.

        Who notes that may be another server: nobody else waits for it.
        """
        while self._late:
            late, self._late = self._late, []
            error = None
            try:
                await self._note_late({append.place.workout_id for append, _ in late})
            except Exception as failed:  # whatever it was, every waiting request gets its answer
                logger.warning("could not note %d late batches: %r", len(late), failed)
                error = unavailable(failed)
            for append, epoch in late:
                self._held.end(append, error or epoch)
        self._finishing = None

    def _settle(self, outcomes: list[Outcome], epoch: str) -> None:
        """Give each batch the epoch in which it was stored, or why it was not."""
        elsewhere = list[tuple[Append, Exception]]()
        for append, told in outcomes:
            if told is None or told == SEALED_COMPLETED:
                self._held.end(append, epoch)
            elif self._redirect and isinstance(told, ELSEWHERE):
                elsewhere.append((append, told))
            else:
                self._held.end(append, _refusal(told))
        if self._redirect and elsewhere:
            self._redirect(elsewhere)
        self._go_on()

    def _fail(
        self, group: list[Append], looks: list[asyncio.Future[str]], error: Exception
    ) -> None:
        if group:
            logger.warning("could not write %d batches: %r", len(group), error)
        for look in looks:
            settle(look, error)
        for append in group:
            self._held.end(append, unavailable(error))
        if self._redirect:
            self._redirect([])  # look who has the slots now
        self._go_on()

    def _go_on(self) -> None:
        self._is_busy = False
        self._flush()
        if self._is_closed and not self._is_busy:
            self._pipe.close()


def _by_slot(group: list[Append]) -> list[list[Append]]:
    slots = defaultdict[int, list[Append]](list)
    for append in group:
        slots[append.slot].append(append)
    return list(slots.values())


def _commands(slots: Iterable[list[Append]]) -> list[Command]:
    """What stores a group, and tells which of its rides are over.

    The epoch is read before: if Redis is emptied before the batches are there, they are told to be
    of the one before, and are sent once more than need be; the other way round they would be told
    to be of the new one, and be lost.
    """
    commands = list[Command]()
    for group in slots:
        if group:
            commands += [
                ("XADD", append.place.stream, "*", BATCH_FIELD, append.entry) for append in group
            ]
            commands.append(("MGET", *[append.place.sealed for append in group]))
    return commands


def _outcomes(slots: list[list[Append]], replies: list[Any]) -> Iterator[Outcome]:
    """Each batch, with why it was not stored, or else what its sealed key says."""
    at = 0
    for group in slots:
        if not group:
            continue
        end = at + len(group)
        added, sealed = replies[at:end], replies[end]
        if isinstance(sealed, Exception):
            sealed = [sealed] * len(group)
        at = end + 1
        for append, id_, seal in zip(group, added, sealed, strict=True):
            yield append, id_ if isinstance(id_, Exception) else seal


def _is_late(append: Append, told: Any) -> bool:
    """Whether a batch was stored whose ride is known to be over, or just now was seen to be."""
    return bool(told == SEALED_COMPLETED or (told is None and append.finished))


def _is_demoted(told: Any) -> bool:
    """Whether that is what a primary says in whose place another one has come."""
    return isinstance(told, redis.ReadOnlyError | redis.exceptions.MovedError)


def _refusal(told: Any) -> Exception:
    if isinstance(told, Exception):
        return unavailable(told)
    return NotFound("no such workout")


def unavailable(error: Exception) -> ServiceUnavailable:
    """What a request is told whose batch may not have been stored."""
    return ServiceUnavailable(f"Redis did not take the batch: {type(error).__name__}: {error}")


def settle(done: asyncio.Future[T], outcome: T | Exception) -> None:
    """Give an outcome to whoever waits for it, unless the request was given up meanwhile."""
    if done.done():
        return
    if isinstance(outcome, Exception):
        done.set_exception(outcome)
    else:
        done.set_result(outcome)


def hear(look: asyncio.Future[str]) -> None:
    """Take the outcome of a look that nobody waits for: who sends next is told what is wrong."""

    def take(done: asyncio.Future[str]) -> None:
        if not done.cancelled():
            done.exception()

    look.add_done_callback(take)
