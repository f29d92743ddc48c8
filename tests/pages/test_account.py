"""The account: thresholds, keys, everything taken along, everything deleted."""

import re

import pytest
from playwright.sync_api import expect

from tests.api.sessions import PASSWORD, log_in, register, status_with
from tests.pages.conftest import OpenPage
from tests.pages.watched import Watched

pytestmark = pytest.mark.xdist_group("browser")  # they share one


@pytest.fixture
def window(open_page: OpenPage, service: str) -> Watched:
    """A new account's, who has just signed in."""
    window = open_page(key=log_in(service, register(service)).key)
    window.go("/account")
    return window


def test_thresholds_are_given_and_taken_back(window: Watched) -> None:
    page = window.page
    page.get_by_label("From").fill("2026-03-01")
    page.get_by_role("spinbutton", name="FTP").fill("250")
    page.get_by_role("spinbutton", name="Weight").fill("70")
    page.get_by_role("button", name="Save").first.click()
    row = page.get_by_role("group", name="Thresholds").locator("tbody tr")
    expect(row).to_contain_text(re.compile(r"1 Mar 2026\s*250W\s*3\.57W/kg\s*70\.0kg"))
    page.get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)


def test_a_weight_in_pounds_is_stored_as_what_it_is(window: Watched) -> None:
    page = window.page
    page.get_by_role("button", name="Miles").click()
    page.wait_for_url("**/account")
    page.get_by_role("spinbutton", name="Weight").fill("154")
    page.get_by_role("button", name="Save").first.click()
    row = page.get_by_role("group", name="Thresholds").locator("tbody tr")
    expect(row).to_contain_text("154.0lb")


def test_a_key_is_made_shown_once_and_revoked(window: Watched, service: str) -> None:
    page = window.page
    page.get_by_label("For", exact=True).fill("Head unit")
    page.get_by_label("read everything").check()
    page.get_by_role("button", name="Make the key").click()
    expect(page.locator(".secret")).to_have_text(re.compile(r"^bpt_\w+"))
    key = page.locator(".secret").inner_text()
    assert status_with(service, key) == 200
    row = page.get_by_role("group", name="Keys").locator("tbody tr")
    expect(row).to_contain_text(re.compile(r"Head unit\s*bpt_\w{6}…\s*send rides, read everything"))
    window.picture("account")
    page.get_by_role("button", name="Revoke Head unit").click()
    expect(row).to_have_count(0)
    assert status_with(service, key) == 401


def test_a_key_that_may_do_nothing_is_not_made(window: Watched) -> None:
    window.page.get_by_label("For", exact=True).fill("Nothing")
    window.page.get_by_label("send rides").uncheck()
    window.page.get_by_role("button", name="Make the key").click()
    expect(window.page.get_by_role("alert")).to_have_text("Say what the key may do.")


def test_name_and_time_zone_are_changed(window: Watched) -> None:
    page = window.page
    page.get_by_label("Name", exact=True).fill("Mara Keller")
    page.get_by_label("Time zone").fill("Europe/Zurich")
    page.locator("#profile").get_by_role("button", name="Save").click()
    expect(page.locator("h1")).to_have_text("Mara Keller")
    expect(page.locator("html")).to_have_attribute("data-zone", "Europe/Zurich")


def test_everything_is_exported_and_then_deleted(window: Watched) -> None:
    page = window.page
    with page.expect_download() as download:
        page.get_by_role("link", name="Export everything").click()
    assert download.value.suggested_filename.endswith(".zip")
    email = page.locator("[data-expected]").get_attribute("data-expected")
    assert email
    page.get_by_role("button", name="Delete the account").click()
    page.get_by_label("Your email, to be sure").fill("somebody@else.example")
    page.get_by_role("button", name="Delete everything").click()
    expect(page.get_by_role("alert")).to_contain_text("nothing was deleted")
    page.get_by_role("button", name="Delete the account").click()
    page.get_by_label("Your email, to be sure").fill(email)
    page.get_by_role("button", name="Delete everything").click()
    page.wait_for_url("**/")
    expect(page.locator("h1")).to_have_text("Your rides, with figures you can check.")


def test_who_signed_in_long_ago_signs_in_again_and_comes_back(
    open_page: OpenPage, service: str
) -> None:
    email = register(service)
    scopes = ["upload", "read", "admin"]
    key = log_in(service, email).call("POST", "/api/keys", name="Own", scopes=scopes)
    window = open_page(key=key.json()["secret"])  # not a session of the last ten minutes
    window.expected = ["403 (Forbidden)"]
    window.go("/account")
    page = window.page
    page.get_by_text("Change the password").click()
    page.get_by_label("New password").fill("a new and better one")
    page.get_by_role("button", name="Change it").click()
    page.get_by_role("link", name="Sign in again").click()
    expect(page.locator("h1")).to_have_text("Sign in again")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/account#profile")


def test_a_key_that_only_reads_sees_no_forms(open_page: OpenPage, window: Watched) -> None:
    page = window.page
    page.get_by_label("For", exact=True).fill("Family")
    page.get_by_label("send rides").uncheck()
    page.get_by_label("read everything").check()
    page.get_by_role("button", name="Make the key").click()
    expect(page.locator(".secret")).to_have_text(re.compile(r"^bpt_\w+"))
    other = open_page(key=page.locator(".secret").inner_text())
    other.go("/account")
    expect(other.page.locator(".note")).to_contain_text("may read, and change nothing")
    expect(other.page.locator("form[data-does]")).to_have_count(0)
