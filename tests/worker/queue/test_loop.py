import logging
import re
import time
from contextlib import ExitStack
from itertools import count
from threading import Event, get_ident
from typing import ClassVar
from uuid import UUID, uuid4

import psycopg
import psycopg_pool
import pytest
import redis

from shared.connections import Database, Redis
from shared.errors import MalformedEntry
from shared.events import Fields
from shared.redis_keys import BATCH_FIELD, FAILING, GROUP, SUCCEEDED, Queue, samples_key
from tests.redis_settings import configured
from tests.worker.conftest import Running
from tests.worker.readings import steady
from tests.worker.waiting import eventually
from tests.worker.workouts import Workouts, pending, renewals
from worker.jobs.fold import FoldJob
from worker.queue.dead_letters import DeadLetter, letter_about
from worker.queue.lane import Delivery
from worker.queue.loop import MOST_DELIVERIES


class Folds:
    """A fold that raises so many errors, then works; it notes what it was called with."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls: list[UUID] = []

    def __call__(self, workout_id: UUID) -> bool:
        self.calls.append(workout_id)
        if self.errors:
            raise self.errors.pop()
        return True


class Waits(Event):
    """A stop that is waited for in no time; it notes the seconds, and is set after so many."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._most = most

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout or 0)
        if len(self.seconds) == self._most:
            self.set()
        return self.is_set()


def done(client: Redis) -> bool:
    return not client.xlen(Queue.PROMPT)


def test_an_event_is_folded_and_acknowledged(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    workout, folds = workouts.start(), Folds()
    with running(folds):
        workouts.ask(workout)
        eventually(lambda: done(redis_client))
    assert folds.calls == [workout]
    assert pending(redis_client) == []


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.ReadOnlySqlTransaction("failing over"),
        redis.ResponseError("NOREPLICAS Not enough good replicas to write."),
        redis.ResponseError("MISCONF Errors writing to the AOF file"),
        redis.ResponseError(
            "UNBLOCKED force unblock from blocking operation, instance state changed"
        ),
        redis.exceptions.ClusterDownError("The cluster is down"),
        psycopg.OperationalError("the server is gone"),
        psycopg.errors.DeadlockDetected(),
        psycopg.errors.LockNotAvailable(),
        psycopg.errors.DiskFull(),
        psycopg.errors.AdminShutdown(),
        psycopg.errors.IdleInTransactionSessionTimeout(),
        psycopg.errors.UndefinedTable(),
        psycopg_pool.PoolTimeout(),
        redis.ConnectionError(),
        redis.TimeoutError(),
        redis.exceptions.BusyLoadingError(),
        redis.exceptions.OutOfMemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_outage_is_waited_out_however_long_it_lasts(
    workouts: Workouts, redis_client: Redis, running: Running, error: Exception
) -> None:
    workout, folds = workouts.start(), Folds(*[error] * 20)
    workouts.ask(workout)
    with running(folds, lease=60):
        eventually(lambda: done(redis_client))
    assert folds.calls == [workout] * 21
    assert workouts.dead_letters(workout) == []
    assert workouts.status(workout) == "ACTIVE"


def test_an_outage_may_last_for_hours(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    folds = Folds(*[psycopg.OperationalError()] * 1100)  # 90 minutes of 5 s pauses
    workouts.ask(workouts.start())
    with running(folds, lease=60, longest_pause=0.0001):
        eventually(lambda: done(redis_client))
    assert len(folds.calls) == 1101


def test_each_failure_in_a_row_is_waited_out_for_longer_up_to_five_seconds(
    running: Running,
) -> None:
    def fail() -> None:
        raise redis.ConnectionError

    waits = Waits(10)
    with running(Folds(), stop=waits, sweep=fail, longest_pause=5):
        eventually(waits.is_set)
    longest = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5, 5]
    assert all(most / 2 <= wait <= most for wait, most in zip(waits.seconds, longest, strict=True))


def test_a_failure_after_a_success_is_waited_out_briefly_again(
    running: Running,
) -> None:
    sweeps = count()

    def fail_now_and_then() -> None:
        if next(sweeps) % 2:
            raise redis.ConnectionError

    waits = Waits(10)
    with running(Folds(), stop=waits, sweep=fail_now_and_then, longest_pause=5):
        eventually(waits.is_set)
    assert max(waits.seconds) <= 0.1


def test_an_event_whose_delivery_was_lost_on_the_way_is_found(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    workout, folds = workouts.start(), Folds()

    def lose_a_reply() -> None:
        if not folds.calls and not workouts.asked():
            workouts.ask(workout)
            redis_client.xreadgroup(GROUP, "first", {Queue.PROMPT: ">"})
            raise redis.ConnectionError

    with running(folds, lease=60, sweep=lose_a_reply):
        eventually(lambda: bool(folds.calls) and done(redis_client))
    assert folds.calls == [workout]


def test_restarting_workers_during_an_outage_costs_no_event(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    workout, folds = workouts.start(), Folds()
    workouts.ask(workout)
    for _ in range(7):
        down = Folds(*[psycopg.OperationalError()] * 100)
        with running(down, lease=60):
            eventually(lambda down=down: bool(down.calls))  # type: ignore[misc]
    with running(folds, lease=60):
        eventually(lambda: done(redis_client))
    assert folds.calls == [workout]
    assert workouts.dead_letters(workout) == []


def test_an_outage_costs_no_event_however_many_workers_wait(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    rides = [workouts.start() for _ in range(8)]
    outage, tried = Event(), set()

    def fold_unless_down(_: UUID) -> None:
        tried.add(get_ident())
        if not outage.is_set():
            raise psycopg.OperationalError

    workouts.ask(*rides)
    with ExitStack() as workers:
        for number in range(8):
            workers.enter_context(running(fold_unless_down, consumer=f"worker-{number}"))
            eventually(lambda count=number + 1: len(tried) == count)  # type: ignore[misc]
        outage.set()
        eventually(lambda: done(redis_client))
    assert [workouts.dead_letters(each) for each in rides] == [[]] * 8


def test_a_full_redis_with_events_and_no_group_keeps_no_worker_from_making_room(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    """The API has added an event before any worker came, and there is no room for the group."""
    workout, folds, swept = workouts.start(), Folds(), Event()
    workouts.ask(workout)
    with configured(redis_client, "maxmemory", "1"), running(folds, sweep=swept.set):
        assert swept.wait(30)
        assert folds.calls == []
        redis_client.config_set("maxmemory", "0")
        eventually(lambda: folds.calls == [workout] and done(redis_client))


def test_long_work_keeps_its_lease(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    workout, calls, renewed = workouts.start(), [], renewals(redis_client)

    def fold_slowly(workout_id: UUID) -> None:
        calls.append(workout_id)
        eventually(lambda: renewed() >= 6)  # six thirds of a lease

    workouts.ask(workout)
    with running(fold_slowly, lease=0.3), running(fold_slowly, lease=0.3, consumer="second"):
        eventually(lambda: done(redis_client))
    assert calls == [workout]


def test_an_unexpected_error_leaves_the_event_pending_for_another_try(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    workout, folds = workouts.start(), Folds(*[ZeroDivisionError()] * (MOST_DELIVERIES - 1))
    workouts.ask(workout)
    with running(folds):
        eventually(lambda: done(redis_client))
    assert len(folds.calls) == MOST_DELIVERIES
    assert workouts.dead_letters(workout) == []


def test_five_deliveries_are_the_end_of_an_event(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    workout, folds = workouts.start("PROCESSING"), Folds(*[ZeroDivisionError("no power")] * 9)
    workouts.send(workout, steady(60, power=200))
    workouts.ask(workout)
    with running(folds):
        eventually(lambda: done(redis_client))
    (letter,) = workouts.dead_letters(workout)
    assert len(folds.calls) == letter["deliveries"] == 5
    assert letter["workout_id"] == workout
    assert letter["event"] == {"kind": "fold", "workout": str(workout)}
    assert re.fullmatch(
        r"the computation fails at tests/worker/queue/\S+py:\d+: ZeroDivisionError: no power",
        letter["reason"],
    )
    assert "raise self.errors.pop()" in letter["traceback"]
    assert workouts.status(workout) == "FAILED"
    assert workouts.waiting(workout) == 1
    assert pending(redis_client) == []


def test_other_work_flows_on_past_a_poisonous_event(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    poison, *others = [workouts.start() for _ in range(10)]
    folded = []

    def fold_others(workout_id: UUID) -> None:
        if workout_id == poison:
            raise ZeroDivisionError
        folded.append(workout_id)

    workouts.ask(poison, *others)
    with running(fold_others, lease=60):
        eventually(lambda: len(folded) == 9)
        assert workouts.asked() == [poison]
    assert folded == others
    assert pending(redis_client)[0]["times_delivered"] == 1


def test_an_event_over_which_every_worker_dies_is_not_tried_again(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    workout, folds = workouts.start(), Folds()
    workouts.ask(workout)
    redis_client.xgroup_create(Queue.PROMPT, GROUP, id="0")
    redis_client.xreadgroup(GROUP, "dead", {Queue.PROMPT: ">"})
    (event,) = pending(redis_client)
    redis_client.xclaim(Queue.PROMPT, GROUP, "dead", 0, [event["message_id"]], retrycount=5)
    with running(folds):
        eventually(lambda: done(redis_client))
    assert folds.calls == []
    (letter,) = workouts.dead_letters(workout)
    assert letter["deliveries"] == 6
    assert letter["reason"].startswith("handed out 6 times, never finished: each worker died")
    assert workouts.status(workout) == "FAILED"


def test_a_malformed_event_is_buried_at_once(
    database: Database, redis_client: Redis, running: Running
) -> None:
    folds = Folds()
    event = {"kind": b"sing\0", "song": b"\xff"}
    with running(folds):
        redis_client.xadd(Queue.PROMPT, event)  # type: ignore[arg-type]
        eventually(lambda: done(redis_client))
    assert folds.calls == []
    with database.connection() as connection:
        letter = connection.execute(
            "SELECT * FROM dead_letters WHERE event ? 'song' ORDER BY id DESC LIMIT 1"
        ).fetchone()
    assert letter is not None
    assert letter["event"] == {"kind": "sing�", "song": "�"}
    assert letter["workout_id"] is None
    assert letter["deliveries"] == 1


def test_a_malformed_batch_fails_its_workout_at_once_and_stays(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    workout = workouts.start()
    redis_client.xadd(samples_key(workout), {BATCH_FIELD: b"\xffgarbage"})
    workouts.ask(workout)
    with running():
        eventually(lambda: done(redis_client))
    (letter,) = workouts.dead_letters(workout)
    assert letter["deliveries"] == 1
    assert letter["reason"].startswith("what is stored cannot be read: ")
    assert workouts.status(workout) == "FAILED"
    assert workouts.waiting(workout) == 1


class Songs:
    """A job of another kind, which sings what can be sung."""

    kind: ClassVar = "sing"

    def __init__(self) -> None:
        self.sung: list[bytes] = []
        self.given_up: list[DeadLetter] = []

    def subject_of(self, event: Fields) -> bytes | None:
        return b"song " + event[b"song"]

    def run(self, event: Fields) -> bool:
        if event[b"song"] == b"4'33":
            raise MalformedEntry("there is nothing to sing")
        self.sung.append(event[b"song"])
        return True

    def give_up(self, letter: DeadLetter) -> None:
        self.given_up.append(letter)


def test_each_kind_of_event_has_a_job_that_does_it_or_gives_it_up(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    ride, folds, songs = workouts.start(), Folds(), Songs()
    for song in ("Bicycle Race", "4'33"):
        redis_client.xadd(Queue.PROMPT, {"kind": "sing", "song": song})
    workouts.ask(ride)
    with running(folds, songs):
        eventually(lambda: done(redis_client))
    assert folds.calls == [ride]
    assert songs.sung == [b"Bicycle Race"]
    (letter,) = songs.given_up
    assert letter.event == {b"kind": b"sing", b"song": b"4'33"}
    assert letter.reason == "what is stored cannot be read: there is nothing to sing"
    assert redis_client.zrange(FAILING, 0, -1) == [b"song 4'33"]
    succeeded = {b"song Bicycle Race", str(ride).encode()}
    assert set(redis_client.zrange(SUCCEEDED, 0, -1)) == succeeded


@pytest.mark.parametrize("status", ["PROCESSING", "DELETED"])
def test_giving_up_again_after_a_lost_reply_writes_one_letter(
    workouts: Workouts, database: Database, redis_client: Redis, status: str
) -> None:
    workout = workouts.start(status)
    event = {b"kind": b"fold", b"workout": str(workout).encode()}
    delivery = Delivery(Queue.PROMPT, f"{time.time_ns()}-0".encode(), event, 5)
    for _ in range(2):
        FoldJob(database, redis_client).give_up(letter_about(delivery, MemoryError()))
    (letter,) = workouts.dead_letters(workout)
    assert letter["status_before"] == status
    assert letter["reason"] == "a worker has not enough memory for it"


def test_a_ride_that_failed_gets_no_second_letter(
    workouts: Workouts, database: Database, redis_client: Redis
) -> None:
    """Its replay would take it for one that had failed before."""
    workout = workouts.start("PAUSED")
    event = {b"kind": b"fold", b"workout": str(workout).encode()}
    for nth in range(2):
        delivery = Delivery(Queue.PROMPT, f"{time.time_ns()}-{nth}".encode(), event, 5)
        FoldJob(database, redis_client).give_up(letter_about(delivery, MemoryError()))
    (letter,) = workouts.dead_letters(workout)
    assert letter["status_before"] == "PAUSED"


def test_a_deleted_workout_is_not_brought_back_by_a_failure(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    workout = workouts.start("DELETED")
    workouts.ask(workout)
    with running(Folds(MalformedEntry("broken"))):
        eventually(lambda: done(redis_client))
    assert workouts.status(workout) == "DELETED"


def test_a_failure_of_a_workout_that_is_gone_is_still_noted(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    workout = uuid4()
    workouts.ask(workout)
    with running(Folds(MalformedEntry("broken"))):
        eventually(lambda: done(redis_client))
    (letter,) = workouts.dead_letters(workout)
    assert letter["workout_id"] is None


def test_stopping_during_an_outage_leaves_the_event_pending(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    workout, stop = workouts.start(), Event()

    def fail(_: UUID) -> None:
        stop.set()
        raise psycopg.OperationalError("the server is gone")

    workouts.ask(workout)
    with running(fail, stop=stop, lease=60):
        eventually(stop.is_set)
    assert workouts.asked() == [workout]
    assert pending(redis_client)[0]["times_delivered"] == 0  # handed back, as if never taken
    assert workouts.dead_letters(workout) == []


def test_stopping_finishes_the_event_in_hand_and_no_other(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    first, second = workouts.start(), workouts.start()
    stop, folded = Event(), []

    def fold_and_stop(workout_id: UUID) -> None:
        stop.set()
        folded.append(workout_id)

    workouts.ask(first, second)
    with running(fold_and_stop, stop=stop, lease=60):
        eventually(stop.is_set)
    assert folded == [first]
    assert workouts.asked() == [second]
    assert pending(redis_client) == []  # free for another worker at once


def test_a_worker_goes_on_after_redis_has_lost_everything(
    workouts: Workouts, redis_client: Redis, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    before, after, folds = workouts.start(), workouts.start(), Folds()
    with running(folds), caplog.at_level(logging.WARNING):
        workouts.ask(before)
        eventually(lambda: folds.calls == [before])
        redis_client.flushdb()
        workouts.ask(after)
        eventually(lambda: folds.calls == [before, after])
        eventually(lambda: done(redis_client))
    assert len(caplog.messages) <= 2  # each a pause: not a hot loop
    assert caplog.messages[0].startswith("cannot go on for now: ResponseError: NOGROUP")
