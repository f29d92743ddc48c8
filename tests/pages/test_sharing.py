"""A ride is shown to others, and no longer; places are never shown."""

import re

import pytest
from playwright.sync_api import expect

from tests.pages.conftest import OpenPage
from tests.pages.riding import Riding
from tests.pages.seasons import Season, season_of
from tests.pages.watched import Watched

pytestmark = pytest.mark.xdist_group("browser")  # they share one


@pytest.fixture
def shared(service: str, unthrottled: None) -> Season:
    """A rider with one ride, which is over."""
    return season_of(service, [0])


def make_link(window: Watched, ride: str) -> str:
    """By the ride's page; the path of the link."""
    window.go(f"/rides/{ride}")
    page = window.page
    page.get_by_role("button", name="Share", exact=True).click()
    page.get_by_role("button", name="Make a link").click()
    link = page.get_by_label("The link")
    expect(link).to_have_value(re.compile(r"/shared/[\w-]{43}$"))
    return re.sub(r"^https?://[^/]+", "", link.input_value())


def test_a_link_is_made_opened_and_revoked(open_page: OpenPage, shared: Season) -> None:
    own, other = open_page(key=shared.session.key), open_page()
    path = make_link(own, shared.rides[0])
    expect(own.page.locator(".links li")).to_contain_text("hides 500\u2009m at both ends and your")
    own.picture("share")
    other.go(path)
    expect(other.page.locator("h1")).to_have_text("Hills 0 days ago")
    expect(other.page.locator(".ride-line time")).to_contain_text(re.compile(r"\d \(Zurich\)$"))
    expect(other.page.locator(".plot-power canvas")).to_be_visible()
    expect(other.page.locator(".curve .line-power")).to_have_attribute("d", re.compile("^M.*L"))
    other.page.get_by_role("button", name="5 min").click()
    expect(other.page.locator(".range-figures")).to_contain_text(
        re.compile(r"Selected5:00Average(299|300)W")
    )
    other.picture("shared-curve")
    overlay = other.page.locator(".overlay")
    overlay.focus()
    other.page.keyboard.press("Home")
    other.page.keyboard.press("Enter")
    expect(other.page.locator(".range-figures")).to_contain_text(re.compile(r"Average\d+W"))
    own.page.get_by_role("button", name=re.compile("^Revoke the link")).click()
    expect(own.page.locator(".links-part")).to_be_hidden()
    other.expected = ["404"]
    other.go(path)
    expect(other.page.locator("h1")).to_have_text("This link opens nothing any more")
    other.picture("shared-closed")


def test_all_is_shown_and_for_a_day_where_the_rider_says_so(
    open_page: OpenPage, shared: Season
) -> None:
    window = open_page(key=shared.session.key)
    window.go(f"/rides/{shared.rides[0]}")
    page = window.page
    page.get_by_role("button", name="Share", exact=True).click()
    page.get_by_label("It opens for").select_option("a day")
    page.get_by_label("where the ride begins and ends").uncheck()
    page.get_by_label("your hidden places").uncheck()
    page.get_by_role("button", name="Make a link").click()
    expect(page.locator(".links li")).to_contain_text("hides nothing")
    (share,) = shared.session.call("GET", "/api/shares").json()["shares"]
    assert (share["hideMetres"], share["hidePlaces"]) == (0, False)


def test_links_are_listed_and_revoked_in_the_account(open_page: OpenPage, shared: Season) -> None:
    window = open_page(key=shared.session.key)
    make_link(window, shared.rides[0])
    window.go("/account")
    row = window.page.get_by_role("group", name="Links").locator("tbody tr")
    expect(row).to_contain_text(
        re.compile("Hills 0 days ago.*500m at both ends, your places", re.DOTALL)
    )
    window.picture("account-sharing")
    window.page.get_by_role("button", name="Revoke the link to Hills 0 days ago").click()
    expect(row).to_have_count(0)
    assert shared.session.call("GET", "/api/shares").json()["shares"] == []


def test_a_place_is_hidden_by_where_a_ride_began(open_page: OpenPage, riding: Riding) -> None:
    riding.ride(120, 200)
    window = open_page(key=riding.session.key)
    window.go("/account#sharing")
    page = window.page
    page.get_by_label("Place").fill("Home")
    page.get_by_label("Where this ride began").select_option(index=1)
    page.get_by_role("button", name="Hide it").click()
    row = page.locator(".places li")
    expect(row).to_contain_text("500 m around 47.0000, 8.5000")
    page.get_by_text("Hide a place").click()
    page.get_by_label("Place").fill("Work")
    page.get_by_role("button", name="Hide it").click()
    expect(page.get_by_role("alert")).to_contain_text("Say where")
    page.get_by_label("Or at latitude").fill("47.01")
    page.get_by_label("and longitude").fill("8.5")
    page.get_by_role("button", name="Hide it").click()
    expect(row).to_have_count(2)
    page.get_by_role("button", name="Remove Home").click()
    expect(row).to_have_count(1)
    expect(row).to_contain_text("Work")


def test_who_watches_by_a_link_that_is_revoked_sees_that_it_is(
    open_page: OpenPage, riding: Riding
) -> None:
    riding.ride(60, 180)
    window = open_page()
    window.expected = ["404", "ERR_INCOMPLETE_CHUNKED_ENCODING"]
    window.page.goto(f"/shared/{riding.share()}")
    expect(window.page.locator(".now-power dd")).to_have_text("180W")
    (share,) = riding.session.call("GET", "/api/shares").json()["shares"]
    riding.session.call("DELETE", f"/api/shares/{share['id']}")
    said = "This link opens nothing any more"
    expect(window.page.locator("h1")).to_have_text(said, timeout=30_000)  # it comes again first
