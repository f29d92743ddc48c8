"""Tiles below a track: of the one host that the operator has chosen, and of none by default."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.api.sessions import log_in, register
from tests.conftest import serving
from tests.pages.rides import T0
from tests.pages.watched import Watched

pytestmark = pytest.mark.xdist_group("browser")  # they share one
ONE_PIXEL = """<svg xmlns="http://www.w3.org/2000/svg" width="256" height="256"/>"""


def test_tiles_of_the_chosen_host_lie_below_the_track(
    browser: Browser, service: str, urls: Mapping[str, str], unthrottled: None, tmp_path: Path
) -> None:
    tiles = "https://tiles.example/{z}/{x}/{y}.png"

    def answer(route: Route) -> None:
        route.fulfill(body=ONE_PIXEL, content_type="image/svg+xml")

    with serving(tmp_path / "api.log", **urls, MAP_TILES_URL=tiles) as api:
        session = log_in(api, register(api))
        made = session.call("POST", "/api/workouts", sport="cycling").json()["workout"]["id"]
        samples = [{"timestamp": T0, "lat": 47.0, "lng": 8.0}]
        samples += [{"timestamp": T0 + 60_000, "lat": 47.01, "lng": 8.01}]
        session.call("POST", f"/api/workouts/{made}/telemetry", samples=samples)
        context = browser.new_context(base_url=api, viewport={"width": 1440, "height": 900})
        context.add_cookies([{"name": "session", "value": session.key, "url": api}])
        context.route("https://tiles.example/**", answer)
        window = Watched(context, tmp_path)
        window.expected = ["tiles.example"]
        with window.page.expect_request("https://tiles.example/15/17112/*.png"):
            window.go(f"/rides/{made}")
        expect(window.page.locator(".map")).to_contain_text("© OpenStreetMap contributors")
        # The middle at zoom 15: (8.005 + 180) / 360 · 2^15 = 17112.6, and 11524.7 from the north.
        expect(window.page.locator(".tiles image[href$='/15/17112/11524.png']")).to_be_attached()
        assert window.errors == []
        policy = session.call("GET", f"/rides/{made}").headers["content-security-policy"]
        assert " img-src 'self' https://tiles.example; " in policy
        context.close()
