"""The worker's loop: read, handle, acknowledge; and what to do when that fails."""

import logging
import random
from collections.abc import Callable
from contextlib import suppress
from threading import Event
from typing import Final, TypeVar
from uuid import UUID

import psycopg
import redis

from shared.breaker import Breaker
from shared.errors import MalformedEntry
from shared.events import FoldRequest
from shared.failpoints import failpoint
from worker.queue.dead_letters import TooManyDeliveries
from worker.queue.inbox import Delivery, Inbox

T = TypeVar("T")
# An event handed out this often, and still not done, is poison.
MOST_DELIVERIES: Final = 5
_LONGEST_PAUSE: Final = 5.0  # seconds
logger = logging.getLogger(__name__)

# Failures of the servers, not of the event: the same fold works once they are back. A missing
# table or column is a migration that has not run yet.
TRANSIENT: Final = (
    psycopg.OperationalError,
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    redis.ConnectionError,
    redis.TimeoutError,
    redis.exceptions.OutOfMemoryError,
    redis.ReadOnlyError,
)
# How Redis begins its refusals of the moment: no replica, a full disk, a failover.
_REFUSALS: Final = ("BUSY ", "CLUSTERDOWN", "MASTERDOWN", "MISCONF", "NOREPLICAS", "TRYAGAIN")

Fold = Callable[[UUID], bool]  # whether there was anything to do
Bury = Callable[[Delivery, BaseException], None]


class Stopped(Exception):
    """The worker was asked to stop while it waited; what it held is handed back."""


class Worker:
    """Handles events one at a time until asked to stop."""

    def __init__(
        self,
        inbox: Inbox,
        breaker: Breaker,
        *,
        fold: Fold,
        bury: Bury,
        sweep: Callable[[], None],
        stop: Event,
        breaker_pause: float,
    ) -> None:
        self._inbox = inbox
        self._breaker = breaker
        self._breaker_pause = breaker_pause
        self._succeeded = False  # the last fold
        self._fold = fold
        self._bury = bury
        self._sweep = sweep
        self._stop = stop

    def run(self) -> None:
        """Work until ``stop`` is set; the event in hand is finished first."""
        with suppress(Stopped):
            self._work()

    def _work(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                self._inbox.ensure_group()
                while not self._stop.is_set():
                    self._work_once()
                    failures = 0
            except Exception as error:
                if not (_will_pass(error) or _lacks_group(error)):
                    raise
                logger.warning("cannot go on for now: %s: %s", type(error).__name__, error)
                self._inbox.reread_own()
                self._pause(failures)
                failures += 1

    def _work_once(self) -> None:
        doubtful = self._breaker.is_open()
        if doubtful and not self._succeeded and self._stop.wait(self._breaker_pause):
            return
        if delivery := self._inbox.next_delivery(new_first=doubtful):
            failpoint("after-read")
            try:
                with self._inbox.lease(delivery):
                    self._succeeded = False
                    self._handle(delivery)
            except Stopped:
                self._inbox.hand_back(delivery)
                raise
        self._sweep_safely()

    def _sweep_safely(self) -> None:
        """A sweep that fails for good must not keep events from being handled."""
        try:
            self._sweep()
        except Exception as error:
            if _will_pass(error):
                raise
            logger.exception("could not sweep")

    def _handle(self, delivery: Delivery) -> None:
        """Fold, or bury what cannot be folded; acknowledge only what is committed."""
        try:
            self._try(delivery)
        except Stopped:
            raise
        except Exception as error:
            if not self._gave_up(delivery, error):
                return
        failpoint("before-acknowledge")
        self._persist(lambda: self._inbox.acknowledge(delivery))

    def _try(self, delivery: Delivery) -> None:
        ride = delivery.subject
        if delivery.deliveries > 2:  # two workers have died over it, or could not do it
            self._persist(lambda: self._breaker.note_failure(ride))
        if self._persist(lambda: self._breaker.excuses(ride)):
            self._persist(lambda: self._inbox.forgive(delivery))  # should we die over it, too
        elif delivery.deliveries > MOST_DELIVERIES:
            raise TooManyDeliveries(f"handed out {delivery.deliveries} times, never finished")
        workout_id = FoldRequest.from_fields(delivery.fields).workout_id
        if self._persist(lambda: self._fold(workout_id)):
            self._persist(lambda: self._breaker.note_success(ride))
            self._succeeded = True

    def _gave_up(self, delivery: Delivery, error: Exception) -> bool:
        """Bury an event that fails; False if it is to be tried again, once its lease runs out."""
        event, ride = delivery.id.decode(), delivery.subject
        noted = self._persist(lambda: self._breaker.note_failure(ride))
        if not noted or self._persist(lambda: self._breaker.excuses(ride)):
            logger.error("most folds fail, so event %s waits", event, exc_info=error)
            self._persist(lambda: self._inbox.forgive(delivery))
            return False
        if not _is_permanent(error) and delivery.deliveries < MOST_DELIVERIES:
            logger.error("failed event %s; it will be tried again", event, exc_info=error)
            return False
        self._persist(lambda: self._bury(delivery, error))
        return True

    def _persist(self, action: Callable[[], T]) -> T:
        """Do it, however long the servers are away: an outage must not cost an event."""
        failures = 0
        while True:
            try:
                return action()
            except Exception as error:
                if not _will_pass(error):
                    raise
                logger.warning("waiting for the servers: %s: %s", type(error).__name__, error)
                self._pause(failures)
                failures += 1

    def _pause(self, failures: int) -> None:
        """Exponential back-off with jitter. Raises Stopped."""
        longest = min(0.1 * 2 ** min(failures, 10), _LONGEST_PAUSE)
        if self._stop.wait(longest * random.uniform(0.5, 1.0)):  # noqa: S311
            raise Stopped


def _will_pass(error: BaseException) -> bool:
    """Whether the same works once the servers are back."""
    refused = isinstance(error, redis.ResponseError) and str(error).startswith(_REFUSALS)
    return refused or isinstance(error, TRANSIENT)


def _lacks_group(error: BaseException) -> bool:
    """Whether Redis has lost the group, which is then created anew."""
    return isinstance(error, redis.ResponseError) and str(error).startswith("NOGROUP")


def _is_permanent(error: BaseException) -> bool:
    return isinstance(error, MalformedEntry | TooManyDeliveries)
