"""On a telephone every button of what a rider has let in or registered is in sight."""

import pytest
from playwright.sync_api import expect

from tests.api.apps.flows import Browser, let_in, registered
from tests.api.sessions import log_in, register
from tests.pages.conftest import OpenPage
from tests.pages.seasons import Season, season_of
from tests.pages.watched import Watched

pytestmark = pytest.mark.xdist_group("browser")  # they share one


@pytest.fixture(scope="module")
def rider(service: str) -> Season:
    """Who has everything that the account has a button for: a coach, a link, a key, apps."""
    season = season_of(service, [0])
    session = season.session
    coach = log_in(service, register(service, displayName="Grace Augusta Hopper-Montgomery"))
    session.call("POST", "/api/shares", email=coach.email)
    coach.call("POST", f"/api/athletes/{session.user['id']}/accept")
    session.call("POST", f"/api/workouts/{season.rides[0]}/share")
    session.call("POST", "/api/keys", name="Head unit", scopes=["upload", "read", "admin"])
    figures = {"criticalPower": 240, "wPrime": 20_000, "maxHeartrate": 190, "source": "20 min test"}
    session.call("PUT", "/api/users/me/thresholds", effectiveFrom="2026-01-01", **figures)
    app = registered(session, redirectUris=["https://poster.example/signed-in"])
    with Browser(service, session) as browser:
        let_in(browser, app, "read upload")
    return season


@pytest.fixture
def window(open_page: OpenPage, rider: Season) -> Watched:
    return open_page(key=rider.session.key)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (
            "/account",
            ("End what Grace", "Revoke the link", "Revoke Head unit", "Remove what holds"),
        ),
        ("/account/apps", ("End Ride Poster", "Delete Ride Poster")),
    ],
)
def test_the_account_has_its_buttons_in_sight(
    window: Watched, path: str, names: tuple[str, ...]
) -> None:
    window.go(path)
    window.page.locator("main details").evaluate_all("all => all.forEach(each => each.open = true)")
    for name in names:
        expect(window.page.get_by_role("button", name=name).first).to_be_visible()
    window.require_buttons_in_sight()
    window.picture(f"narrow{path.replace('/', '-')}")


def test_a_coach_has_form_and_the_way_out_in_sight(
    open_page: OpenPage, rider: Season, service: str, unthrottled: None
) -> None:
    coach = log_in(service, register(service))
    rider.session.call("POST", "/api/shares", email=coach.email)
    window = open_page(key=coach.key, width=390)
    window.go("/athletes")
    expect(window.page.get_by_role("button", name="Accept")).to_be_visible()
    window.require_buttons_in_sight()
    coach.call("POST", f"/api/athletes/{rider.session.user['id']}/accept")
    window.go("/athletes")
    expect(window.page.get_by_role("link", name="form of Mara Keller")).to_be_in_viewport()
    expect(window.page.get_by_role("button", name="Leave Mara Keller")).to_be_in_viewport()
    window.require_buttons_in_sight()
    window.picture("narrow-athletes")
