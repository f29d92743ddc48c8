"""What a cookie opens of the API, and for whom."""

import httpx2
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.api.answers import problem_of
from tests.api.pages.browsing import Visitor, token_of


def make_ride(visitor: Visitor, **headers: str) -> httpx2.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return visitor.client.post("/api/workouts", json={}, headers=names)


def test_a_page_s_scripts_and_links_read_the_api_with_the_cookie(signed_in: Visitor) -> None:
    for site in ("same-origin", "none"):
        assert signed_in.get("/api/workouts", Sec_Fetch_Site=site).status_code == 200
    assert signed_in.get("/api/workouts").status_code == 200  # an old browser does not say


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_read_nothing_with_it(signed_in: Visitor, site: str) -> None:
    problem_of(signed_in.get("/api/workouts", Sec_Fetch_Site=site), 401)


def test_what_changes_anything_needs_the_token_in_a_header(signed_in: Visitor) -> None:
    token = token_of(signed_in.get("/").text)
    problem_of(make_ride(signed_in), 403)
    problem_of(make_ride(signed_in, X_CSRF_Token="x" * 43), 403)
    problem_of(make_ride(signed_in, X_CSRF_Token=token, Sec_Fetch_Site="same-site"), 401)
    assert make_ride(signed_in, X_CSRF_Token=token).status_code == 201


def test_a_key_in_a_header_needs_none(signed_in: Visitor) -> None:
    key = signed_in.client.cookies["session"]
    with httpx2.Client(base_url=signed_in.url, headers={"X-API-Key": key}) as device:
        assert device.post("/api/workouts", json={}).status_code == 201
        foreign = {"Sec-Fetch-Site": "cross-site"}
        assert device.post("/api/workouts", json={}, headers=foreign).status_code == 201


def test_a_websocket_is_not_opened_by_a_cookie(signed_in: Visitor) -> None:
    token = token_of(signed_in.get("/").text)
    workout = make_ride(signed_in, X_CSRF_Token=token).json()["workout"]["id"]
    url = signed_in.url.replace("http", "ws") + f"/api/workouts/{workout}/telemetry"
    cookie = {"Cookie": f"session={signed_in.client.cookies['session']}"}
    with pytest.raises(InvalidStatus) as refused:
        connect(url, additional_headers=cookie, open_timeout=20)
    assert refused.value.response.status_code == 401
