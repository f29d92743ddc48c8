"""The log of deliveries, and sending again by hand."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from shared.connections import Database
from tests.api.answers import problem_of
from tests.api.webhooks.conftest import Deliver
from tests.api.webhooks.rows import get_webhook, make_webhook
from tests.conftest import Rider
from tests.worker.waiting import eventually
from tests.worker.webhooks import receiving
from tests.worker.webhooks.receiving import TAKING, receiver
from tests.worker.webhooks.telling import Webhooks


def test_a_delivery_says_what_was_sent_and_what_became_of_it(
    rider: Rider, deliver: Deliver
) -> None:
    place = f"/api/webhooks/{make_webhook(rider)['webhook']['id']}"
    delivery = deliver(
        place.rpartition("/")[2],
        "waiting",
        attempts=3,
        tried_at="2026-01-02T03:04:05Z",
        due_at="2026-01-02T04:00:00Z",
        response_status=503,
        problem="it answered 503",
    )
    [told] = rider.client.get(f"{place}/deliveries").json()["deliveries"]
    assert (told["id"], told["status"], told["attempts"]) == (delivery, "waiting", 3)
    assert (told["responseStatus"], told["problem"]) == (503, "it answered 503")
    assert (told["triedAt"], told["nextAttemptAt"]) == (
        "2026-01-02T03:04:05Z",
        "2026-01-02T04:00:00Z",
    )
    assert told["messageId"].startswith("msg_")
    assert told["payload"]["data"] == {"title": "Evening ride"}


def test_deliveries_are_listed_newest_first_page_by_page(rider: Rider, deliver: Deliver) -> None:
    webhook_id = make_webhook(rider)["webhook"]["id"]
    ids = [deliver(webhook_id) for _ in range(5)]
    place, found, cursor = f"/api/webhooks/{webhook_id}/deliveries", list[int](), None
    sizes = []
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = rider.client.get(place, params=query).json()
        found += [each["id"] for each in page["deliveries"]]
        sizes.append(len(page["deliveries"]))
        cursor = page["pagination"]["nextCursor"]
        if cursor is None:
            break
    assert (found, sizes) == (ids[::-1], [2, 2, 1])


def test_deliveries_are_filtered_by_status(rider: Rider, deliver: Deliver) -> None:
    webhook_id = make_webhook(rider)["webhook"]["id"]
    by_status = {status: deliver(webhook_id, status) for status in ("waiting", "failed")}
    deliver(webhook_id)
    for status, delivery in by_status.items():
        found = rider.client.get(
            f"/api/webhooks/{webhook_id}/deliveries", params={"status": status}
        ).json()["deliveries"]
        assert [each["id"] for each in found] == [delivery]
    problem_of(rider.client.get(f"/api/webhooks/{webhook_id}/deliveries?status=lost"), 422)


@pytest.mark.parametrize(
    "cursor", ["x", "W10=", "bnVsbA==", "LTE=", "OTIyMzM3MjAzNjg1NDc3NTgwOA=="]
)
def test_a_malformed_cursor_is_422(rider: Rider, cursor: str) -> None:
    place = f"/api/webhooks/{make_webhook(rider)['webhook']['id']}/deliveries"
    problem = problem_of(rider.client.get(place, params={"cursor": cursor}), 422)
    assert problem["errors"][0]["member"] == "cursor"


@pytest.mark.parametrize("status", ["failed", "delivered"])
def test_a_delivery_that_has_ended_is_made_again(
    rider: Rider, deliver: Deliver, status: str
) -> None:
    webhook_id = make_webhook(rider)["webhook"]["id"]
    deliver(webhook_id)
    delivery = deliver(webhook_id, status, attempts=9, due_at="2100-01-01T00:00:00Z")
    place = f"/api/webhooks/{webhook_id}/deliveries/{delivery}/redeliver"
    again = rider.client.post(place)
    assert again.status_code == 202
    told = again.json()["delivery"]
    assert (told["id"], told["status"], told["attempts"]) == (delivery, "waiting", 0)
    assert told["nextAttemptAt"] < "2100"


def test_one_whose_next_attempt_is_hours_away_is_made_now(rider: Rider, deliver: Deliver) -> None:
    webhook_id = make_webhook(rider)["webhook"]["id"]
    long_ago = {"tried_at": "2026-01-01T00:00:00Z", "due_at": "2100-01-01T00:00:00Z"}
    delivery = deliver(webhook_id, "waiting", attempts=9, **long_ago)
    again = rider.client.post(f"/api/webhooks/{webhook_id}/deliveries/{delivery}/redeliver")
    told = again.json()["delivery"]
    assert (told["attempts"], told["nextAttemptAt"] < "2100") == (0, True)


def test_one_that_has_just_failed_is_sent_at_once(rider: Rider, database: Database) -> None:
    """However long its next attempt would wait for."""
    webhooks = Webhooks(database)
    with receiver(receiving.status(500)) as found:
        webhook = webhooks.add(rider.account.user_id, found.url)
        delivery = webhooks.tell(webhook, uuid4())
        eventually(lambda: webhooks.delivery(delivery)["problem"] is not None)
        webhooks.run(
            "UPDATE webhook_deliveries SET due_at = '2100-01-01' WHERE id = %s", [delivery]
        )
        found.answer = TAKING
        place = f"/api/webhooks/{webhook}/deliveries/{delivery}/redeliver"
        assert rider.client.post(place).status_code == 202
        eventually(lambda: webhooks.delivery(delivery)["status"] == "delivered")
    assert len({each.id for each in found.received}) == 1


def test_one_that_a_worker_may_be_sending_is_sent_again(rider: Rider, deliver: Deliver) -> None:
    """A receiver may get it twice, as any message."""
    webhook_id = make_webhook(rider)["webhook"]["id"]
    due = "2100-01-01T00:00:00Z"
    delivery = deliver(webhook_id, "waiting", due_at=due, tried_at=datetime.now(UTC), attempts=2)
    again = rider.client.post(f"/api/webhooks/{webhook_id}/deliveries/{delivery}/redeliver")
    told = again.json()["delivery"]
    assert (told["attempts"], told["nextAttemptAt"] < "2100") == (0, True)


def test_nothing_is_made_again_for_a_webhook_that_is_disabled(
    rider: Rider, deliver: Deliver
) -> None:
    webhook_id = make_webhook(rider)["webhook"]["id"]
    delivery = deliver(webhook_id, "failed")
    rider.client.patch(f"/api/webhooks/{webhook_id}", json={"enabled": False})
    again = rider.client.post(f"/api/webhooks/{webhook_id}/deliveries/{delivery}/redeliver")
    problem = problem_of(again, 409)
    assert (problem["type"], "enable it first" in problem["detail"]) == ("/problems/conflict", True)
    assert get_webhook(rider, webhook_id)["lastDelivery"]["status"] == "failed"


@pytest.mark.parametrize("delivery", ["0", "-1", "x", "1.0", "9" * 19, "9" * 40, "٣", "%00"])
def test_a_malformed_id_names_no_delivery(rider: Rider, delivery: str) -> None:
    webhook_id = make_webhook(rider)["webhook"]["id"]
    again = rider.client.post(f"/api/webhooks/{webhook_id}/deliveries/{delivery}/redeliver")
    assert problem_of(again, 404)["detail"] == "no such delivery"
