"""Where the API writes sample streams and fold events, and nowhere else."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

import hiredis
import redis
from msgspec import Struct
from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.asyncio.connection import AbstractConnection

from api.ingest.epochs import READ, Command, Epochs
from api.ingest.parsing import pack_all
from api.ingest.redis_pipe import RedisPipe
from api.ingest.table import Rows
from api.web.problems import NotFound
from shared import tracing
from shared.connections import AsyncRedis
from shared.errors import ServiceUnavailable, TrackerError
from shared.events import FoldRequest
from shared.failpoints import failpoint
from shared.redis_keys import (
    ASKED_FOR,
    BATCH_FIELD,
    DUE,
    SEALED_COMPLETED,
    SEALED_DELETED,
    SEALED_FOR,
    UNASKED,
    Queue,
    asked_key,
    samples_key,
    sealed_key,
)

T = TypeVar("T")
_MOST_AT_ONCE: Final = 512
# Of a group, but for its last batch: more would be packed for longer than others ought to wait.
_MOST_BYTES_AT_ONCE: Final = 1024 * 1024
_LATE_AFTER: Final = 1000  # ms from the first late sample of a ride to its fold

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


class _Append(Struct):
    place: Place
    batch: bytes | Rows
    size: int  # bytes
    finished: bool  # known to be over, whatever its sealed key says
    settle: Settle

    @property
    def entry(self) -> bytes:
        """The batch in its stream form; of rows, once they are packed."""
        return self.batch if isinstance(self.batch, bytes) else self.batch.entry


@dataclass(frozen=True)
class _Sent:
    """The replies to a pipeline, and the run of Redis that gave them."""

    replies: list[Any]
    run: bytes


class StreamWriter:
    """Appends batches, those of concurrent requests in one pipeline.

    One pipeline is under way at a time, by a connection of its own; what arrives meanwhile forms
    the next. So a busy process packs and writes in large groups, and with ``appendfsync always`` a
    group shares one fsync. A group is given ``time_limit`` seconds as a whole: ``client`` need not
    watch over every reply. Its connections are greeted by ``epochs``.
    """

    def __init__(
        self, client: AsyncRedis, epochs: Epochs, max_pending_bytes: int, time_limit: float
    ) -> None:
        self._redis = client
        self._epochs = epochs
        self._time_limit = time_limit
        self._max_pending_bytes = max_pending_bytes
        self._pending: deque[_Append] = deque()
        self._pending_bytes = 0
        self._pipe = RedisPipe(client, time_limit)
        self._is_busy = False
        self._task: asyncio.Task[None] | None = None  # of the group under way, if it needs one

    async def append(self, workout_id: UUID, entry: bytes, *, finished: bool) -> str:
        """Store a batch; returns once Redis has it, and a fold is asked for if the ride is over.

        Returns the epoch: as long as the same is told, Redis has not lost the batch.

        Raises NotFound if the workout was deleted; ServiceUnavailable if Redis cannot take the
        batch or did not say so: sending it again is then right, and harmless.
        """
        done = asyncio.get_running_loop().create_future()
        if not self.has_room(len(entry)):
            raise ServiceUnavailable("too many uploads are waiting for Redis")
        place, told = place_of(workout_id), partial(settle, done)
        self.add(place, entry, len(entry), told, finished=finished)
        epoch: str = await done
        return epoch

    def has_room(self, size: int) -> bool:
        """Whether a batch of so many bytes may wait, too."""
        return self._pending_bytes + size <= self._max_pending_bytes

    def add(
        self, place: Place, batch: bytes | Rows, size: int, settle: Settle, *, finished: bool
    ) -> None:
        """As ``append``, of a batch for which there is room, or of rows that may take its size.

        ``settle`` is called with what that returns or would raise, and with NotRight for rows.
        """
        self._pending.append(_Append(place, batch, size, finished, settle))
        self._pending_bytes += size
        if not self._is_busy and len(self._pending) == 1:  # the others of this turn join
            asyncio.get_running_loop().call_soon(self._flush)

    async def epoch(self) -> str:
        """The epoch of what was read before. Raises redis.RedisError."""
        sent = await self._send_in_epoch([])
        return self._epochs.tell(sent.run, sent.replies[0])

    async def epoch_if_known(self) -> str | None:
        """The same; None while Redis does not answer, for an answer that does not need it."""
        try:
            return await self.epoch()
        except redis.RedisError:
            return None

    async def announce_completion(self, workout_id: UUID) -> None:
        """A ride is over: later uploads ask for a fold, as this does for the one that is due."""
        seal = _seal(workout_id, SEALED_COMPLETED)
        await self._announce("completed", workout_id, self._ask_for_fold(workout_id, seal))

    async def announce_deletion(self, workout_id: UUID) -> None:
        """A ride is deleted: every API process refuses further uploads to it."""
        seal, late = _seal(workout_id, SEALED_DELETED), _note_late([workout_id])
        await self._announce("deleted", workout_id, self._carry_out(seal, late))

    async def _announce(self, what: str, workout_id: UUID, telling: Awaitable[object]) -> None:
        """Tell of a change that is committed. A failure is logged, and does not undo it.

        The workers look for the folds that a row says are due, and purge stray samples.
        """
        try:
            await telling
        except redis.RedisError as error:
            logger.warning("%s %s, but could not announce it: %s", what, workout_id, error)

    async def _ask_for_fold(self, workout_id: UUID, *first: Command) -> None:
        """Add an event for a fold that a row says is due, unless one waits already.

        Nor if some wait: then the workers take it from the row, each user's in turn. Who ends one
        ride after the other would else keep the stream full. Raises redis.RedisError.
        """
        mark = asked_key(workout_id, Queue.PROMPT)
        ask = ("SET", mark, b"", "NX", "EX", ASKED_FOR)
        sent = await self._carry_out(*first, ask, ("XLEN", Queue.PROMPT))
        *_, is_first, length = sent.replies
        if is_first:
            await self._carry_out(_event(workout_id) if length < UNASKED else ("DEL", mark))

    async def _carry_out(self, *commands: Command) -> "_Sent":
        """What came of commands that must all succeed. Raises redis.RedisError."""
        sent = await self._send(commands)
        for reply in sent.replies:
            if isinstance(reply, Exception):
                raise reply
        return sent

    async def _send(self, commands: Sequence[Command]) -> "_Sent":
        """The replies, errors among them.

        A pipeline, without what the driver's own costs for each command.
        """
        packed = b"".join(map(hiredis.pack_command, commands))
        pool = self._redis.connection_pool
        try:
            async with asyncio.timeout(self._time_limit):
                connection = await pool.get_connection()  # type: ignore[no-untyped-call]
                try:
                    await connection.send_packed_command(packed)
                    replies = await _replies(connection, len(commands))
                    return _Sent(replies, self._epochs.run_of(connection))
                finally:
                    await pool.release(connection)
        except TimeoutError:
            raise redis.TimeoutError("Redis does not answer") from None

    def _flush(self) -> None:
        """Write the next group, unless one is under way."""
        if self._is_busy or not self._pending:
            return
        self._is_busy = True
        group = self._pack(self._next_group())
        if not group:
            self._settle([], [])
        elif self._pipe.is_open:
            self._write(group)
        else:
            self._task = asyncio.create_task(self._open_and_write(group))

    def _next_group(self) -> list[_Append]:
        """Those that wait longest, as many as are packed and sent at once."""
        group, size = list[_Append](), 0
        while self._pending and len(group) < _MOST_AT_ONCE and size < _MOST_BYTES_AT_ONCE:
            group.append(self._pending.popleft())
            size += group[-1].size
        return group

    def _pack(self, group: list[_Append]) -> list[_Append]:
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
                self._pending_bytes -= append.size
                _tell(append, NotRight())
        return [append for append in group if append.entry]

    async def _open_and_write(self, group: list[_Append]) -> None:
        try:
            await self._pipe.open()
        except Exception as error:  # whatever it was, every waiting request gets its answer
            self._fail(group, error)
        else:
            self._write(group)

    def _write(self, group: list[_Append]) -> None:
        packed = [hiredis.pack_command(command) for command in (READ, *_commands(group))]
        self._pipe.send(b"".join(packed), len(packed), partial(self._written, group))

    def _written(self, group: list[_Append], replies: list[Any] | Exception) -> None:
        """Settle a group, at once unless there is more to be done."""
        if isinstance(replies, Exception):
            self._fail(group, replies)
            return
        secret, *_, sealed = replies
        failpoint("after-append")
        if isinstance(sealed, Exception):
            self._fail(group, sealed)
        elif secret is None or any(sealed) or any(append.finished for append in group):
            self._task = asyncio.create_task(self._finish(group, replies))
        else:
            self._stored(group, self._sent(replies))

    async def _finish(self, group: list[_Append], replies: list[Any]) -> None:
        """What more there is to be done: for an epoch, or for rides that are over."""
        try:
            sent = self._sent(replies)
            if replies[0] is None:
                sent = await self._send_in_epoch(_commands(group))
            sealed = sent.replies[-1]
            if isinstance(sealed, Exception):
                raise sealed
            await self._note_late(group, sealed)
        except Exception as error:  # whatever it was, every waiting request gets its answer
            self._fail(group, error)
        else:
            self._stored(group, sent)

    def _sent(self, replies: list[Any]) -> _Sent:
        """What came by the connection of the groups."""
        return _Sent(replies, self._epochs.run_of(self._pipe.connection))

    def _stored(self, group: list[_Append], sent: _Sent) -> None:
        """Give each batch the epoch in which it was stored, or why it was not."""
        secret, *added, sealed = sent.replies
        epoch = self._epochs.tell(sent.run, secret)
        self._settle(group, [_outcome(epoch, *pair) for pair in zip(added, sealed, strict=True)])

    def _fail(self, group: list[_Append], error: Exception) -> None:
        logger.warning("could not write %d batches: %r", len(group), error)
        self._settle(group, [_unavailable(error)] * len(group))

    def _settle(self, group: list[_Append], outcomes: Sequence[str | Exception]) -> None:
        self._is_busy = False
        self._pending_bytes -= sum([append.size for append in group])
        for append, outcome in zip(group, outcomes, strict=True):
            _tell(append, outcome)
        self._flush()

    async def _send_in_epoch(self, commands: Sequence[Command]) -> "_Sent":
        """The reply to ``READ``, and then those to the commands.

        Where there is no epoch, Redis was emptied. It gets one, and then the commands once more: a
        batch counts once, and what was written before may be gone.
        """
        sent = await self._send([READ, *commands])
        if sent.replies[0] is None:
            await self._send([self._epochs.make()])  # in a full Redis in vain
            sent = await self._send([READ, *commands])
        return sent

    async def _note_late(self, group: list[_Append], sealed: list[Any]) -> None:
        """Have rides that are over folded once more, soon; however many batches ask for it."""
        over = {
            append.place.workout_id
            for append, seal in zip(group, sealed, strict=True)
            if append.finished or seal == SEALED_COMPLETED
        }
        if over:
            await self._carry_out(_note_late(over))


def _tell(append: _Append, outcome: str | Exception) -> None:
    """Settle one. Whatever fails as its request is answered, the others are still told theirs."""
    try:
        append.settle(outcome)
    except Exception:
        logger.exception("could not tell a request what came of its batch")


def _commands(group: list[_Append]) -> list[Command]:
    """What stores a group, and tells which of its rides are over.

    The epoch is read before: if Redis is emptied before the batches are there, they are told to be
    of the one before, and are sent once more than need be; the other way round they would be told
    to be of the new one, and be lost.
    """
    appends: list[Command] = [
        ("XADD", append.place.stream, "*", BATCH_FIELD, append.entry) for append in group
    ]
    return [*appends, ("MGET", *[append.place.sealed for append in group])]


def _event(workout_id: UUID) -> Command:
    fields = FoldRequest(workout_id, tracing.current()).fields().items()
    return ("XADD", Queue.PROMPT, "*", *chain.from_iterable(fields))


def _note_late(workout_ids: Iterable[UUID]) -> Command:
    """Have the samples that wait of rides that are over, or deleted, archived soon."""
    due_at = int(time.time() * 1000) + _LATE_AFTER
    rides = chain.from_iterable((due_at, str(workout_id)) for workout_id in workout_ids)
    return ("ZADD", DUE, "NX", *rides)


def _seal(workout_id: UUID, why: bytes) -> Command:
    return ("SET", sealed_key(workout_id), why, "EX", SEALED_FOR)


async def _replies(connection: AbstractConnection, count: int) -> list[Any]:
    """The next replies. The connection is closed by the driver if they do not come.

    The driver waits for the first of those that come together; the others are read all at once.
    """
    replies = list[Any]()
    parser: Any = connection._parser
    next_reply = parser._reader.gets
    while len(replies) < count:
        replies.append(await _reply(connection))
        while len(replies) < count and (reply := next_reply()) is not NOT_ENOUGH_DATA:
            replies.append(reply)
    return replies


async def _reply(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except redis.ResponseError as error:
        return error


def _outcome(epoch: str, added: Any, sealed: Any) -> str | Exception:
    if isinstance(added, Exception):
        return _unavailable(added)
    return NotFound("no such workout") if sealed == SEALED_DELETED else epoch


def _unavailable(error: Exception) -> ServiceUnavailable:
    return ServiceUnavailable(f"Redis did not take the batch: {type(error).__name__}: {error}")


def settle(done: asyncio.Future[T], outcome: T | Exception) -> None:
    """Give an outcome to whoever waits for it, unless the request was given up meanwhile."""
    if done.done():
        return
    if isinstance(outcome, Exception):
        done.set_exception(outcome)
    else:
        done.set_result(outcome)
