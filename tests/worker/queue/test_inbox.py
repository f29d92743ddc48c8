from uuid import UUID, uuid4

import pytest
import redis

from shared.connections import Redis
from shared.events import FoldRequest
from shared.redis_keys import GROUP, Queue
from tests.worker.conftest import OpenInbox
from tests.worker.waiting import eventually
from tests.worker.workouts import Workouts, pending, renewals
from worker.queue.inbox import Inbox
from worker.queue.lane import Delivery

LEASE = 0.05


def ids(deliveries: list[Delivery]) -> list[UUID]:
    return [FoldRequest.from_fields(delivery.fields).workout_id for delivery in deliveries]


def take(*inboxes: Inbox, count: int = 1) -> list[Delivery]:
    """Read in turn until so many events have come."""
    taken: list[Delivery] = []

    def enough() -> bool:
        taken.extend(filter(None, (inbox.next_delivery() for inbox in inboxes)))
        return len(taken) >= count

    eventually(enough)
    return taken


def wait_out_the_lease(client: Redis, lease: float = LEASE) -> None:
    """Until nothing pending has been touched within a lease."""
    eventually(lambda: all(each["time_since_delivered"] > lease * 1000 for each in pending(client)))


def consumers(client: Redis) -> set[bytes]:
    found: list[dict[str, bytes]] = client.xinfo_consumers(Queue.PROMPT, GROUP)
    return {consumer["name"] for consumer in found}


def test_an_event_from_before_the_group_is_not_skipped(
    workouts: Workouts, open_inbox: OpenInbox
) -> None:
    early = uuid4()
    workouts.ask(early)
    assert ids(take(open_inbox())) == [early]


def test_a_group_that_is_there_already_is_kept(workouts: Workouts, open_inbox: OpenInbox) -> None:
    first = open_inbox("first")
    workouts.ask(uuid4())
    take(first)
    assert open_inbox("second").next_delivery() is None


def test_errors_other_than_an_existing_group_are_not_hidden(
    redis_client: Redis, open_inbox: OpenInbox
) -> None:
    inbox = open_inbox()
    redis_client.delete(Queue.PROMPT)
    redis_client.set(Queue.PROMPT, "not a stream")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        inbox.ensure_groups()


def test_a_lost_group_can_be_made_again(
    workouts: Workouts, redis_client: Redis, open_inbox: OpenInbox
) -> None:
    inbox, workout = open_inbox(), uuid4()
    redis_client.flushdb()
    with pytest.raises(redis.ResponseError, match="NOGROUP"):
        inbox.next_delivery()
    workouts.ask(workout)
    inbox.ensure_groups()
    assert ids(take(inbox)) == [workout]


def test_each_event_goes_to_one_worker(workouts: Workouts, open_inbox: OpenInbox) -> None:
    events = [uuid4() for _ in range(20)]
    workouts.ask(*events)
    taken = take(open_inbox("first"), open_inbox("second"), count=20)
    assert sorted(ids(taken)) == sorted(events)


def test_events_of_a_lost_reply_are_read_again(workouts: Workouts, open_inbox: OpenInbox) -> None:
    inbox, workout = open_inbox(), uuid4()
    workouts.ask(workout)
    (lost,) = take(inbox)
    assert inbox.next_delivery() is None
    inbox.reread_own()
    assert inbox.next_delivery() == lost


def test_replies_lost_on_the_way_are_no_deliveries(
    workouts: Workouts, redis_client: Redis, open_inbox: OpenInbox
) -> None:
    inbox = open_inbox("first")
    workouts.ask(uuid4())
    redis_client.xreadgroup(GROUP, "first", {Queue.PROMPT: ">"})
    for _ in range(10):
        inbox.reread_own()
        (again,) = take(inbox)
    assert again.deliveries == 1


def test_what_is_read_again_and_fails_again_waits_for_its_lease(
    workouts: Workouts, open_inbox: OpenInbox
) -> None:
    inbox, poison, other = open_inbox(), uuid4(), uuid4()
    workouts.ask(poison)
    take(inbox)
    inbox.reread_own()
    assert ids(take(inbox)) == [poison]
    workouts.ask(other)
    assert ids(take(inbox)) == [other]


def test_a_worker_begins_with_all_that_is_pending_under_its_name(
    workouts: Workouts, redis_client: Redis, open_inbox: OpenInbox
) -> None:
    open_inbox()
    old, new = [uuid4(), uuid4()], uuid4()
    workouts.ask(*old)
    redis_client.xreadgroup(GROUP, "first", {Queue.PROMPT: ">"})
    workouts.ask(new)
    assert ids(take(open_inbox("first"), count=3)) == [*old, new]


def test_a_worker_takes_no_more_than_it_can_do(
    workouts: Workouts, redis_client: Redis, open_inbox: OpenInbox
) -> None:
    # What it only keeps would run out of its lease, or wait for it if the worker stops.
    workouts.ask(uuid4(), uuid4())
    assert open_inbox().next_delivery()
    assert len(pending(redis_client)) == 1


def test_an_abandoned_event_is_claimed_after_its_lease_and_counted(
    workouts: Workouts, redis_client: Redis, open_inbox: OpenInbox
) -> None:
    workout = uuid4()
    workouts.ask(workout)
    taken = take(open_inbox("first", lease=LEASE))
    assert taken[0].deliveries == 1
    for turn, consumer in enumerate(("second", "third"), start=2):
        wait_out_the_lease(redis_client)
        (claimed,) = take(open_inbox(consumer, lease=LEASE))
        assert ids([claimed]) == [workout]
        assert claimed.deliveries == turn


def test_an_event_within_its_lease_is_left_to_its_worker(
    workouts: Workouts, open_inbox: OpenInbox
) -> None:
    workouts.ask(uuid4())
    take(open_inbox("first", lease=60))
    assert open_inbox("second", lease=60).next_delivery() is None


def test_every_abandoned_event_is_found_in_the_end(
    workouts: Workouts, redis_client: Redis, open_inbox: OpenInbox
) -> None:
    events = [uuid4() for _ in range(30)]
    workouts.ask(*events)
    take(open_inbox("first", lease=LEASE), count=30)
    wait_out_the_lease(redis_client)
    second, found = open_inbox("second", lease=LEASE), set()

    def all_found() -> bool:
        if delivery := second.next_delivery():
            found.update(ids([delivery]))
            second.acknowledge(delivery)
        return found == set(events)

    eventually(all_found)


def test_an_event_deleted_from_the_stream_is_let_go(
    workouts: Workouts, redis_client: Redis, open_inbox: OpenInbox
) -> None:
    inbox = open_inbox("first", lease=LEASE)
    workouts.ask(uuid4())
    (taken,) = take(inbox)
    redis_client.xdel(Queue.PROMPT, taken.id)
    inbox.reread_own()
    assert inbox.next_delivery() is None
    assert pending(redis_client) == []


def test_a_lease_is_renewed_while_the_work_goes_on(
    workouts: Workouts, redis_client: Redis, open_inbox: OpenInbox
) -> None:
    lease = 0.3
    first, second = open_inbox("first", lease=lease), open_inbox("second", lease=lease)
    workouts.ask(uuid4())
    (taken,) = take(first)
    renewed = renewals(redis_client)
    with first.lease(taken):
        eventually(lambda: renewed() >= 6)  # six thirds of a lease
        assert second.next_delivery() is None
    assert pending(redis_client)[0]["times_delivered"] == 1


def test_a_lease_is_not_renewed_once_the_work_is_over(
    workouts: Workouts, redis_client: Redis, open_inbox: OpenInbox
) -> None:
    first = open_inbox("first", lease=LEASE)
    workouts.ask(uuid4())
    (taken,) = take(first)
    with first.lease(taken):
        pass
    wait_out_the_lease(redis_client)
    assert open_inbox("second", lease=LEASE).next_delivery()


def test_an_event_handed_back_is_free_at_once_and_was_never_delivered(
    workouts: Workouts, open_inbox: OpenInbox
) -> None:
    first, workout = open_inbox("first", lease=60), uuid4()
    workouts.ask(workout)
    (taken,) = take(first)
    first.hand_back(taken)
    (again,) = take(open_inbox("second", lease=60))
    assert ids([again]) == [workout]
    assert again.deliveries == 1


def test_an_event_left_to_newer_workers_is_free_at_once_and_was_never_delivered(
    workouts: Workouts, open_inbox: OpenInbox
) -> None:
    first, workout = open_inbox("first", lease=60), uuid4()
    workouts.ask(workout)
    (taken,) = take(first)
    first.leave(taken)
    (again,) = take(open_inbox("newer", lease=60))
    assert ids([again]) == [workout]
    assert again.deliveries == 1


def test_an_event_left_is_passed_over_and_stays_free(
    workouts: Workouts, open_inbox: OpenInbox
) -> None:
    first, workout = open_inbox("first", lease=60, pass_over=60), uuid4()
    workouts.ask(workout)
    first.leave(*take(first))
    for _ in range(3):
        assert first.next_delivery() is None
    first.reread_own()
    assert first.next_delivery() is None
    (again,) = take(open_inbox("newer", lease=60))
    assert (ids([again]), again.deliveries) == ([workout], 1)


def test_an_event_left_is_tried_again_after_a_while(
    workouts: Workouts, open_inbox: OpenInbox
) -> None:
    first, workout = open_inbox("first", lease=60, pass_over=0), uuid4()
    workouts.ask(workout)
    first.leave(*take(first))
    (again,) = take(first)
    assert (ids([again]), again.deliveries) == ([workout], 1)


def test_events_left_hide_no_abandoned_one(
    workouts: Workouts, redis_client: Redis, open_inbox: OpenInbox
) -> None:
    first, abandoned = open_inbox("first", lease=LEASE, pass_over=60), uuid4()
    workouts.ask(*(uuid4() for _ in range(30)))
    for _ in range(30):
        first.leave(*take(first))
    workouts.ask(abandoned)
    take(open_inbox("second", lease=60))
    wait_out_the_lease(redis_client)
    delivery = first.next_delivery()
    assert delivery
    assert ids([delivery]) == [abandoned]


def test_acknowledging_takes_the_event_out_of_group_and_stream(
    workouts: Workouts, redis_client: Redis, open_inbox: OpenInbox
) -> None:
    inbox = open_inbox()
    workouts.ask(uuid4())
    (taken,) = take(inbox)
    inbox.acknowledge(taken)
    assert pending(redis_client) == []
    assert redis_client.xlen(Queue.PROMPT) == 0


def test_closing_leaves_the_group(redis_client: Redis, open_inbox: OpenInbox) -> None:
    inbox = open_inbox("first")
    inbox.next_delivery()
    assert consumers(redis_client) == {b"first"}
    inbox.close()
    assert consumers(redis_client) == set()


def test_closing_keeps_the_place_of_a_worker_with_unfinished_events(
    workouts: Workouts, redis_client: Redis, open_inbox: OpenInbox
) -> None:
    inbox, workout = open_inbox("first", lease=LEASE), uuid4()
    workouts.ask(workout)
    take(inbox)
    inbox.close()
    wait_out_the_lease(redis_client)
    assert ids(take(open_inbox("second", lease=LEASE))) == [workout]
