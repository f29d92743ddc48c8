"""Windows of the one real Chromium, and what no page must do in them."""

from collections.abc import Callable, Iterator
from secrets import token_hex

import pytest
from playwright.sync_api import Browser

from tests.api.sessions import PASSWORD, log_in, register
from tests.conftest import ROOT
from tests.pages.riding import Riding
from tests.pages.seasons import Season, season_of
from tests.pages.watched import Watched

SCREENSHOTS = ROOT / ".data" / "screenshots"
OpenPage = Callable[..., Watched]


@pytest.fixture
def open_page(browser: Browser, service: str, unthrottled: None) -> Iterator[OpenPage]:
    """Opens windows that share nothing; when the test ends, none may have met an error.

    ``key``: of whoever has signed in; ``touch``: whether it is touched and not pointed at.
    """
    opened = []

    def open_(
        *, width: int = 1440, key: str | None = None, touch: bool = False, language: str = "en-IE"
    ) -> Watched:
        context = browser.new_context(
            base_url=service,
            viewport={"width": width, "height": 844 if width < 640 else 900},
            color_scheme="light",
            locale=language,
            has_touch=touch,
            timezone_id="Europe/Zurich",
            reduced_motion="reduce",
        )
        context.set_default_timeout(60_000)
        if key:
            context.add_cookies([{"name": "session", "value": key, "url": service}])
        opened.append(Watched(context, SCREENSHOTS))
        return opened[-1]

    yield open_
    for each in opened:
        each.context.close()
    assert [error for each in opened for error in each.errors] == []


@pytest.fixture(scope="module")
def season(service: str) -> Season:
    """Of a rider who rode today, yesterday, and 9, 50 and 400 days ago. Tests only look at it."""
    return season_of(service, [0, 1, 9, 50, 400])


@pytest.fixture
def signed_in(open_page: OpenPage, service: str) -> Watched:
    """A window in which a user that nobody else is has signed in by the form."""
    window = open_page()
    email = register(service, email=f"{token_hex(6)}@example.com")
    window.go("/sign-in")
    window.page.get_by_label("Email").fill(email)
    window.page.get_by_label("Password").fill(PASSWORD)
    window.page.get_by_role("button", name="Sign in", exact=True).click()
    window.page.wait_for_url("**/")
    return window


@pytest.fixture
def riding(service: str, unthrottled: None) -> Riding:
    """Of a rider whom nobody else is."""
    return Riding(log_in(service, register(service, displayName="Mara Keller")))
