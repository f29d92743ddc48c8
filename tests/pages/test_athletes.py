"""A coach is let in, sees all athletes on one screen, and looks at what is theirs; then no more."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from tests.api.sessions import LoggedIn, log_in, register
from tests.pages.conftest import OpenPage
from tests.pages.riding import Riding
from tests.pages.seasons import Season, season_of
from tests.pages.watched import Watched

pytestmark = pytest.mark.xdist_group("browser")  # they share one


@pytest.fixture
def coach(service: str, unthrottled: None) -> LoggedIn:
    """Somebody whom nobody has let in."""
    return log_in(service, register(service, displayName="Grace"))


@pytest.fixture
def athlete(service: str, unthrottled: None) -> Season:
    """Mara Keller, who rode today and yesterday."""
    return season_of(service, [0, 1])


def let_in(coach: LoggedIn, athlete: Season) -> str:
    """The athlete's id."""
    athlete.session.call("POST", "/api/shares", email=coach.email)
    athlete_id = str(athlete.session.user["id"])
    assert coach.call("POST", f"/api/athletes/{athlete_id}/accept").status_code == 200
    return athlete_id


def test_a_coach_is_let_in_looks_and_is_let_in_no_more(
    open_page: OpenPage, coach: LoggedIn, athlete: Season
) -> None:
    own, other = open_page(key=athlete.session.key), open_page(key=coach.key)
    other.go("/athletes")
    expect(other.page.locator(".empty")).to_contain_text(coach.email)
    own.go("/account#sharing")
    own.page.get_by_label("Email of their account").fill(coach.email)
    own.page.get_by_role("button", name="Offer").click()
    people = own.page.get_by_role("group", name="People")
    expect(people).to_contain_text("not accepted yet")

    other.go("/athletes")
    expect(other.page.locator("main")).to_contain_text("You can change nothing of it")
    other.picture("athletes-offered")
    other.page.get_by_role("button", name="Accept Mara Keller").click()
    row = other.page.get_by_role("row", name=re.compile("Mara Keller"))
    expect(row).to_contain_text("Hills 0 days ago")
    other.picture("athletes")

    own.page.reload(wait_until="networkidle")
    expect(people).to_contain_text("Grace")
    own.picture("account-people")
    own.page.get_by_role("button", name="End what Grace may read").click()
    own.page.get_by_role("button", name="End it").click()
    expect(people).to_be_hidden()
    other.go("/athletes")
    expect(other.page.locator(".empty")).to_contain_text("Nobody has let you in")


def test_the_start_page_tells_of_an_offer(
    open_page: OpenPage, coach: LoggedIn, athlete: Season
) -> None:
    window = open_page(key=coach.key)
    window.go("/")
    expect(window.page.locator(".note")).to_have_count(0)
    athlete.session.call("POST", "/api/shares", email=coach.email)
    window.go("/")
    expect(window.page.locator(".note")).to_contain_text("Mara Keller would let you in")
    window.page.get_by_role("link", name="See the offer").click()
    expect(window.page.get_by_role("button", name="Accept Mara Keller")).to_be_visible()


def test_a_coach_is_asked_before_leaving(
    open_page: OpenPage, coach: LoggedIn, athlete: Season
) -> None:
    let_in(coach, athlete)
    window = open_page(key=coach.key)
    window.go("/athletes")
    page = window.page
    page.get_by_role("button", name="Leave Mara Keller").click()
    page.get_by_role("button", name="Stay").click()
    assert len(coach.call("GET", "/api/athletes").json()["athletes"]) == 1
    page.get_by_role("button", name="Leave Mara Keller").click()
    page.get_by_role("button", name="Leave", exact=True).click()
    expect(page.locator(".empty")).to_be_visible()
    assert coach.call("GET", "/api/athletes").json()["athletes"] == []


def test_an_athlete_without_ftp_is_said_to_have_given_none(
    open_page: OpenPage, coach: LoggedIn, riding: Riding
) -> None:
    athlete = riding.session
    athlete.call("POST", "/api/shares", email=coach.email)
    athlete_id = athlete.user["id"]
    coach.call("POST", f"/api/athletes/{athlete_id}/accept")
    riding.ride(600, 200)
    riding.complete()
    window = open_page(key=coach.key)
    window.go("/athletes")
    row = window.page.get_by_role("row", name=re.compile("Mara Keller"))
    expect(row).to_contain_text("no FTP or power")
    window.go(f"/rides/{riding.id}?athlete={athlete_id}")
    expect(window.page.locator("main")).to_contain_text("Mara Keller has given none.")
    expect(window.page.locator("main a[href^='/account']")).to_have_count(0)


def test_an_offer_is_declined(open_page: OpenPage, coach: LoggedIn, athlete: Season) -> None:
    athlete.session.call("POST", "/api/shares", email=coach.email)
    window = open_page(key=coach.key)
    window.go("/athletes")
    window.page.get_by_role("button", name="Decline Mara Keller").click()
    expect(window.page.locator(".empty")).to_be_visible()
    assert athlete.session.call("GET", "/api/shares").json()["people"] == []


@pytest.fixture
def window(open_page: OpenPage, coach: LoggedIn, athlete: Season) -> Watched:
    """In which a coach looks at athletes."""
    let_in(coach, athlete)
    window = open_page(key=coach.key)
    window.go("/athletes")
    return window


def require_whose(window: Watched) -> None:
    banner = window.page.get_by_role("navigation", name="Athlete")
    expect(banner).to_contain_text(
        "You are looking at Mara Keller’s rides; you can change nothing."
    )
    expect(window.page.locator(".menu-name")).to_have_text("Grace")


def test_a_coach_looks_at_a_ride_with_its_charts(window: Watched, athlete: Season) -> None:
    page = window.page
    page.get_by_role("link", name="Hills 0 days ago").first.click()
    require_whose(window)
    expect(page.locator("h1")).to_have_text("Hills 0 days ago")
    expect(page.locator(".plot-power canvas")).to_be_visible()
    expect(page.locator(".curve .line-power")).to_have_attribute("d", re.compile("^M.*L"))
    of_athlete = re.compile(rf"^/rides/[\w-]+\?athlete={athlete.session.user['id']}$")
    expect(page.locator(".curve a").first).to_have_attribute("href", of_athlete)
    expect(page.locator("[data-opens], [data-does]")).to_have_count(0)
    page.get_by_role("button", name="5 min").click()
    expect(page.locator(".range-figures")).to_contain_text(re.compile(r"Average\d+W"))
    window.picture("athlete-ride")
    page.get_by_text("Export", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV file").click()
    assert download.value.path().read_text().startswith("timestamp")


def test_a_coach_goes_through_rides_weeks_and_season(window: Watched) -> None:
    page = window.page
    page.get_by_role("link", name="Mara Keller", exact=True).click()
    require_whose(window)
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.locator(".spark svg").first).to_be_visible()
    page.get_by_placeholder("Search in titles and notes").fill("nowhere")
    page.get_by_role("button", name="Search").click()
    require_whose(window)
    page.get_by_role("link", name="Show all rides").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_role("link", name="Weeks").click()
    require_whose(window)
    page.get_by_role("link", name="Earlier weeks").click()
    require_whose(window)
    page.get_by_role("navigation", name="Athlete").get_by_role("link", name="Season").click()
    require_whose(window)
    expect(page.locator("#fitness-title")).to_be_visible()
    window.picture("athlete-season")
    page.get_by_role("navigation", name="Totals by").get_by_role("link", name="Week").click()
    require_whose(window)
    page.get_by_role("link", name="All athletes").click()
    expect(page.locator("h1")).to_contain_text("Athletes")


def test_a_coach_sees_a_ride_as_it_goes_on(
    open_page: OpenPage, coach: LoggedIn, athlete: Season
) -> None:
    let_in(coach, athlete)
    session = athlete.session
    ride = session.call("POST", "/api/workouts", title="Now").json()["workout"]["id"]
    begun = datetime.now(UTC) - timedelta(seconds=60)
    first = int(begun.timestamp() * 1000)
    samples = [{"timestamp": first + 1000 * at, "power": 211} for at in range(60)]
    session.call("POST", f"/api/workouts/{ride}/telemetry", samples=samples)
    window = open_page(key=coach.key)
    window.page.goto(f"/rides/{ride}?athlete={session.user['id']}")
    require_whose(window)
    expect(window.page.locator("#now")).to_contain_text("211")


def test_of_who_does_not_let_one_in_no_page_shows_anything(
    open_page: OpenPage, coach: LoggedIn, athlete: Season
) -> None:
    window = open_page(key=coach.key)
    window.expected = ["404"]
    for path in ("/rides", "/season", f"/rides/{athlete.rides[0]}"):
        answer = window.page.goto(f"{path}?athlete={athlete.session.user['id']}")
        assert answer is not None
        assert answer.status == 404
        expect(window.page.locator("main")).not_to_contain_text("Hills")
        expect(window.page.get_by_role("navigation", name="Main")).to_contain_text("Rides")
