"""A ride that is watched while it goes on: by its rider, and by somebody with a link."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.pages.conftest import OpenPage
from tests.pages.riding import Riding

pytestmark = pytest.mark.xdist_group("browser")  # they share one


def now(page: Page, channel: str) -> Any:
    return page.locator(f".now-{channel} dd")


def test_two_watch_a_ride_to_its_end(open_page: OpenPage, riding: Riding) -> None:
    riding.ride(600, 200)
    own, other = open_page(key=riding.session.key), open_page()
    for window, path in ((own, f"/rides/{riding.id}"), (other, f"/shared/{riding.share()}")):
        window.page.goto(path)
        expect(now(window.page, "power")).to_have_text("200W")
        expect(window.page.locator(".plot-power canvas")).to_be_visible()
    for seconds, power in ((30, 310), (570, 250)):
        riding.ride(seconds, power)
        for window in (own, other):
            expect(now(window.page, "power")).to_have_text(f"{power}W")
            expect(now(window.page, "heartrate")).to_have_text(f"{120 + power // 10}bpm")
    # 600 s at 200 W, 30 at 310 and 570 at 250 are 271.8 kJ.
    for window in (own, other):
        figure = window.page.locator('[data-member="totalEnergy"] .figure-value')
        expect(figure).to_have_text(re.compile("^27[12]kJ$"), timeout=30_000)
        expect(window.page.locator("#now-state")).to_have_text(re.compile(r"^Behind by \d+\ss$"))
        expect(window.page.locator("#now-said")).to_contain_text("Power")
        expect(window.page.locator("#now-bests")).to_contain_text(re.compile(r"5\smin\d+W"))
    axis = own.page.locator(".axis span").first
    expect(axis).to_have_text("0:00")
    own.page.get_by_text("Last 10").click()
    expect(axis).to_have_text("10:00")
    own.page.get_by_text("Whole ride", exact=True).click()
    expect(axis).to_have_text("0:00")
    own.picture("live")
    other.picture("live-shared")
    riding.complete()
    for window in (own, other):
        expect(window.page.locator("#now")).to_have_count(0)
        expect(window.page.locator(".plot-power .plot-value")).to_have_text(re.compile(r"^227W$"))
    expect(own.page.get_by_role("button", name="Edit")).to_be_visible()
    expect(other.page.get_by_role("button", name="Edit")).to_have_count(0)
    other.picture("shared")


def test_a_ride_without_samples_waits_for_them(open_page: OpenPage, riding: Riding) -> None:
    window = open_page(key=riding.session.key)
    window.page.goto(f"/rides/{riding.id}")
    expect(window.page.locator("#charts")).to_contain_text("Nothing has arrived yet.")
    expect(window.page.locator("#now-state")).to_have_text("Waiting for the first samples")
    window.picture("live-empty")
    riding.ride(60, 180)
    expect(now(window.page, "power")).to_have_text("180W")
    expect(window.page.locator(".plot-power canvas")).to_be_visible()


def test_a_stream_that_breaks_off_goes_on_where_it_was(open_page: OpenPage, riding: Riding) -> None:
    riding.ride(60, 180)
    window = open_page(key=riding.session.key)
    asked: list[str] = []

    def break_off_once(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) == 1:
            media = "text/event-stream"
            route.fulfill(body="retry: 50\nid: 0-0..\n\n", content_type=media)
        else:
            route.continue_()

    window.page.route("**/live?*", break_off_once)
    window.page.goto(f"/rides/{riding.id}")
    riding.ride(10, 240)
    expect(now(window.page, "power")).to_have_text("240W")
    expect(window.page.locator("#now-state")).to_have_text(
        re.compile("^Catching up: behind by 1[89]:")
    )
    assert len(asked) == 2


def test_a_ride_under_way_is_found_from_home_and_list(open_page: OpenPage, riding: Riding) -> None:
    riding.ride(60, 180)
    window = open_page(key=riding.session.key)
    for path in ("/rides", "/"):
        window.go(path)
        window.require_accessible()
    window.page.get_by_role("link", name="Under way: see it live").click()
    expect(now(window.page, "power")).to_have_text("180W")


def test_who_watches_a_ride_is_told_that_it_was_deleted(
    open_page: OpenPage, riding: Riding
) -> None:
    riding.ride(60, 180)
    window = open_page(key=riding.session.key)
    window.page.goto(f"/rides/{riding.id}")
    expect(now(window.page, "power")).to_have_text("180W")
    riding.session.call("DELETE", f"/api/workouts/{riding.id}")
    expect(window.page.locator("#now-state")).to_have_text("This ride was deleted.")
