"""The dispatcher: fills the event streams with what is due, one ride of each user in turn.

Rows in PostgreSQL say which rides and files are due, and a set in Redis which have late samples.
The dispatcher fills each stream with those, up to a few dozen events, each user's first before
anybody's second. So a ride waits behind those few dozen, however many another user has.
"""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any, Final
from uuid import UUID

from redis.exceptions import OutOfMemoryError

from shared.connections import Database, DatabaseConnection, Redis, is_away, passing_over
from shared.errors import LeaveToNewer, MalformedEntry
from shared.events import FoldRequest, ImportRequest
from shared.redis_keys import ASKED_FOR, DUE, SHORT, Queue, asked_key, resting_key, samples_key
from worker.jobs import store
from worker.jobs.fold import fold
from worker.queue.inbox import pending_events
from worker.rides.asking import ask_each

_FOLD: Final = FoldRequest.KIND.encode()
_IMPORT: Final = ImportRequest.KIND.encode()
_INTERVAL: Final = 1.0  # seconds
_LOW: Final = SHORT // 4  # events; with fewer, and more to be done, it is time to fill up
_MOST_LATE: Final = 2000  # rides with late samples that are looked at in one go
_DUE_AGAIN_AFTER: Final = 30.0  # seconds, for a ride whose node did not answer
logger = logging.getLogger(__name__)


class Dispatcher:
    """Dispatches at most once a second, or as soon as a stream that was filled up runs low."""

    def __init__(
        self,
        database: Database,
        client: Redis,
        checkpoint_interval: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._redis = client
        self._checkpoint_interval = checkpoint_interval
        self._clock = clock
        self._due_at = 0.0
        self._full: set[Queue] = set()  # streams that were filled up, and may lack the rest
        self._away: set[UUID] = set()  # subjects that could not be asked for

    def dispatch_if_due(self) -> None:
        """Dispatch, unless it is too early."""
        if time.monotonic() >= self._due_at or self._runs_low():
            self._due_at = time.monotonic() + _INTERVAL
            self.dispatch()

    def dispatch(self) -> None:
        """Fill the streams up, unless another worker is at it."""
        asked = [*_asked_for(self._redis), *self._still_away()]
        room = {queue: self._room(queue) for queue in Queue}
        with self._database.connection() as connection:
            if not store.elect(connection, store.DISPATCH):
                return
            due = self._find_due(connection, asked, room)
        for queue, workout_ids in due.items():
            if len(workout_ids) >= max(room[queue], 1):
                self._full.add(queue)
            self._ask(queue, workout_ids)

    def _find_due(
        self, connection: DatabaseConnection, asked: list[UUID], room: dict[Queue, int]
    ) -> dict[Queue, list[UUID]]:
        # A ride whose event waits in the stream is found once more, and not asked for again.
        completions = store.next_completions(connection, asked, SHORT + room[Queue.PROMPT])
        late = self._take_late(connection, set(asked), room[Queue.CHECKPOINTS])
        checkpoints = store.next_checkpoints(
            connection, asked, room[Queue.CHECKPOINTS], self._checkpoint_interval
        )
        recomputes = store.next_recomputes(connection, asked, room[Queue.RECOMPUTES])
        return {
            Queue.PROMPT: completions,
            Queue.CHECKPOINTS: [*late, *self._with_samples(checkpoints)],
            Queue.IMPORTS: store.next_imports(connection, asked, room[Queue.IMPORTS]),
            Queue.RECOMPUTES: recomputes,
        }

    def _room(self, queue: Queue) -> int:
        """How many events may be added: there are some, or two for each worker if that is more."""
        groups: Any = self._redis.xinfo_groups(queue) if self._redis.exists(queue) else []
        workers: int = sum(group["consumers"] for group in groups)
        return max(max(SHORT, 2 * workers) - int(self._redis.xlen(queue)), 0)

    def _runs_low(self) -> bool:
        """Whether a stream that was filled up has few events left."""
        low = {queue for queue in self._full if self._redis.xlen(queue) < _LOW}
        self._full -= low
        return bool(low)

    def _take_late(self, connection: DatabaseConnection, asked: set[UUID], most: int) -> list[UUID]:
        """Take some rides out of the set of those with late samples.

        First out of the set, then asked for: the other way round, samples that come in between
        would find their ride still in the set, and nobody would fold them.
        """
        members: Any = self._redis.zrange(
            DUE, 0, int(self._clock() * 1000), byscore=True, offset=0, num=_MOST_LATE
        )
        ids = [UUID(member.decode()) for member in members]
        ready = [each for each in self._rested(ids) if each not in asked]
        if not ready:
            return []
        in_turn = store.in_turn(connection, ready)
        gone = set(ready) - set(in_turn)
        taken = in_turn[:most]
        if gone or taken:
            self._redis.zrem(DUE, *map(str, [*gone, *taken]))
        return taken

    def _rested(self, workout_ids: list[UUID]) -> list[UUID]:
        """Those that were not folded just now; the others fall due at the end of their rest."""
        rests = ask_each(self._redis, workout_ids, resting_key, lambda pipe, key: pipe.pttl(key))
        away = dict.fromkeys(workout_ids, _DUE_AGAIN_AFTER * 1000)
        later = {str(each): left for each, left in (away | rests).items() if left > 0}
        if later:
            now = self._clock() * 1000
            self._redis.zadd(DUE, {each: now + left for each, left in later.items()}, xx=True)
        return [each for each in workout_ids if rests.get(each, 1) <= 0]

    def _with_samples(self, workout_ids: list[UUID]) -> list[UUID]:
        """Those of which batches wait: a checkpoint of the others would do nothing."""
        found = ask_each(self._redis, workout_ids, samples_key, lambda pipe, key: pipe.exists(key))
        return [each for each in workout_ids if found.get(each)]

    def _ask(self, queue: Queue, subjects: list[UUID]) -> None:
        for subject in subjects:
            mark = asked_key(subject, queue)
            if is_away(self._redis, mark):
                self._away.add(subject)
                continue
            try:
                if self._mark(mark):
                    self._redis.xadd(queue, _request(queue, subject).fields())
                    logger.info("asked for %s in %s", subject, queue)
            except OutOfMemoryError:
                if queue is not Queue.IMPORTS:
                    self._make_room(subject)

    def _mark(self, mark: str) -> bool:
        """Note that an event is asked for; False if that is so already, or cannot be noted."""
        with passing_over(self._redis, key=mark):
            return bool(self._redis.set(mark, b"", nx=True, ex=ASKED_FOR))
        return False

    def _still_away(self) -> set[UUID]:
        """Subjects that could not be asked for, and cannot yet: others are to have their turn."""
        self._away = {
            each for each in self._away if is_away(self._redis, asked_key(each, Queue.PROMPT))
        }
        return self._away

    def _make_room(self, workout_id: UUID) -> None:
        """Redis is full of samples and takes no event: fold at once, or it stays full for ever."""
        try:
            fold(self._database, self._redis, workout_id)
        except LeaveToNewer as error:
            logger.warning("left %s to a newer worker: %s", workout_id, error)
        except Exception:  # an event will ask again, and give it up if need be, once there is room
            logger.exception("could not make room by folding %s", workout_id)


def _request(queue: Queue, subject: UUID) -> FoldRequest | ImportRequest:
    return ImportRequest(subject) if queue is Queue.IMPORTS else FoldRequest(subject)


def fall_due(client: Redis, workout_ids: Iterable[UUID]) -> None:
    """Have rides that are over, and have samples waiting, folded soon. Redis may be too full."""
    try:
        client.zadd(DUE, {str(each): 0 for each in workout_ids}, nx=True)
    except OutOfMemoryError:
        logger.warning("Redis is too full to note rides with late samples")


def _asked_for(client: Redis) -> list[UUID]:
    """Workouts whose fold is in progress, has failed, or was left to a newer worker; and uploads.

    Else a ride that is left to a newer worker would get another event each time.
    """
    asked = []
    for event in pending_events(client):
        try:
            if event.get(b"kind") == _FOLD:
                asked.append(FoldRequest.from_fields(event).workout_id)
            elif event.get(b"kind") == _IMPORT:
                asked.append(ImportRequest.from_fields(event).upload_id)
        except MalformedEntry:
            continue
    return asked
