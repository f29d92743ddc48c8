"""The season: am I better than before."""

import re

import pytest
from playwright.sync_api import expect

from tests.pages.conftest import OpenPage
from tests.pages.seasons import Season
from tests.pages.watched import Watched

pytestmark = pytest.mark.xdist_group("browser")  # they share one


@pytest.fixture
def window(open_page: OpenPage, season: Season) -> Watched:
    """In which the rider of the season looks at it."""
    window = open_page(key=season.session.key)
    window.go("/season")
    return window


def test_a_season_is_compared_with_the_one_before(window: Watched) -> None:
    page = window.page
    row = page.get_by_role("group", name="Best efforts").get_by_role("row", name="5 min")
    # 300 W 400 days ago, and 20 W more today, over 70 kg.
    expect(row).to_contain_text(re.compile(r"320W\s*4\.57W/kg\s*today\s*300W"))
    expect(row).to_contain_text(re.compile(r"\+6\.7\s%"))
    window.picture("season")
    page.get_by_role("slider", name="Best mean power").focus()
    page.keyboard.press("Home")
    expect(page.locator(".curve .day-shown")).to_have_text("1\u2009s: 380 W, against 360 W")


def choose_dates(window: Watched, which: str, first: str, last: str) -> None:
    chips = window.page.get_by_role("list", name=which)
    chips.get_by_text("Other dates").click()
    chips.get_by_label("From").fill(first)
    chips.get_by_label("To").fill(last)
    chips.get_by_role("button", name="Show").click()


def test_any_dates_are_compared_with_any_others(window: Watched) -> None:
    page = window.page
    choose_dates(window, "Dates", "2001-01-01", "2001-12-31")
    page.wait_for_url("**last=2001-12-31**")
    choose_dates(window, "Against", "2002-01-01", "2002-12-31")
    page.wait_for_url("**otherLast=2002-12-31**")
    expect(page.locator(".chip[aria-current]")).to_have_text(["Other dates", "Other dates"])
    expect(page.locator("main")).to_contain_text("No ride of these dates has power.")


def test_critical_power_names_the_efforts_it_rests_on(window: Watched, season: Season) -> None:
    panel = window.page.locator("section", has=window.page.locator("#cp-title"))
    expect(panel.locator(".figure").first).to_contain_text(re.compile(r"Critical power\s*2\d\dW"))
    expect(panel.get_by_role("row", name="20:00").get_by_role("link")).to_have_attribute(
        "href", f"/rides/{season.rides[0]}"
    )


def test_totals_are_by_week_month_or_year(window: Watched) -> None:
    page = window.page
    page.get_by_role("navigation", name="Totals by").get_by_role("link", name="Year").click()
    rows = page.locator(".totals tbody tr")
    expect(rows.first).to_contain_text(re.compile(r"^\s*20\d\d\s"))
    expect(page.locator(".totals thead")).to_contain_text("Year")


def test_a_season_without_rides_says_what_to_do(signed_in: Watched) -> None:
    signed_in.go("/season")
    expect(signed_in.page.locator("main")).to_contain_text("A season begins with a ride")
    signed_in.require_accessible()
