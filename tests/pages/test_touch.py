"""A ride on a phone: fingers read the charts, select in them, and still scroll the page."""

import pytest
from playwright.sync_api import CDPSession, expect

from tests.pages.conftest import OpenPage
from tests.pages.seasons import Season

pytestmark = pytest.mark.xdist_group("browser")  # they share one


def touch(session: CDPSession, kind: str, *places: tuple[float, float]) -> None:
    """A finger that touches, moves or (at no place) lifts."""
    points = [{"x": x, "y": y} for x, y in places]
    session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_a_finger_reads_selects_once_it_was_held_and_still_scrolls(
    open_page: OpenPage, season: Season
) -> None:
    window = open_page(width=390, key=season.session.key, touch=True)
    window.go(f"/rides/{season.rides[0]}")
    page, power = window.page, window.page.locator(".plot-power .plot-value")
    page.locator(".overlay").scroll_into_view_if_needed()
    box = page.locator(".overlay").bounding_box()
    assert box
    session, y = window.context.new_cdp_session(page), box["y"] + 60
    at = [box["x"] + box["width"] * second / 2340 for second in (240, 360, 480, 600, 720)]
    touch(session, "touchStart", (at[0], y))
    expect(power).to_have_text("120W")  # rest, on the day of 20 W more
    for x in at[1:4]:
        touch(session, "touchMove", (x, y))
    touch(session, "touchEnd")
    expect(power).to_have_text("320W")  # the 5 min effort; it stays to be read
    expect(page.locator(".range-figures")).to_have_count(0)

    touch(session, "touchStart", (at[2], y))
    expect(page.locator(".drag-band")).to_be_visible()
    touch(session, "touchMove", (at[3], y))
    touch(session, "touchMove", (at[4], y))
    touch(session, "touchEnd")
    expect(page.locator(".range-figures")).to_contain_text("4:0")

    box = page.locator(".overlay").bounding_box()  # lower, below the figures of the part
    assert box
    y, before = min(box["y"] + box["height"] / 2, 700), page.evaluate("scrollY")
    touch(session, "touchStart", (at[2], y))
    for moved in range(20, 240, 20):
        touch(session, "touchMove", (at[2], y - moved))
    touch(session, "touchEnd")
    assert page.evaluate("scrollY") > before + 150
