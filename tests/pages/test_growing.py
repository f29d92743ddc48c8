"""A trace to which samples are added while a ride goes on, by the script that browsers run."""

from typing import Any

import pytest
from playwright.sync_api import Page

from api.pages.static import address_of
from tests.pages.conftest import OpenPage

pytestmark = pytest.mark.xdist_group("browser")  # they share one
T0 = 1_700_000_000_000
GROW = """async ([address, chart, most, batches]) => {
    const { GrowingTrace } = await import(address);
    const trace = new GrowingTrace(chart, most);
    for (const batch of batches) trace.add(batch);
    const { start, step, count, end, channels, metres } = trace;
    return { start, step, count, end, channels, metres };
}"""
EMPTY = {"start": 0, "step": 1000, "count": 0, "channels": {}}


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    window = open_page()
    window.go("/sign-in")
    return window.page


def grow(page: Page, chart: dict[str, Any], most: int, *batches: dict[str, Any]) -> Any:
    return page.evaluate(GROW, [address_of("growing.js"), chart, most, list(batches)])


def seconds(*at: int) -> list[int]:
    return [T0 + 1000 * each for each in at]


def test_samples_continue_what_was_drawn(page: Page) -> None:
    chart = {"start": T0, "step": 1000, "count": 2, "channels": {"power": {"values": [100, 200]}}}
    grown = grow(page, chart, 100, {"timestamp": seconds(2, 4), "power": [300, 400]})
    assert grown["channels"]["power"]["values"] == [100, 200, 300, None, 400]
    assert (grown["count"], grown["end"]) == (5, T0 + 5000)


def test_a_ride_begins_with_its_first_samples(page: Page) -> None:
    grown = grow(page, EMPTY, 100, {"timestamp": [T0 + 250, T0 + 1250], "power": [100, 200]})
    assert (grown["start"], grown["channels"]["power"]["values"]) == (T0, [100, 200])


def test_stretches_join_in_pairs_and_keep_means_and_extremes(page: Page) -> None:
    """The mean of 100, 200 and 600 is 300, also where they come in twos."""
    batch = {
        "timestamp": seconds(0, 1, 2, 4, 5),
        "power": [100, 200, 600, 50, 70],
        "distance": [0, 10, 20, 40, 50],
    }
    grown = grow(page, EMPTY, 2, batch)
    assert (grown["step"], grown["count"]) == (4000, 2)
    power = grown["channels"]["power"]
    assert power["values"] == pytest.approx([300, 60])
    assert (power["low"], power["high"]) == ([100, 50], [600, 70])
    assert grown["channels"]["distance"]["values"] == [0, 40]


def test_what_comes_again_changes_no_mean(page: Page) -> None:
    batch = {"timestamp": seconds(0, 1, 2, 3), "power": [100, 200, 300, 400]}
    grown = grow(page, EMPTY, 2, batch, batch)
    assert grown["channels"]["power"]["values"] == [150, 350]


def test_positions_and_further_channels_come_later(page: Page) -> None:
    grown = grow(
        page,
        EMPTY,
        100,
        {"timestamp": seconds(0, 1, 2), "power": [100, 100, 100]},
        {"timestamp": seconds(1), "lat": [47.0], "lng": [8.5], "power": [None]},
    )
    assert grown["channels"]["power"]["values"] == [100, 100, 100]
    assert grown["channels"]["lat"]["values"] == [None, 47.0, None]


def test_what_was_before_is_put_before_and_a_stray_nowhere(page: Page) -> None:
    grown = grow(
        page,
        EMPTY,
        100,
        {"timestamp": seconds(10, 11), "power": [100, 100]},
        {"timestamp": seconds(7), "power": [50]},
        {"timestamp": seconds(-40 * 86_400, 40 * 86_400), "power": [1, 1]},
    )
    assert grown["start"] == T0 + 7000
    assert grown["channels"]["power"]["values"] == [50, None, None, 100, 100]
