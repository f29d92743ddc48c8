"""Which folds are asked for, in whose turn, and how many of them at a time."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from ops.admin.accounts import create_account
from shared.connections import Database, Redis
from shared.redis_keys import DUE, GROUP, SHORT, Queue, asked_key
from shared.settings import Settings
from tests.worker.readings import steady
from tests.worker.workouts import Workouts, pending
from worker.jobs.dispatch import Dispatcher, fall_due
from worker.jobs.fold import fold
from worker.jobs.store import OVERDUE

HOUR = 3600.0
Another = Callable[[], Workouts]


@pytest.fixture
def another(database: Database, redis_client: Redis, settings: Settings) -> Another:
    """The workouts of further users."""

    def make() -> Workouts:
        account = create_account(settings.database_url, f"{uuid4()}@example.com", "test")
        return Workouts(database, redis_client, account.user_id)

    return make


@pytest.fixture(autouse=True)
def nothing_due(database: Database) -> None:
    """What other tests have left is over."""
    with database.connection() as connection:
        connection.execute("UPDATE workouts SET status = 'COMPLETED', stale = false")


def folded(workouts: Workouts, queue: Queue) -> list[UUID]:
    """Fold what is asked for in a queue, in its order, as a worker does."""
    asked = workouts.asked_in(queue)
    for workout in asked:
        fold(workouts.database, workouts.redis, workout)
    workouts.redis.xtrim(queue, 0)
    return asked


# What a person waits for.


def test_a_completion_is_asked_for_once_while_its_event_waits(
    workouts: Workouts, dispatcher: Dispatcher
) -> None:
    workout = workouts.start("PROCESSING")
    dispatcher.dispatch()
    dispatcher.dispatch()
    assert workouts.asked_in(Queue.PROMPT) == [workout]


def test_a_completion_whose_event_was_lost_is_asked_for_again(
    workouts: Workouts, dispatcher: Dispatcher, redis_client: Redis
) -> None:
    workout = workouts.start("PROCESSING")
    dispatcher.dispatch()
    redis_client.delete(Queue.PROMPT)
    redis_client.delete(asked_key(workout, Queue.PROMPT))  # as it is after a minute, by itself
    dispatcher.dispatch()
    assert workouts.asked_in(Queue.PROMPT) == [workout]


def test_a_fold_whose_event_some_worker_has_is_not_asked_for_again(
    workouts: Workouts, dispatcher: Dispatcher, redis_client: Redis
) -> None:
    """Or a ride that is left to newer workers would get another event each time."""
    taken = workouts.start("PROCESSING")
    redis_client.xgroup_create(Queue.PROMPT, GROUP, id="0", mkstream=True)
    workouts.ask(taken)
    redis_client.xreadgroup(GROUP, "older", {Queue.PROMPT: ">"})
    other = workouts.start("PROCESSING")
    dispatcher.dispatch()
    assert workouts.asked() == [taken, other]
    [event] = pending(redis_client)
    redis_client.xack(Queue.PROMPT, GROUP, event["message_id"])  # and its deletion was lost
    redis_client.delete(asked_key(taken, Queue.PROMPT))
    dispatcher.dispatch()
    assert workouts.asked() == [taken, other, taken]


def test_an_event_of_another_kind_does_not_stand_for_a_fold(
    workouts: Workouts, dispatcher: Dispatcher, redis_client: Redis
) -> None:
    workout = workouts.start("PROCESSING")
    redis_client.xgroup_create(Queue.PROMPT, GROUP, id="0", mkstream=True)
    redis_client.xadd(Queue.PROMPT, {"kind": "tell-strava", "workout": str(workout)})
    redis_client.xreadgroup(GROUP, "newer", {Queue.PROMPT: ">"})
    dispatcher.dispatch()
    assert workouts.asked() == [workout]


@pytest.mark.parametrize("status", ["COMPLETED", "ARCHIVED", "FAILED", "DELETED"])
def test_a_ride_that_is_over_is_not_to_be_completed(
    workouts: Workouts, dispatcher: Dispatcher, status: str
) -> None:
    workouts.start(status, fold_asked_at=HOUR, last_received_at=24 * HOUR)
    dispatcher.dispatch()
    assert workouts.asked() == []


def test_one_user_s_hundred_completions_stand_behind_another_s_first(
    workouts: Workouts, another: Another, dispatcher: Dispatcher
) -> None:
    greedy = [workouts.start("PROCESSING", fold_asked_at=HOUR) for _ in range(100)]
    dispatcher.dispatch()
    assert len(workouts.asked_in(Queue.PROMPT)) < len(greedy)  # the stream is kept short
    late = another().start("PROCESSING", fold_asked_at=1)
    before = folded(workouts, Queue.PROMPT)
    dispatcher.dispatch()
    following = workouts.asked_in(Queue.PROMPT)
    assert following.index(late) <= 1
    done = {*before, *following}
    while more := folded(workouts, Queue.PROMPT):
        done |= set(more)
        dispatcher.dispatch()
    assert done == {*greedy, late}


def test_a_stream_that_runs_low_is_filled_up_before_its_time(
    workouts: Workouts, dispatcher: Dispatcher, redis_client: Redis
) -> None:
    for _ in range(3 * SHORT):
        workouts.start("PROCESSING")
    dispatcher.dispatch_if_due()
    first = folded(workouts, Queue.PROMPT)
    dispatcher.dispatch_if_due()  # within the same second
    second = workouts.asked_in(Queue.PROMPT)
    assert len(second) > 0
    assert set(first) & set(second) == set()


# Checkpoints.


@pytest.mark.parametrize("status", ["ACTIVE", "PAUSED"])
def test_a_ride_under_way_is_folded_every_ten_minutes(
    workouts: Workouts, dispatcher: Dispatcher, redis_client: Redis, status: str
) -> None:
    workout = workouts.start(status, created_at=601)
    workouts.send(workout, steady(60, power=200))
    dispatcher.dispatch()
    assert workouts.asked_in(Queue.CHECKPOINTS) == [workout]
    folded(workouts, Queue.CHECKPOINTS)
    workouts.send(workout, steady(60, begin=60, power=200))
    dispatcher.dispatch()
    assert workouts.asked() == []
    workouts.backdate(workout, fold_asked_at=601)
    dispatcher.dispatch()
    assert workouts.asked_in(Queue.CHECKPOINTS) == [workout]


def test_a_ride_just_begun_is_not_folded_yet(workouts: Workouts, dispatcher: Dispatcher) -> None:
    workouts.send(workouts.start(created_at=300), steady(60, power=200))
    dispatcher.dispatch()
    assert workouts.asked() == []


def test_very_many_rides_without_samples_hold_up_no_checkpoint(
    workouts: Workouts, another: Another, dispatcher: Dispatcher, database: Database
) -> None:
    with database.connection() as connection:
        connection.execute(
            "INSERT INTO workouts (user_id, created_at)"
            " SELECT %s, now() - interval '1 day' FROM generate_series(1, 2500)",
            [workouts.user_id],
        )
    rider = another()
    workout = rider.start(created_at=601)
    rider.send(workout, steady(60, power=200))
    dispatcher.dispatch()
    assert workouts.asked() == [workout]


# Samples that come late.


def test_late_batches_of_a_ride_are_folded_together_however_many_ask(
    workouts: Workouts, dispatcher: Dispatcher, redis_client: Redis
) -> None:
    workout = workouts.start("COMPLETED")
    for _ in range(100):
        fall_due(redis_client, [workout])
    dispatcher.dispatch()
    dispatcher.dispatch()
    assert workouts.asked() == [workout]


def test_samples_that_come_while_their_fold_waits_to_begin_ask_for_no_other_but_are_read_by_it(
    workouts: Workouts, dispatcher: Dispatcher, redis_client: Redis
) -> None:
    workout = workouts.start("COMPLETED")
    workouts.send(workout, steady(60, power=200))
    fall_due(redis_client, [workout])
    dispatcher.dispatch()
    workouts.send(workout, steady(60, begin=60, power=200))
    fall_due(redis_client, [workout])
    dispatcher.dispatch()
    assert folded(workouts, Queue.CHECKPOINTS) == [workout]
    assert workouts.waiting(workout) == 0


def test_samples_that_come_after_their_fold_has_read_ask_for_another(
    workouts: Workouts, dispatcher: Dispatcher, redis_client: Redis
) -> None:
    workout = workouts.start("COMPLETED")
    workouts.send(workout, steady(60, power=200))
    fall_due(redis_client, [workout])
    dispatcher.dispatch()
    folded(workouts, Queue.CHECKPOINTS)
    workouts.send(workout, steady(60, begin=60, power=200))
    fall_due(redis_client, [workout])
    redis_client.delete(f"{{w:{workout}}}:resting")
    dispatcher.dispatch()
    assert workouts.asked_in(Queue.CHECKPOINTS) == [workout]


def test_a_ride_that_was_folded_just_now_rests_and_falls_due_afterwards(
    workouts: Workouts, dispatcher: Dispatcher, redis_client: Redis
) -> None:
    workout = workouts.start("PROCESSING")
    workouts.send(workout, steady(60, power=200))
    fold(workouts.database, redis_client, workout)
    workouts.send(workout, steady(60, begin=60, power=200))
    fall_due(redis_client, [workout])
    dispatcher.dispatch()
    assert workouts.asked() == []
    due_at = redis_client.zscore(DUE, str(workout))
    assert due_at is not None
    assert due_at > 0
    redis_client.delete(f"{{w:{workout}}}:resting")
    redis_client.zadd(DUE, {str(workout): 0})  # as it is a few seconds later
    dispatcher.dispatch()
    assert workouts.asked_in(Queue.CHECKPOINTS) == [workout]


def test_rides_that_are_gone_do_not_stay_in_the_set(
    workouts: Workouts, dispatcher: Dispatcher, redis_client: Redis
) -> None:
    fall_due(redis_client, [uuid4(), workouts.start("FAILED")])
    dispatcher.dispatch()
    assert workouts.asked() == []
    assert redis_client.zcard(DUE) == 0


def test_one_user_s_many_late_rides_stand_behind_another_s_first(
    workouts: Workouts, another: Another, dispatcher: Dispatcher, redis_client: Redis
) -> None:
    fall_due(redis_client, [workouts.start("COMPLETED") for _ in range(100)])
    other = another().start("COMPLETED")
    redis_client.zadd(DUE, {str(other): 1})
    dispatcher.dispatch()
    assert other in workouts.asked_in(Queue.CHECKPOINTS)[:2]


# Recomputation.


def test_a_changed_threshold_s_thousand_rides_fill_a_queue_of_their_own_and_no_more_than_that(
    workouts: Workouts, another: Another, dispatcher: Dispatcher, database: Database
) -> None:
    with database.connection() as connection:
        connection.execute(
            "INSERT INTO workouts (user_id, status, stale)"
            " SELECT %s, 'COMPLETED', true FROM generate_series(1, 1000)",
            [workouts.user_id],
        )
    stale = another().start("COMPLETED")
    with database.connection() as connection:
        connection.execute("UPDATE workouts SET stale = true WHERE id = %s", [stale])
    dispatcher.dispatch()
    asked = workouts.asked_in(Queue.RECOMPUTES)
    assert len(asked) == SHORT
    assert stale in asked
    assert workouts.asked_in(Queue.PROMPT) == []


def test_a_recomputation_is_asked_for_again_if_its_event_was_lost(
    workouts: Workouts, dispatcher: Dispatcher, database: Database, redis_client: Redis
) -> None:
    workout = workouts.start("COMPLETED")
    with database.connection() as connection:
        connection.execute("UPDATE workouts SET stale = true WHERE id = %s", [workout])
    dispatcher.dispatch()
    redis_client.delete(Queue.RECOMPUTES, asked_key(workout, Queue.RECOMPUTES))
    dispatcher.dispatch()
    assert workouts.asked() == []
    workouts.backdate(workout, fold_asked_at=OVERDUE + 1)
    dispatcher.dispatch()
    assert workouts.asked_in(Queue.RECOMPUTES) == [workout]


# All of them.


def test_one_worker_dispatches_at_a_time(
    workouts: Workouts, database: Database, dispatcher: Dispatcher
) -> None:
    workout = workouts.start("PROCESSING")
    with database.connection() as other:
        other.execute("SELECT pg_advisory_xact_lock(7496053)")
        dispatcher.dispatch()
        assert workouts.asked() == []
    dispatcher.dispatch()
    assert workouts.asked() == [workout]
