"""The start page of who has signed in: how am I doing."""

import re

import pytest
from playwright.sync_api import expect

from tests.pages.conftest import OpenPage
from tests.pages.seasons import Season
from tests.pages.watched import Watched

pytestmark = pytest.mark.xdist_group("browser")  # they share one


def test_the_start_page_has_form_week_and_last_rides(open_page: OpenPage, season: Season) -> None:
    window = open_page(key=season.session.key)
    window.go("/")
    page = window.page
    for name in ("Fitness", "Fatigue", "Form"):
        expect(page.locator(".figure-name", has_text=name).first).to_be_visible()
    expect(page.get_by_role("slider", name="From")).to_be_visible()
    expect(page.locator(".measure").first).to_contain_text(re.compile(r"Time\s*(0:39|1:18)h"))
    expect(page.locator("tr[data-ride]")).to_have_count(5)
    window.picture("home")
    page.get_by_role("slider", name="From").hover()
    expect(page.locator(".day-shown")).to_contain_text("Fitness")


def test_a_rider_without_ftp_is_asked_for_it(signed_in: Watched) -> None:
    signed_in.page.get_by_role("link", name="Give it").click()
    signed_in.page.wait_for_url("**/account#thresholds")
