"""Rides are found: searched, narrowed, by week."""

import re

import pytest
from playwright.sync_api import expect

from tests.pages.conftest import OpenPage
from tests.pages.seasons import Season
from tests.pages.watched import Watched

pytestmark = pytest.mark.xdist_group("browser")  # they share one


@pytest.fixture
def window(open_page: OpenPage, season: Season) -> Watched:
    """In which the rider of the season has signed in."""
    return open_page(key=season.session.key)


def test_rides_are_listed_with_their_figures(window: Watched) -> None:
    window.go("/rides")
    first = window.page.locator("tr[data-ride]").first
    # 72 + 43.2 + 90 + 288 kJ, and 46.8 for its 20 W more; 2,339 s at 9 m/s.
    for text in ("today", "Hills 0 days ago", "39:00", "21.1km", "540kJ"):
        expect(first).to_contain_text(text)
    expect(window.page.locator(".spark svg")).to_have_count(5)
    window.picture("rides")


def test_rides_are_searched_with_the_keyboard_alone(window: Watched) -> None:
    window.go("/")
    window.page.keyboard.press("?")
    expect(window.page.get_by_role("dialog", name="Keys")).to_contain_text("Search rides")
    window.page.keyboard.press("Escape")
    window.page.keyboard.press("/")
    window.page.wait_for_url("**/rides#search")
    window.page.keyboard.type("50 days")
    window.page.keyboard.press("Enter")
    rows = window.page.locator("tr[data-ride]")
    expect(rows).to_have_count(1)
    window.page.keyboard.press("Tab")
    window.page.locator("h1").click()
    window.page.keyboard.press("j")
    window.page.keyboard.press("Enter")
    expect(window.page.locator("h1")).to_have_text("Hills 50 days ago")
    window.page.wait_for_selector(".overlay")


def test_a_filter_is_set_and_lifted_by_a_click(window: Watched) -> None:
    window.go("/rides?q=hills")
    window.page.get_by_role("link", name="Over 2 h").click()
    expect(window.page.locator(".empty")).to_contain_text("No ride is like that.")
    window.page.get_by_role("link", name="Over 2 h").click()
    expect(window.page.locator("tr[data-ride]")).to_have_count(5)


def test_rides_are_sorted_by_a_click_on_a_head(window: Watched) -> None:
    window.go("/rides")
    window.page.locator(".sort", has_text="NP").click()
    expect(window.page.locator("th[aria-sort]")).to_have_text("NP")
    names = window.page.locator(".ride-name a")
    expect(names.first).to_have_text("Hills 0 days ago")  # each has 5 W more than the one before
    window.page.locator(".sort", has_text="NP").click()
    expect(names.first).to_have_text("Hills 400 days ago")


def test_a_calendar_has_a_week_in_a_row_with_its_totals(window: Watched, season: Season) -> None:
    window.go("/rides?view=weeks")
    expect(window.page.locator(".today .day-ride")).to_have_attribute(
        "href", f"/rides/{season.rides[0]}"
    )
    expect(window.page.locator(".week").first.locator(".week-totals")).to_contain_text(
        re.compile(r"(0:39|1:18)h\s*(21|42)km\s*\d+TSS")
    )
    window.picture("weeks")
    expect(window.page.get_by_label("The weeks up to")).to_have_value(re.compile(r"^20\d\d-"))
    window.page.get_by_role("link", name="Earlier weeks").click()
    expect(window.page.locator(".day-ride")).to_contain_text(["Hills 50 days ago"])
    window.page.get_by_role("link", name="Later weeks").click()
    expect(window.page.locator(".today")).to_be_visible()


def test_more_rides_follow_by_a_place_in_the_list(window: Watched) -> None:
    window.go("/rides?limit=2")
    window.page.get_by_role("link", name="More rides").click()
    expect(window.page.locator(".ride-name a").first).to_have_text("Hills 9 days ago")


def test_numbers_are_in_the_browser_s_language_and_the_words_of_dates_in_the_page_s(
    open_page: OpenPage, season: Season
) -> None:
    window = open_page(key=season.session.key, language="de-DE")
    window.go("/rides?limit=1")
    row = window.page.locator("tr[data-ride]")
    for text in ("today", "21,1km", "1,05"):
        expect(row).to_contain_text(text)


def test_charts_that_fail_to_load_are_loaded_on_request(window: Watched, season: Season) -> None:
    window.expected = ["ERR_FAILED"]
    window.page.route("**/chart?*", lambda route: route.abort())
    window.go(f"/rides/{season.rides[0]}")
    expect(window.page.get_by_role("alert")).to_contain_text("The charts could not be loaded.")
    window.page.unroute("**/chart?*")
    window.page.get_by_role("button", name="Try again").click()
    window.page.wait_for_selector(".overlay")


def test_who_has_no_rides_reads_what_to_do(signed_in: Watched) -> None:
    signed_in.go("/rides")
    expect(signed_in.page.locator(".empty")).to_contain_text("No rides yet.")
