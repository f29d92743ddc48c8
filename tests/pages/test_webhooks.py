"""Webhooks on their pages: made, looked into, sent again, disabled, rotated, deleted."""

import re
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from shared.connections import Database
from tests.api.sessions import LoggedIn, log_in, register
from tests.api.webhooks.rows import URL, write_delivery
from tests.pages.conftest import OpenPage
from tests.pages.watched import Watched

pytestmark = pytest.mark.xdist_group("browser")  # they share one


@pytest.fixture
def session(service: str, unthrottled: None) -> LoggedIn:
    return log_in(service, register(service))


@pytest.fixture
def window(open_page: OpenPage, session: LoggedIn) -> Watched:
    return open_page(key=session.key)


@pytest.fixture
def webhook(session: LoggedIn) -> str:
    made = session.call("POST", "/api/webhooks", url=URL, events=["workout.completed"])
    return str(made.json()["webhook"]["id"])


def webhook_of(session: LoggedIn, webhook_id: str) -> dict[str, Any]:
    webhook: dict[str, Any] = session.call("GET", f"/api/webhooks/{webhook_id}").json()["webhook"]
    return webhook


def test_a_webhook_is_made_and_its_secret_shown_once(window: Watched, session: LoggedIn) -> None:
    window.go("/account")
    sections = window.page.get_by_role("navigation", name="Account")
    sections.get_by_role("link", name="Webhooks").click()
    page = window.page
    expect(page.locator(".empty-line")).to_contain_text("None yet")
    page.get_by_label("Address of the receiver").fill(URL)
    page.get_by_label("A record is set").check()
    page.get_by_role("button", name="Make the webhook").click()
    expect(page.locator(".secret")).to_have_text(re.compile("^whsec_"))
    secret = page.locator(".secret").inner_text()
    expect(page.locator(".hook")).to_contain_text("receiver.example")
    expect(page.locator(".hook")).to_contain_text("a ride is deleted, a record is set")
    window.picture("webhooks")
    window.go("/webhooks")
    assert secret not in page.content()
    [made] = session.call("GET", "/api/webhooks").json()["webhooks"]
    assert (made["url"], "record.set" in made["events"]) == (URL, True)


def test_what_is_refused_is_said(window: Watched) -> None:
    window.expected = ["422 (Unprocessable"]
    window.go("/webhooks")
    window.page.get_by_label("Address of the receiver").fill("https://me:secret@receiver.example")
    window.page.get_by_role("button", name="Make the webhook").click()
    expect(window.page.get_by_role("alert")).to_contain_text("must have no user name or password")


def test_a_webhook_without_events_is_not_made(window: Watched) -> None:
    window.go("/webhooks")
    page = window.page
    page.get_by_label("Address of the receiver").fill(URL)
    for box in page.get_by_role("checkbox").all():
        box.uncheck()
    page.get_by_role("button", name="Make the webhook").click()
    expect(page.get_by_role("alert")).to_have_text("Say what it is to be told of.")


def test_deliveries_are_looked_into_and_made_again(
    window: Watched, session: LoggedIn, webhook: str, database: Database
) -> None:
    tried: dict[str, Any] = {
        "attempts": 1,
        "tried_at": "2026-05-17T16:30:00Z",
        "response_status": 204,
    }
    write_delivery(database, webhook, **tried)
    refused = {**tried, "attempts": 12, "response_status": 500, "problem": "answered 500"}
    failed = write_delivery(database, webhook, "failed", **refused)
    later = {"due_at": "2100-01-01T00:00:00Z"}
    write_delivery(database, webhook, "waiting", **{**refused, **later, "attempts": 3})
    window.go(f"/webhooks/{webhook}")
    page, rows = window.page, window.page.locator(".delivery")
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_contain_text("Waiting")
    expect(rows.nth(1)).to_contain_text(re.compile("Failed.*Answered 500.*12 attempts", re.DOTALL))
    expect(rows.nth(2)).to_contain_text(
        re.compile(r"Delivered.*1 attempt\s*Answered 204", re.DOTALL)
    )
    rows.nth(1).get_by_text("Message").click()
    expect(rows.nth(1).locator("pre")).to_contain_text('"title": "Evening ride"')
    window.picture("webhook")
    page.get_by_role("link", name="Failed").click()
    expect(rows).to_have_count(1)
    page.get_by_role("button", name="Deliver again").click()
    expect(rows).to_have_count(0)  # it is among those that wait, or was tried already
    found = session.call("GET", f"/api/webhooks/{webhook}/deliveries").json()["deliveries"]
    assert next(each for each in found if each["id"] == failed)["attempts"] < 12


def test_what_waits_for_the_one_before_says_so_and_a_deleted_ride_is_not_linked(
    window: Watched, session: LoggedIn, webhook: str, database: Database
) -> None:
    ride = session.call("POST", "/api/workouts", title="Kept").json()["workout"]["id"]
    write_delivery(database, webhook, subject_id=ride)
    write_delivery(database, webhook)  # of a ride that is gone
    waiting = {"attempts": 2, "tried_at": "2026-05-17T16:30:07Z", "subject_id": ride}
    later = {"due_at": "2100-01-01T10:00:09Z"}
    write_delivery(database, webhook, "waiting", **waiting, **later)
    write_delivery(database, webhook, "waiting", subject_id=ride)
    window.go(f"/webhooks/{webhook}")
    rows = window.page.locator(".delivery")
    expect(rows.nth(0)).to_contain_text("Next after the one before")
    expect(rows.nth(1)).to_contain_text(re.compile(r"Last .*30:07.*Next .*00:09", re.DOTALL))
    expect(rows.nth(1)).not_to_contain_text("after the one before")
    expect(rows.nth(2).get_by_role("link")).to_have_count(0)
    expect(rows.nth(3).get_by_role("link")).to_have_attribute("href", f"/rides/{ride}")
    window.picture("webhook-waiting")


def test_a_webhook_is_disabled_enabled_and_changed(
    window: Watched, session: LoggedIn, webhook: str
) -> None:
    window.go(f"/webhooks/{webhook}")
    page = window.page
    page.get_by_role("button", name="Disable").click()
    expect(page.locator(".hook-title .failed")).to_contain_text("It was disabled by hand")
    window.picture("webhook-disabled")
    page.get_by_role("button", name="Enable").click()
    expect(page.get_by_role("button", name="Disable")).to_be_visible()
    page.get_by_text("Address and events").click()
    page.get_by_label("A file cannot be read").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("A file cannot be read")).to_be_hidden()  # on the page as it is now
    assert webhook_of(session, webhook)["events"] == ["upload.failed", "workout.completed"]


def test_a_secret_is_rotated_and_a_webhook_deleted(
    window: Watched, session: LoggedIn, webhook: str
) -> None:
    window.go(f"/webhooks/{webhook}")
    page = window.page
    page.get_by_role("button", name="Rotate the secret").click()
    window.picture("webhook-rotate")
    page.get_by_role("button", name="Rotate it").click()
    expect(page.locator(".secret")).to_have_text(re.compile("^whsec_"))
    expect(page.locator("#hook")).to_contain_text("The old secret signs beside the new one until")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Keep it").last.click()
    assert webhook_of(session, webhook)["enabled"]
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete it").click()
    page.wait_for_url("**/webhooks")
    expect(page.locator(".hook")).to_have_count(0)


def test_another_s_webhook_has_no_page(window: Watched, service: str, unthrottled: None) -> None:
    window.expected = ["404 (Not Found)"]
    other = log_in(service, register(service))
    made = other.call("POST", "/api/webhooks", url=URL, events=["record.set"]).json()
    for webhook_id in (made["webhook"]["id"], str(uuid4())):
        window.go(f"/webhooks/{webhook_id}")
        expect(window.page.locator("h1")).to_have_text("There is nothing here")
