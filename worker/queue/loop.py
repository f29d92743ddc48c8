"""The worker's loop: read, hand to the event's job, acknowledge; and what to do when that fails."""

import logging
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Event
from typing import Final, TypeVar

import psycopg
import redis

from shared.breaker import Breaker
from shared.errors import LeaveToNewer, MalformedEntry
from shared.failpoints import failpoint
from shared.logs import about
from worker.queue.dead_letters import TooManyDeliveries, letter_about
from worker.queue.inbox import Inbox
from worker.queue.jobs import Job, Jobs
from worker.queue.lane import Delivery
from worker.queue.pace import Pace

T = TypeVar("T")
# An event handed out this often, and still not done, is poison.
MOST_DELIVERIES: Final = 5
logger = logging.getLogger(__name__)

# Failures of the servers, not of the event: the same job works once they are back. A missing
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
    redis.exceptions.ClusterDownError,
    redis.exceptions.TryAgainError,
)
# How Redis begins its refusals of the moment: no replica, a full disk, a failover.
_REFUSALS: Final = (
    *("BUSY ", "CLUSTERDOWN", "MASTERDOWN", "MISCONF", "NOREPLICAS", "TRYAGAIN"),
    "UNBLOCKED",  # a read that waits at a primary which has become a replica
)


class Stopped(Exception):
    """The worker was asked to stop while it waited; what it held is handed back."""


class PutOff(Exception):
    """The event waits for a node of a cluster; it is tried again once its lease runs out."""


class Worker:
    """Handles events one at a time until asked to stop."""

    def __init__(
        self,
        inbox: Inbox,
        breaker: Breaker,
        jobs: Jobs,
        *,
        between_events: Sequence[Callable[[], None]],
        stop: Event,
        pace: Pace,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        """``alive`` is called whenever the worker gets further, or waits for the servers."""
        self._inbox = inbox
        self._breaker = breaker
        self._jobs = jobs
        self._between_events = between_events
        self._stop = stop
        self._pace = pace
        self._alive = alive
        self._succeeded = False  # the last job
        self._impatient_until = 0.0

    def run(self) -> None:
        """Work until ``stop`` is set; the event in hand is finished first."""
        with suppress(Stopped):
            self._work()

    def _work(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                self._inbox.ensure_groups()
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
        self._alive()
        doubtful = self._breaker.is_open()
        if doubtful and not self._succeeded and self._stop.wait(self._pace.breaker_pause):
            return
        if delivery := self._inbox.next_delivery(new_first=doubtful):
            failpoint("after-read")
            self._take(delivery)
        for task in self._between_events:
            self._run_safely(task)

    def _run_safely(self, task: Callable[[], None]) -> None:
        """A task that fails for good must not keep events from being handled."""
        try:
            task()
        except Exception as error:
            if _will_pass(error):
                raise
            logger.exception("could not do what is done between events")

    def _take(self, delivery: Delivery) -> None:
        """Handle the event, or let others have it: all of them, or only newer workers."""
        self._succeeded = False
        try:
            with self._inbox.lease(delivery), about(**_ids_of(delivery)):
                self._handle(delivery, self._jobs.job_for(delivery.fields))
        except LeaveToNewer as error:
            logger.warning("left event %s to a newer worker: %s", delivery.id.decode(), error)
            self._persist(lambda: self._inbox.leave(delivery))
        except PutOff as error:
            logger.warning("put off event %s: %s", delivery.id.decode(), error)
            self._persist(lambda: self._inbox.forgive(delivery))
        except Stopped:
            self._inbox.hand_back(delivery)
            raise

    def _handle(self, delivery: Delivery, job: Job) -> None:
        """Do the job, or give up what cannot be done; acknowledge only what is committed."""
        subject = job.subject_of(delivery.fields) or delivery.id
        try:
            self._try(delivery, job, subject)
        except (Stopped, PutOff, LeaveToNewer):
            raise
        except Exception as error:
            if not self._is_final(delivery, subject, error):
                return
            letter = letter_about(delivery, error)
            self._persist(lambda: job.give_up(letter))
            logger.error("gave up on event %s: %s", letter.event_id, letter.reason)
        failpoint("before-acknowledge")
        self._persist(lambda: self._inbox.acknowledge(delivery))

    def _try(self, delivery: Delivery, job: Job, subject: bytes) -> None:
        if delivery.deliveries > 2:  # two workers have died over it, or could not do it
            self._persist(lambda: self._breaker.note_failure(subject))
        if self._persist(lambda: self._breaker.excuses(subject)):
            self._persist(lambda: self._inbox.forgive(delivery))  # should we die over it, too
        elif delivery.deliveries > MOST_DELIVERIES:
            raise TooManyDeliveries(f"handed out {delivery.deliveries} times, never finished")
        if self._persist(lambda: self._inbox.is_away(subject)):
            raise PutOff("its node does not answer")
        if self._persist(lambda: job.run(delivery.fields), self._until_in_the_way(subject)):
            self._persist(lambda: self._breaker.note_success(subject))
            self._succeeded = True

    def _is_final(self, delivery: Delivery, subject: bytes, error: Exception) -> bool:
        """Whether the event is to be given up; else it is tried again once its lease runs out."""
        event = delivery.id.decode()
        noted = self._persist(lambda: self._breaker.note_failure(subject))
        if not noted or self._persist(lambda: self._breaker.excuses(subject)):
            logger.error("most jobs fail, so event %s waits", event, exc_info=error)
            self._persist(lambda: self._inbox.forgive(delivery))
            return False
        if not _is_permanent(error) and delivery.deliveries < MOST_DELIVERIES:
            logger.error("failed event %s; it will be tried again", event, exc_info=error)
            return False
        return True

    def _persist(
        self, action: Callable[[], T], check: Callable[[Exception], None] = lambda _: None
    ) -> T:
        """Do it, however long the servers are away: an outage must not cost an event.

        ``check`` is told of each failure, and may raise what ends that.
        """
        failures = 0
        while True:
            try:
                return action()
            except Exception as error:
                if not _will_pass(error):
                    raise
                check(error)
                logger.warning("waiting for the servers: %s: %s", type(error).__name__, error)
                self._pause(failures)
                failures += 1

    def _until_in_the_way(self, subject: bytes) -> Callable[[Exception], None]:
        """Raises PutOff where only a node of a cluster is away, and others wait behind its event.

        After the first such event the next ones, which may be many, are given no time.
        """
        failing_since = None

        def check(error: Exception) -> None:
            nonlocal failing_since
            now = time.monotonic()
            if failing_since is None and not isinstance(error, redis.TimeoutError):
                failing_since = now  # of a connection, perhaps, that had been closed meanwhile
                return
            failing_since = failing_since or now
            is_patient = now < failing_since + self._pace.patience and now >= self._impatient_until
            if is_patient or not isinstance(error, redis.RedisError) or not self._inbox.goes_on():
                return
            self._impatient_until = now + 2 * self._pace.lease  # so that they come again before
            self._inbox.probe(subject)
            raise PutOff(f"{type(error).__name__}: {error}") from error

        return check

    def _pause(self, failures: int) -> None:
        """Exponential back-off with jitter. Raises Stopped."""
        self._alive()
        longest = min(0.1 * 2 ** min(failures, 10), self._pace.longest_pause)
        if self._stop.wait(longest * random.uniform(0.5, 1.0)):  # noqa: S311
            raise Stopped


def _ids_of(delivery: Delivery) -> dict[str, str]:
    """What lines of the log are about while the event is in hand."""
    named = {"kind", "workout", "upload"} & {name.decode() for name in delivery.fields}
    ids = {name: delivery.fields[name.encode()].decode(errors="replace") for name in named}
    return {"message": delivery.id.decode(), **ids}


def _will_pass(error: BaseException) -> bool:
    """Whether the same works once the servers are back."""
    refused = isinstance(error, redis.ResponseError) and str(error).startswith(_REFUSALS)
    return refused or isinstance(error, TRANSIENT)


def _lacks_group(error: BaseException) -> bool:
    """Whether Redis has lost the group, which is then created anew."""
    return isinstance(error, redis.ResponseError) and str(error).startswith("NOGROUP")


def _is_permanent(error: BaseException) -> bool:
    return isinstance(error, MalformedEntry | TooManyDeliveries)
