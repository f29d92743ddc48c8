"""Webhooks over HTTP: made, listed, changed, rotated, deleted; each seen by its owner alone."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args
from uuid import uuid4

import pytest

from api.webhooks.webhooks import MOST_WEBHOOKS
from api.webhooks.wire import Event
from shared.connections import Database
from shared.webhooks import EVENTS
from tests.api.answers import problem_of
from tests.api.conftest import MakeKey
from tests.api.serving import serving
from tests.api.webhooks.conftest import Deliver
from tests.api.webhooks.rows import URL, get_webhook, make_webhook
from tests.conftest import Rider


def listed(rider: Rider) -> list[dict[str, Any]]:
    webhooks: list[dict[str, Any]] = rider.client.get("/api/webhooks").json()["webhooks"]
    return webhooks


def test_a_secret_is_shown_once_and_never_again(rider: Rider, database: Database) -> None:
    made = make_webhook(rider)
    webhook = made["webhook"]
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{32,}={0,2}", made["secret"])
    assert (webhook["url"], webhook["events"]) == (URL, ["workout.completed"])
    assert (webhook["enabled"], webhook["waiting"], webhook["lastDelivery"]) == (True, 0, None)
    assert listed(rider) == [webhook] == [get_webhook(rider, webhook["id"])]
    place = f"/api/webhooks/{webhook['id']}"
    rider.client.patch(place, json={"enabled": False})
    with database.connection() as connection:
        audit = connection.execute(
            "SELECT action, detail::text FROM audit_log WHERE user_id = %s",
            [rider.account.user_id],
        ).fetchall()
    assert {row["action"] for row in audit} >= {"create_webhook", "change_webhook"}
    told = [rider.client.get(path).text for path in ("/api/webhooks", place)]
    assert not [text for text in (*told, str(audit)) if made["secret"] in text]


def test_the_answer_with_a_secret_is_stored_nowhere(rider: Rider) -> None:
    response = rider.client.post("/api/webhooks", json={"url": URL, "events": ["record.set"]})
    assert response.headers["cache-control"] == "private, no-store"


def test_the_events_are_those_that_workers_tell_of() -> None:
    assert get_args(get_args(Event)[0]) == tuple(EVENTS)


@pytest.mark.parametrize(
    ("url", "events"),
    [
        ("ftp://example.com/", ["record.set"]),
        ("example.com", ["record.set"]),
        ("https://", ["record.set"]),
        ("https://me:secret@example.com/", ["record.set"]),
        ("https://example.com/" + "x" * 2000, ["record.set"]),
        (URL, []),
        (URL, ["workout.created"]),
    ],
)
def test_what_nothing_may_be_sent_to_is_refused_at_once(
    rider: Rider, url: str, events: list[str]
) -> None:
    refused = rider.client.post("/api/webhooks", json={"url": url, "events": events})
    problem = problem_of(refused, 422)
    assert problem["errors"][0]["member"].partition(".")[0] in ("url", "events", "events[0]")
    assert listed(rider) == []
    webhook = make_webhook(rider)["webhook"]
    changed = rider.client.patch(
        f"/api/webhooks/{webhook['id']}", json={"url": url, "events": events}
    )
    problem_of(changed, 422)
    assert listed(rider) == [webhook]


PRIVATE = (
    *("https://127.0.0.1/", "https://[::1]:8000/", "https://10.1.2.3/", "https://localhost/"),
    *("https://169.254.169.254/latest", "http://example.com/"),
)


def test_no_address_of_the_service_s_own_network_is_told_unless_the_operator_allows_it(
    urls: dict[str, str], rider: Rider, tmp_path: Path
) -> None:
    headers = {"X-API-Key": rider.account.api_key}
    for setting, status in (("0", 422), ("1", 201)):
        with serving(urls, tmp_path / "api.log", WEBHOOK_ALLOW_PRIVATE=setting) as client:
            for url in PRIVATE:
                wanted = {"url": url, "events": ["record.set"]}
                answer = client.post("/api/webhooks", json=wanted, headers=headers)
                assert answer.status_code == status, answer.text
                if status == 422:
                    assert answer.json()["errors"][0]["member"] == "url"


def test_a_webhook_is_changed_member_by_member(rider: Rider) -> None:
    webhook = make_webhook(rider)["webhook"]
    place = f"/api/webhooks/{webhook['id']}"
    other = {"url": "https://other.example.com/", "events": ["upload.failed", "record.set"] * 2}
    changed = rider.client.patch(place, json={"url": other["url"]}).json()["webhook"]
    assert changed == {**webhook, "url": other["url"]}
    changed = rider.client.patch(place, json={"events": other["events"]}).json()["webhook"]
    assert changed == {**webhook, "url": other["url"], "events": ["record.set", "upload.failed"]}
    wrongs: list[dict[str, Any]] = [{"url": None}, {"events": []}, {"enabled": None}]
    for wrong in wrongs:
        problem_of(rider.client.patch(place, json=wrong), 422)
    assert rider.client.patch(place, json={}).json()["webhook"] == changed


def test_a_webhook_is_disabled_by_hand_and_let_in_again(rider: Rider) -> None:
    webhook = make_webhook(rider)["webhook"]
    place = f"/api/webhooks/{webhook['id']}"
    rider.client.patch(place, json={"enabled": False})
    disabled = get_webhook(rider, webhook["id"])
    assert (disabled["enabled"], disabled["disabledReason"]) == (False, "it was disabled by hand")
    again = rider.client.patch(place, json={"enabled": False}).json()["webhook"]
    assert again["disabledAt"] == disabled["disabledAt"] is not None
    assert rider.client.patch(place, json={"enabled": True}).json()["webhook"] == webhook


def test_what_waits_is_tried_at_once_and_for_long_after_a_webhook_is_let_in_again(
    rider: Rider, deliver: Deliver, database: Database
) -> None:
    webhook_id = make_webhook(rider)["webhook"]["id"]
    with database.connection() as connection:
        connection.execute(
            "UPDATE webhooks SET disabled_at = now(), disabled_reason = 'it answered 500 for 24 h'"
            " WHERE id = %s",
            [webhook_id],
        )
    assert get_webhook(rider, webhook_id)["disabledReason"] == "it answered 500 for 24 h"
    tried = {"first_tried_at": "2026-01-01T00:00Z", "due_at": "2100-01-01T00:00Z", "attempts": 9}
    waits = deliver(webhook_id, "waiting", **tried)
    failed = deliver(webhook_id, "failed", **tried)
    rider.client.patch(f"/api/webhooks/{webhook_id}", json={"enabled": True})
    with database.connection() as connection:
        rows = connection.execute(
            "SELECT id, attempts, first_tried_at IS NULL AS is_new, due_at <= now() AS is_due"
            " FROM webhook_deliveries WHERE webhook_id = %s ORDER BY id",
            [webhook_id],
        ).fetchall()
    assert [tuple(row.values()) for row in rows] == [
        (waits, 0, True, True),
        (failed, 9, False, False),
    ]


def test_what_waits_is_counted_and_the_newest_delivery_told(rider: Rider, deliver: Deliver) -> None:
    webhook_id = make_webhook(rider)["webhook"]["id"]
    deliver(webhook_id, "waiting")
    deliver(webhook_id, "waiting")
    newest = deliver(
        webhook_id,
        "failed",
        problem="it answered 500",
        response_status=500,
        tried_at="2026-01-02T03:04:05Z",
    )
    webhook = get_webhook(rider, webhook_id)
    assert webhook["waiting"] == 2
    last = webhook["lastDelivery"]
    assert (last["id"], last["status"], last["responseStatus"]) == (newest, "failed", 500)
    assert (last["problem"], last["triedAt"]) == ("it answered 500", "2026-01-02T03:04:05Z")


def secrets_of(database: Database, webhook_id: str) -> tuple[Any, ...]:
    with database.connection() as connection:
        row = connection.execute(
            "SELECT secret, old_secret,"
            " extract(epoch FROM old_secret_until - now())::float8 AS ends"
            " FROM webhooks WHERE id = %s",
            [webhook_id],
        ).fetchone()
    assert row
    return tuple(row.values())


def test_the_old_secret_signs_beside_the_new_one_for_the_overlap(
    rider: Rider, database: Database
) -> None:
    made = make_webhook(rider)
    place = f"/api/webhooks/{made['webhook']['id']}"
    rotated = rider.client.post(f"{place}/rotate", json={"overlap": 600})
    assert rotated.status_code == 201
    assert rotated.headers["cache-control"] == "private, no-store"
    new, old, ends = secrets_of(database, made["webhook"]["id"])
    assert (new, old) == (rotated.json()["secret"], made["secret"])
    assert 500 < ends <= 600
    assert rotated.json()["webhook"]["oldSecretUntil"] is not None
    assert made["secret"] not in rotated.text


def test_a_secret_may_be_replaced_at_once(rider: Rider, database: Database) -> None:
    made = make_webhook(rider)
    place = f"/api/webhooks/{made['webhook']['id']}"
    rotated = rider.client.post(f"{place}/rotate", json={"overlap": 0}).json()
    assert secrets_of(database, made["webhook"]["id"]) == (rotated["secret"], None, None)
    assert rotated["webhook"]["oldSecretUntil"] is None
    problem_of(rider.client.post(f"{place}/rotate", json={"overlap": -1}), 422)
    problem_of(rider.client.post(f"{place}/rotate", json={"overlap": 31 * 86_400}), 422)


def test_a_secret_that_does_not_sign_any_more_is_not_given_out_again(rider: Rider) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    wanted = {"url": URL, "events": ["record.set"]}
    made = rider.client.post("/api/webhooks", json=wanted, headers=headers)
    assert rider.client.post("/api/webhooks", json=wanted, headers=headers).json() == made.json()
    place = f"/api/webhooks/{made.json()['webhook']['id']}"
    rider.client.post(f"{place}/rotate", json={"overlap": 0})
    again = rider.client.post("/api/webhooks", json=wanted, headers=headers)
    assert problem_of(again, 409)["type"] == "/problems/revoked-since"
    assert len(listed(rider)) == 1


def test_a_deleted_webhook_is_gone_with_its_deliveries(
    rider: Rider, deliver: Deliver, database: Database
) -> None:
    webhook_id = make_webhook(rider)["webhook"]["id"]
    deliver(webhook_id)
    assert rider.client.delete(f"/api/webhooks/{webhook_id}").json() == {"success": True}
    problem_of(rider.client.get(f"/api/webhooks/{webhook_id}"), 404)
    problem_of(rider.client.delete(f"/api/webhooks/{webhook_id}"), 404)
    with database.connection() as connection:
        left = connection.execute(
            "SELECT FROM webhook_deliveries WHERE webhook_id = %s", [webhook_id]
        ).fetchall()
    assert (listed(rider), left) == ([], [])


def test_webhooks_are_bounded(rider: Rider, database: Database) -> None:
    with database.connection() as connection:
        connection.execute(
            "INSERT INTO webhooks (user_id, url, events, secret)"
            " SELECT %s, %s, '{record.set}', 'whsec_' FROM generate_series(1, %s)",
            [rider.account.user_id, URL, MOST_WEBHOOKS - 1],
        )
    last = make_webhook(rider)["webhook"]["id"]
    refused = rider.client.post("/api/webhooks", json={"url": URL, "events": ["record.set"]})
    problem = problem_of(refused, 409)
    assert (problem["type"], "delete one" in problem["detail"]) == ("/problems/limit-reached", True)
    rider.client.delete(f"/api/webhooks/{last}")
    make_webhook(rider)


def test_another_s_webhook_is_as_absent_as_none(
    rider: Rider, make_rider: Callable[[], Rider], deliver: Deliver
) -> None:
    theirs = make_rider()
    made = make_webhook(theirs)
    webhook_id = made["webhook"]["id"]
    delivery, before = deliver(webhook_id, "failed"), get_webhook(theirs, webhook_id)
    for place in (webhook_id, str(uuid4())):
        path = f"/api/webhooks/{place}"
        answers = [
            rider.client.get(path),
            rider.client.patch(path, json={"enabled": False}),
            rider.client.delete(path),
            rider.client.post(f"{path}/rotate", json={}),
            rider.client.get(f"{path}/deliveries"),
        ]
        assert {problem_of(each, 404)["detail"] for each in answers} == {"no such webhook"}
        again = rider.client.post(f"{path}/deliveries/{delivery}/redeliver")
        assert problem_of(again, 404)["detail"] == "no such delivery"
    own = make_webhook(rider)["webhook"]["id"]
    problem_of(rider.client.post(f"/api/webhooks/{own}/deliveries/{delivery}/redeliver"), 404)
    assert get_webhook(theirs, webhook_id) == {**before, "lastDelivery": before["lastDelivery"]}
    assert [each["id"] for each in listed(rider)] == [own]


def test_a_key_that_reads_does_not_see_webhooks(
    rider: Rider, service: str, make_api_key: MakeKey
) -> None:
    webhook_id = make_webhook(rider)["webhook"]["id"]
    headers = {"X-API-Key": make_api_key(rider.account.user_id, ["read", "upload"])}
    for path in ("", f"/{webhook_id}", f"/{webhook_id}/deliveries"):
        problem_of(rider.client.get(f"/api/webhooks{path}", headers=headers), 403)
