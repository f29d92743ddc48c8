"""Deliveries to real receivers, by a thread as each worker has one."""

import socket
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random
from uuid import UUID, uuid4

import pytest

from shared.webhooks import make_secret
from tests.worker.waiting import eventually
from tests.worker.webhooks.conftest import Delivering
from tests.worker.webhooks.receiving import (
    OK,
    TAKING,
    Answer,
    Received,
    answering,
    dribbling,
    flooding,
    hanging,
    receiver,
    status,
)
from tests.worker.webhooks.telling import Webhooks
from tests.worker.workouts import Workouts
from worker.webhooks.terms import Terms

RIDE = uuid4()


def _user(webhooks: Webhooks) -> str:
    [row] = webhooks.rows(
        "INSERT INTO users (email) VALUES (gen_random_uuid() || '@example.com') RETURNING id"
    )
    return str(row["id"])


def test_a_message_is_delivered_as_standard_webhooks_says(
    workouts: Workouts, webhooks: Webhooks, delivering: Delivering
) -> None:
    with receiver() as found, delivering() as outcomes:
        webhook = webhooks.add(workouts.user_id, found.url)
        delivery = webhooks.tell(webhook, RIDE, 7)
        eventually(lambda: outcomes == ["delivered"])
    [request] = found.received
    row = webhooks.delivery(delivery)
    assert request.line == "POST /hook HTTP/1.1"
    assert request.headers["host"] == found.url.split("/")[2]
    assert request.headers["content-type"] == "application/json"
    assert request.id == row["message_id"]
    assert request.message == row["payload"]
    assert request.is_signed_by(webhooks.webhook(webhook)["secret"])
    assert (row["status"], row["attempts"], row["response_status"]) == ("delivered", 1, 200)
    assert row["problem"] is None


def test_while_secrets_overlap_each_verifies(
    workouts: Workouts, webhooks: Webhooks, delivering: Delivering
) -> None:
    with receiver() as found, delivering():
        webhook = webhooks.add(workouts.user_id, found.url)
        secret, old = webhooks.webhook(webhook)["secret"], make_secret()
        overlap = "UPDATE webhooks SET old_secret = %s, old_secret_until = now() + %s::interval"
        webhooks.run(overlap, [old, "1 hour"])
        webhooks.tell(webhook, RIDE)
        eventually(lambda: len(found.received) == 1)
        webhooks.run(overlap, [old, "-1 second"])
        webhooks.tell(webhook, RIDE)
        eventually(lambda: len(found.received) == 2)
    first, second = found.received
    assert first.is_signed_by(secret)
    assert first.is_signed_by(old)
    assert second.is_signed_by(secret)
    assert " " not in second.headers["webhook-signature"]


def test_what_fails_is_tried_again_with_the_same_id(
    workouts: Workouts, webhooks: Webhooks, delivering: Delivering
) -> None:
    with receiver(status(500)) as found, delivering() as outcomes:
        delivery = webhooks.tell(webhooks.add(workouts.user_id, found.url), RIDE)
        eventually(lambda: len(outcomes) >= 2)
        row = webhooks.delivery(delivery)
        assert row["problem"] == "answered 500"
        assert row["response_status"] == 500
        found.answer = TAKING
        eventually(lambda: "delivered" in outcomes)
    assert len({each.id for each in found.received}) == 1
    assert len({each.body for each in found.received}) == 1


def test_a_later_message_of_a_ride_waits_for_the_earlier_one(
    workouts: Workouts, webhooks: Webhooks, delivering: Delivering
) -> None:
    """That of another ride does not."""
    failing = threading.Event()

    def answer(connection: socket.socket, request: Received) -> None:
        is_first = b'"number":1' in request.body
        status(503 if is_first and not failing.is_set() else 200)(connection, request)

    with receiver(answer) as found, delivering():
        webhook = webhooks.add(workouts.user_id, found.url)
        for number in (1, 2, 3):
            webhooks.tell(webhook, RIDE, number)
        webhooks.tell(webhook, uuid4(), 9)
        eventually(lambda: found.numbers.count(1) >= 3 and 9 in found.numbers)
        assert not {2, 3} & set(found.numbers)
        failing.set()
        eventually(lambda: 3 in found.numbers)
    assert [each for each in found.numbers if each != 9][-3:] == [1, 2, 3]


_TELL_OFTEN = (
    "SELECT tell_webhooks(%s::uuid, 'workout.updated', %s, '{}') FROM generate_series(1, 1001)"
)


def test_what_waits_behind_a_message_waits_as_long_and_hides_no_other_ride(
    workouts: Workouts, webhooks: Webhooks, delivering: Delivering
) -> None:
    """However many there are, from before it has failed and from after."""
    with receiver(status(503)) as found:
        webhook = webhooks.add(workouts.user_id, found.url)
        webhooks.run(_TELL_OFTEN, [workouts.user_id, RIDE])
        with delivering(pauses=(3600,)) as outcomes:
            eventually(lambda: outcomes == ["retried"])
            webhooks.run(_TELL_OFTEN, [workouts.user_id, RIDE])
            found.answer = TAKING
            webhooks.tell(webhook, uuid4())
            eventually(lambda: outcomes == ["retried", "delivered"])
    rows = webhooks.deliveries(webhook)
    assert len({row["due_at"] for row in rows if row["status"] == "waiting"}) == 1


def test_what_waited_behind_a_message_follows_it_at_once(
    workouts: Workouts, webhooks: Webhooks, delivering: Delivering
) -> None:
    """When it was sent again by hand, or was on its way when they came."""
    with receiver() as found, delivering() as outcomes:
        webhook = webhooks.add(workouts.user_id, found.url)
        query = (
            "INSERT INTO webhook_deliveries"
            " (webhook_id, message_id, event, subject_id, payload, due_at)"
            " SELECT %s, 'msg_' || number, 'workout.updated', %s, '{}',"
            " now() + (number > 1)::int * interval '1 hour' FROM generate_series(1, 3) AS number"
        )
        webhooks.run(query, [webhook, RIDE])
        eventually(lambda: outcomes == ["delivered"] * 3)
    assert [each.id for each in found.received] == ["msg_1", "msg_2", "msg_3"]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (hanging, "no answer within 0.3 s"),
        (dribbling, "no answer within 0.3 s"),
        (answering(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "no answer of HTTP"),
        (answering(b""), "no answer of HTTP"),
        (answering(b"HTTP/1.1 200"), "no answer of HTTP"),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), "no answer of HTTP"),
        (answering(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000), "no answer of HTTP"),
        (status(404), "answered 404"),
        (status(302, "Location: http://127.0.0.1:1/"), "answered 302: redirects are not followed"),
    ],
    ids=["hangs", "dribbles", "ssh", "nothing", "half", "lies", "large", "404", "302"],
)
def test_a_receiver_that_misbehaves_gets_it_again(
    workouts: Workouts, webhooks: Webhooks, delivering: Delivering, answer: Answer, problem: str
) -> None:
    attempt = 0.3 if "0.3 s" in problem else 5
    with receiver(answer) as found, delivering(attempt=attempt) as outcomes:
        delivery = webhooks.tell(webhooks.add(workouts.user_id, found.url), RIDE)
        eventually(lambda: outcomes[:1] == ["retried"])
        assert str(webhooks.delivery(delivery)["problem"]).startswith(problem)


@pytest.mark.parametrize(
    "answer",
    [
        status(204),
        flooding,
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nno more"),
        answering(b"HTTP/1.1 202 X\r\nTransfer-Encoding: chunked\r\n\r\ngarbage"),
        answering(b"HTTP/1.1 100 Continue\r\n\r\n" + OK),
        answering(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nbad"),
    ],
    ids=["204", "floods", "short", "garbage", "continue", "compressed"],
)
def test_what_has_been_taken_is_delivered_whatever_follows(
    workouts: Workouts, webhooks: Webhooks, delivering: Delivering, answer: Answer
) -> None:
    """The status says so; of the rest a few KiB are read, and nothing is used."""
    with receiver(answer) as found, delivering() as outcomes:
        webhooks.tell(webhooks.add(workouts.user_id, found.url), RIDE)
        eventually(lambda: outcomes == ["delivered"])
    assert len(found.received) == 1


def test_a_redirect_is_not_followed(
    workouts: Workouts, webhooks: Webhooks, delivering: Delivering
) -> None:
    with receiver() as other:
        answer = status(307, f"Location: {other.url}")
        with receiver(answer) as found, delivering() as outcomes:
            webhooks.tell(webhooks.add(workouts.user_id, found.url), RIDE)
            eventually(lambda: len(outcomes) > 1)
    assert other.received == []


def test_who_is_gone_is_told_nothing_more(
    workouts: Workouts, webhooks: Webhooks, delivering: Delivering
) -> None:
    """What waits stays listed."""
    with receiver(status(410)) as found, delivering() as outcomes:
        webhook = webhooks.add(workouts.user_id, found.url)
        first, second = webhooks.tell(webhook, RIDE), webhooks.tell(webhook, RIDE)
        eventually(lambda: outcomes == ["failed"])
        assert webhooks.delivery(first)["status"] == "failed"
        assert webhooks.delivery(second)["status"] == "waiting"
        row = webhooks.webhook(webhook)
        assert row["disabled_reason"] == "the receiver answered 410: it wants no more"
        found.answer = TAKING
        other = webhooks.tell(webhooks.add(workouts.user_id, found.url), RIDE)
        eventually(lambda: webhooks.delivery(other)["status"] == "delivered")
    assert webhooks.delivery(second)["attempts"] == 0


def test_after_a_day_of_failures_the_webhook_is_disabled_with_the_reason(
    workouts: Workouts, webhooks: Webhooks, delivering: Delivering
) -> None:
    with receiver(status(500)) as found, delivering(pauses=(3600,)) as outcomes:
        webhook = webhooks.add(workouts.user_id, found.url)
        delivery = webhooks.tell(webhook, RIDE)
        eventually(lambda: outcomes == ["retried"])
        row = webhooks.delivery(delivery)
        assert 2800 < (row["due_at"] - row["tried_at"]).total_seconds() < 4400
        webhooks.run(
            "UPDATE webhook_deliveries SET due_at = now(),"
            " first_tried_at = now() - interval '24 hours' + interval '10 minutes'"
        )
        eventually(lambda: outcomes == ["retried"] * 2)
        row = webhooks.delivery(delivery)  # once more, at the end of the day
        assert 590 < (row["due_at"] - row["tried_at"]).total_seconds() < 601
        assert webhooks.webhook(webhook)["disabled_at"] is None
        webhooks.run(
            "UPDATE webhook_deliveries SET due_at = now(),"
            " first_tried_at = first_tried_at - interval '10 minutes'"
        )
        eventually(lambda: outcomes == ["retried", "retried", "failed"])
    assert webhooks.delivery(delivery)["status"] == "failed"
    reason = webhooks.webhook(webhook)["disabled_reason"]
    assert reason == "a delivery failed for 24 hours; at last: answered 500"


def test_pauses_grow_and_heed_what_the_receiver_asks_for() -> None:
    """Within bounds."""
    terms, random = Terms(), Random(1)
    pauses = [terms.pause(attempt, None, random) for attempt in range(1, 13)]
    for pause, planned in zip(pauses, [*terms.pauses, *[28800] * 3], strict=True):
        assert 0.8 * planned <= pause <= 1.2 * planned
    assert len({terms.pause(1, None, random) for _ in range(9)}) > 1
    assert terms.pause(1, 600, random) == 600
    assert terms.pause(1, 10**9, random) == 3600
    assert terms.pause(9, 1, random) > 20000
    assert terms.pause(1, -50, random) > 3


@pytest.mark.parametrize("wish", ["600", "moment", "nonsense", "9" * 40])
def test_a_receiver_may_ask_to_be_left_alone(
    workouts: Workouts, webhooks: Webhooks, delivering: Delivering, wish: str
) -> None:
    """For some seconds or until a moment; what is neither is no wish."""
    at = format_datetime(datetime.fromtimestamp(time.time() + 600, UTC), usegmt=True)
    answer = status(429, f"Retry-After: {at if wish == 'moment' else wish}")
    with receiver(answer) as found, delivering(pauses=(100,)) as outcomes:
        delivery = webhooks.tell(webhooks.add(workouts.user_id, found.url), RIDE)
        eventually(lambda: outcomes == ["retried"])
    row = webhooks.delivery(delivery)
    left = (row["due_at"] - row["tried_at"]).total_seconds()
    assert (590 < left < 610) == (wish in ("600", "moment"))
    assert left > 79


def test_many_that_hang_hold_up_nobody_else(
    workouts: Workouts, webhooks: Webhooks, delivering: Delivering
) -> None:
    """A user has so many places of all; another one's receiver is told at once."""
    with receiver(hanging) as bad, receiver() as good, delivering(most=6, most_of_user=3):
        webhook = webhooks.add(workouts.user_id, bad.url)
        for _ in range(20):
            webhooks.tell(webhook, uuid4())
        eventually(lambda: len(bad.received) == 3)
        other = webhooks.add(_user(webhooks), good.url)
        for number in range(5):
            webhooks.tell(other, uuid4(), number)
        eventually(lambda: len(good.received) == 5)
        assert len(bad.received) == 3


def test_a_webhook_that_hangs_is_left_alone_for_longer_than_it_took(
    workouts: Workouts, webhooks: Webhooks, delivering: Delivering
) -> None:
    """So many of them, however many messages wait, leave places to others."""
    with (
        receiver(hanging) as bad,
        receiver() as good,
        delivering(attempt=2, rest=1000, most=1) as outcomes,
    ):
        webhook = webhooks.add(workouts.user_id, bad.url)
        for _ in range(5):
            webhooks.tell(webhook, uuid4())
        eventually(lambda: outcomes == ["retried"])
        other = webhooks.add(workouts.user_id, good.url)
        webhooks.tell(other, RIDE)
        eventually(lambda: outcomes == ["retried", "delivered"])
    assert len(bad.received) == 1


def test_what_was_taken_by_a_worker_that_died_is_taken_over_after_the_lease(
    workouts: Workouts, webhooks: Webhooks, delivering: Delivering
) -> None:
    with receiver() as found:
        delivery = webhooks.tell(webhooks.add(workouts.user_id, found.url), RIDE)
        webhooks.run(
            "UPDATE webhook_deliveries SET attempts = 1, tried_at = now(),"
            " first_tried_at = now(), due_at = now() + interval '1 hour'"
        )
        with delivering() as outcomes:
            webhooks.tell(webhooks.add(workouts.user_id, found.url), RIDE, 1)
            eventually(lambda: outcomes == ["delivered"])
            assert found.numbers == [1]
            webhooks.run("UPDATE webhook_deliveries SET due_at = now() WHERE status = 'waiting'")
            eventually(lambda: outcomes == ["delivered"] * 2)
    assert webhooks.delivery(delivery)["attempts"] == 2


def test_two_workers_do_not_deliver_the_same_twice(
    workouts: Workouts, webhooks: Webhooks, delivering: Delivering
) -> None:
    with receiver() as found, delivering() as some, delivering() as more:
        webhook = webhooks.add(workouts.user_id, found.url)
        rides = [uuid4() for _ in range(5)]
        for number in range(60):
            webhooks.tell(webhook, rides[number % 5], number)
        eventually(lambda: len(some) + len(more) == 60)
    numbers = [int(str(each)) for each in found.numbers]
    assert sorted(numbers) == list(range(60))
    for ride in range(5):  # in order, each
        own = [number for number in numbers if number % 5 == ride]
        assert own == sorted(own)


def test_what_is_sent_again_by_hand_meanwhile_is_given_back_with_no_fewer_attempts_than_none(
    workouts: Workouts, webhooks: Webhooks, delivering: Delivering
) -> None:
    with receiver(hanging) as found, delivering(attempt=60, ending=0.1):
        delivery = webhooks.tell(webhooks.add(workouts.user_id, found.url), RIDE)
        eventually(lambda: len(found.received) == 1)
        webhooks.run("UPDATE webhook_deliveries SET attempts = 0, first_tried_at = NULL")
    row = webhooks.delivery(delivery)
    assert (row["status"], row["attempts"]) == ("waiting", 0)
    assert row["due_at"] < row["tried_at"] + timedelta(minutes=1)


def test_a_worker_that_stops_gives_back_what_is_under_way(
    workouts: Workouts, webhooks: Webhooks, delivering: Delivering
) -> None:
    with receiver(hanging) as found:
        with delivering(attempt=60, ending=0.1):
            delivery = webhooks.tell(webhooks.add(workouts.user_id, found.url), RIDE)
            eventually(lambda: len(found.received) == 1)
        row = webhooks.delivery(delivery)
        assert (row["status"], row["attempts"]) == ("waiting", 0)
        found.answer = TAKING
        with delivering() as outcomes:
            eventually(lambda: outcomes == ["delivered"])


def test_nothing_is_delivered_for_who_is_disabled_or_deleted(
    workouts: Workouts, webhooks: Webhooks, delivering: Delivering
) -> None:
    gone, shut, well = _user(webhooks), _user(webhooks), workouts.user_id
    with receiver() as found:
        for number, user in enumerate((gone, shut, well)):
            webhooks.tell(webhooks.add(user, found.url), RIDE, number)
        webhooks.run("UPDATE users SET deleted_at = now() WHERE id = %s", [gone])
        webhooks.run("UPDATE users SET disabled_at = now() WHERE id = %s", [shut])
        with delivering() as outcomes:
            eventually(lambda: outcomes == ["delivered"])
            webhooks.tell(webhooks.add(well, found.url), RIDE, 3)
            eventually(lambda: len(outcomes) == 2)
    assert found.numbers == [2, 3]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0"])
def test_nothing_is_sent_to_this_machine_unless_that_is_allowed(
    workouts: Workouts, webhooks: Webhooks, delivering: Delivering, host: str
) -> None:
    """However a row came to name it."""
    with receiver() as found, delivering(allow_private=False) as outcomes:
        port = found.url.split(":")[2]
        for scheme in ("http", "https"):
            webhook = webhooks.add(workouts.user_id, f"{scheme}://{host}:{port}")
            delivery = webhooks.tell(webhook, RIDE)
            eventually(lambda: webhooks.delivery(delivery)["problem"] is not None)  # noqa: B023
            assert "must be" in webhooks.delivery(delivery)["problem"] or scheme == "http"
    assert set(outcomes) == {"retried"}
    assert found.received == []


def test_a_database_that_goes_away_is_waited_for(
    workouts: Workouts, webhooks: Webhooks, delivering: Delivering
) -> None:
    with receiver() as found, delivering() as outcomes:
        webhook = webhooks.add(workouts.user_id, found.url)
        webhooks.tell(webhook, RIDE)
        eventually(lambda: len(outcomes) == 1)
        webhooks.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'bike-power-tracker webhooks'"
        )
        webhooks.tell(webhook, RIDE)
        eventually(lambda: len(outcomes) == 2)


def test_each_user_s_first_comes_before_anybody_s_second(
    workouts: Workouts, webhooks: Webhooks, delivering: Delivering
) -> None:
    with ExitStack() as stack:
        found = stack.enter_context(receiver())
        first = webhooks.add(workouts.user_id, found.url)
        for number in range(30):
            webhooks.tell(first, UUID(int=number), number)
        webhooks.tell(webhooks.add(_user(webhooks), found.url), RIDE, 99)
        outcomes = stack.enter_context(delivering(most=2))
        eventually(lambda: len(outcomes) == 31)
    assert 99 in found.numbers[:3]
