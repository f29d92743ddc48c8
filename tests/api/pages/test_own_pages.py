"""Home, rides, season and account: of whom they are, and what they refuse."""

import re

import pytest

from tests.api.answers import seconds_of
from tests.api.conftest import MakeKey
from tests.api.pages.browsing import Visitor
from tests.api.webhooks.rows import make_webhook
from tests.conftest import Rider

PATHS = ["/", "/rides", "/rides?view=weeks", "/season", "/account", "/webhooks"]


@pytest.fixture
def ride(rider: Rider) -> str:
    """Ten minutes at 200 W, of which every page says something."""
    workout = rider.start(title="Over <the> hills")
    rider.upload(workout, seconds_of(200, 600))
    rider.complete(workout)
    return workout


def sign_in(visitor: Visitor, rider: Rider) -> None:
    answer = visitor.submit("/sign-in", {"key": rider.account.api_key})
    assert answer.status_code == 303


@pytest.mark.parametrize("path", PATHS[1:])
def test_strangers_are_sent_to_sign_in(visitor: Visitor, path: str) -> None:
    answer = visitor.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in?next=/")


@pytest.mark.parametrize("path", PATHS)
def test_a_page_escapes_what_people_write_and_has_no_inline_script(
    visitor: Visitor, rider: Rider, ride: str, path: str
) -> None:
    sign_in(visitor, rider)
    page = visitor.get(path)
    assert page.status_code == 200
    assert "<the>" not in page.text
    assert re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", page.text) == []


@pytest.mark.parametrize("path", PATHS)
def test_nothing_of_another_s_is_on_a_page(signed_in: Visitor, ride: str, path: str) -> None:
    page = signed_in.get(path)
    assert page.status_code == 200
    assert "hills" not in page.text
    assert ride not in page.text


def test_a_list_has_its_ride_escaped_and_in_the_units_chosen(
    visitor: Visitor, rider: Rider, ride: str
) -> None:
    sign_in(visitor, rider)
    page = visitor.get("/rides", Accept_Language="en-US")
    assert f'<a href="/rides/{ride}">Over &lt;the&gt; hills</a>' in page.text
    assert '120<span class="unit">kJ</span>' in page.text  # 600 s at 200 W
    assert 'value="imperial" aria-pressed="true"' in page.text


def test_the_season_has_sports_that_were_ridden_alone(visitor: Visitor, rider: Rider) -> None:
    run = rider.start(sport="trail_running")
    rider.upload(run, seconds_of(200, 60))
    rider.complete(run)
    sign_in(visitor, rider)
    page = visitor.get("/season?sport=trail_running").text
    assert re.search(r'aria-current="page">Running</a>', page)
    page = visitor.get("/season?sport=foo").text
    assert "Foo" not in page
    assert re.search(r'aria-current="page">Cycling</a>', page)


def test_the_season_has_no_column_of_what_nobody_knows(visitor: Visitor, rider: Rider) -> None:
    """W/kg come with a weight that held on the day; other dates with rides of theirs."""
    ride = rider.start()
    rider.upload(ride, seconds_of(200, 600))
    rider.complete(ride)
    sign_in(visitor, rider)
    page = visitor.get("/season?dates=all&beside=last-year").text
    assert re.search(r"200<span class=\"unit\">W<", page)
    for head in ("Per kg", "Change"):
        assert head not in page
    weight = {"effectiveFrom": "2000-01-01", "weight": 80}
    rider.client.put("/api/users/me/thresholds", json=weight)
    dates = "dates=days&first=2023-11-01&last=2023-11-30"  # T0 is among them
    page = visitor.get(f"/season?{dates}&beside=all").text
    assert re.search(r"2\.50<span class=\"unit\">W/kg<", page)  # 200 W over 80 kg
    assert "Change" in page


@pytest.mark.parametrize(
    "path",
    [
        *("/rides?view=weeks&to=soon", "/rides?cursor=x", "/rides?sort=mood"),
        *("/season?dates=never", "/season?dates=days&first=2026-05-02&last=2026-05-01"),
    ],
)
def test_what_a_page_cannot_be_asked_is_refused_as_a_page(signed_in: Visitor, path: str) -> None:
    page = signed_in.get(path, Accept="text/html")
    assert page.status_code == 422
    assert "<h1>" in page.text


def test_only_who_may_change_things_sees_webhooks(
    visitor: Visitor, rider: Rider, make_api_key: MakeKey
) -> None:
    webhook = make_webhook(rider)["webhook"]["id"]
    key = make_api_key(rider.account.user_id, ["read"])
    assert visitor.submit("/sign-in", {"key": key}).status_code == 303
    for path in ("/webhooks", f"/webhooks/{webhook}"):
        page = visitor.get(path)
        assert (page.status_code, "receiver.example" in page.text) == (403, False)
