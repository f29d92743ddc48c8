"""The page of a link, as it comes from the server: what it shows, and what it never does."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.web.security_headers import SHARED_PAGE_HEADERS
from shared.connections import Database
from tests.api.answers import T0
from tests.api.pages.browsing import Visitor
from tests.api.serving import serving
from tests.api.sharing.pictures import pixels_of
from tests.api.sharing.tracks import HOME, METRE
from tests.conftest import Rider


def ridden(rider: Rider) -> str:
    """Ten kilometres northward from home, in 1,000 s at 200 W."""
    workout = rider.start(title="Over <the> hills", description="the key is under the mat")
    samples = [
        {
            "timestamp": T0 + 1000 * at,
            "power": 200,
            "distance": 10 * at,
            "lat": HOME[0] + 10 * at * METRE,
            "lng": HOME[1],
        }
        for at in range(1001)
    ]
    rider.upload(workout, samples)
    rider.complete(workout)
    return workout


def share(rider: Rider, workout: str, **wanted: Any) -> dict[str, Any]:
    answer = rider.client.post(f"/api/workouts/{workout}/share", json=wanted)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_whoever_has_the_link_sees_the_ride_and_nothing_of_its_rider(
    visitor: Visitor, rider: Rider
) -> None:
    workout = ridden(rider)
    path = f"/shared/{share(rider, workout)['token']}"
    page = visitor.get(path)
    assert page.status_code == 200
    assert f'name="next" value="{path}"' in page.text  # where a choice of units comes back to
    assert "<h1>Over &lt;the&gt; hills</h1>" in page.text
    assert re.search(r"Work</span>\s*<span[^>]*>200<span", page.text)  # 1,000 s at 200 W
    for secret in (rider.account.email, str(rider.account.user_id), workout, "under the mat"):
        assert secret not in page.text
    for control in ("Edit", "Export", "Delete", "Share"):
        assert control not in page.text
    assert re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", page.text) == []


def test_it_shows_its_rider_what_others_see(visitor: Visitor, rider: Rider) -> None:
    token = share(rider, ridden(rider))["token"]
    assert visitor.submit("/sign-in", {"key": rider.account.api_key}).status_code == 303
    page = visitor.get(f"/shared/{token}").text
    assert "Edit" not in page
    assert rider.account.email not in page


def test_no_index_lists_it_and_no_other_site_learns_its_address(
    visitor: Visitor, rider: Rider
) -> None:
    made = share(rider, ridden(rider))
    for token in (made["token"], "x" * 43):
        page = visitor.get(f"/shared/{token}")
        expected = dict(SHARED_PAGE_HEADERS)
        assert {name: page.headers.get(name) for name in expected} == expected
        assert '<meta name="robots" content="noindex, nofollow">' in page.text
    assert expected["Referrer-Policy"] == "no-referrer"
    assert expected["X-Robots-Tag"] == "noindex, nofollow"


def test_a_message_may_show_its_title_and_figures(visitor: Visitor, rider: Rider) -> None:
    token = share(rider, ridden(rider), hideMetres=0)["token"]
    page = visitor.get(f"/shared/{token}").text
    assert '<meta property="og:title" content="Over &lt;the&gt; hills">' in page
    assert 'property="og:description" content="16:41 · 10.0\u2009km · 200\u2009W">' in page


def test_the_picture_of_a_message_shows_no_more_than_the_page(
    visitor: Visitor, rider: Rider
) -> None:
    """400 m eastward, then 10 km northward, which are 380 px: with the first 500 m hidden there is
    no way to the side.
    """
    workout, east = rider.start(), METRE / math.cos(math.radians(HOME[0]))
    ways = [(10 * min(at, 40), 10 * max(at - 40, 0)) for at in range(1041)]
    samples = [
        {"timestamp": T0 + 1000 * at, "lat": HOME[0] + y * METRE, "lng": HOME[1] + x * east}
        for at, (x, y) in enumerate(ways)
    ]
    rider.upload(workout, samples)
    rider.complete(workout)
    widths = []
    for wanted in ({}, {"hideMetres": 0}):
        token = share(rider, workout, **wanted)["token"]
        page = visitor.get(f"/shared/{token}").text
        address = f"http://127.0.0.1:8000/shared/{token}/preview.png"  # PUBLIC_URL
        assert f'property="og:image" content="{address}"' in page
        answer = visitor.get(f"/shared/{token}/preview.png")
        assert answer.headers["content-type"] == "image/png"
        drawn = (pixels_of(answer.content) != 255).any(axis=2).any(axis=0)
        widths.append(int(drawn.sum()))
    assert widths[0] < 10  # the line's own 7 px
    assert 20 < widths[1] < 26  # and 15 px to the side


def test_distances_are_of_what_is_shown(visitor: Visitor, rider: Rider) -> None:
    workout = ridden(rider)
    everything = visitor.get(f"/shared/{share(rider, workout, hideMetres=0)['token']}").text
    assert re.search(r"Distance</span>\s*<span[^>]*>10\.0<span", everything)
    assert "Parts of the track are not shown" not in everything
    page = visitor.get(f"/shared/{share(rider, workout)['token']}").text
    assert "Parts of the track are not shown" in page
    assert not re.search(r">10\.0<span class=\"unit\">km", page)
    assert "Average speed" not in page


def test_no_figure_tells_a_threshold_while_the_ride_goes_on_or_afterwards(
    visitor: Visitor, rider: Rider
) -> None:
    body = {"effectiveFrom": "2000-01-01", "ftp": 251, "criticalPower": 181, "wPrime": 20_000}
    rider.client.put("/api/users/me/thresholds", json=body)
    workout = ridden(rider)
    under_way = rider.start()
    for each in (workout, under_way):
        page = visitor.get(f"/shared/{share(rider, each)['token']}").text
        assert "Normalized" in page
        for figure in ("Intensity", "TSS", "Zones", "Lowest W′", "251"):
            assert figure not in page


def test_it_has_the_power_curve_and_bests_without_records(visitor: Visitor, rider: Rider) -> None:
    """The best 20 minutes are none: the ride takes 1,001 s."""
    token = share(rider, ridden(rider))["token"]
    page = visitor.get(f"/shared/{token}").text
    assert re.search(r'data-curve="\[\[1, 200\.0\], ', page)
    assert re.findall(r"(\d+ min)</button></th>\s*<td[^>]*>200<span", page) == [
        *("1 min", "5 min", "10 min"),
    ]
    assert "Record<" not in page


def test_nothing_that_the_page_loads_has_what_is_hidden(visitor: Visitor, rider: Rider) -> None:
    """Its charts have no position within 500 m of both ends, nor is there another way to ask."""
    workout = ridden(rider)
    token = share(rider, workout)["token"]
    page = visitor.get(f"/shared/{token}").text
    path = re.search('data-path="([^"]+)"', page)
    assert path
    assert path[1] == f"/api/shared/{token}"
    chart = visitor.get(f"{path[1]}/chart?points=1440").json()
    lats = [each for each in chart["channels"]["lat"]["values"] if each is not None]
    metres = [(lat - HOME[0]) / METRE for lat in (min(lats), max(lats))]
    assert 500 < metres[0] < metres[1] < 9500
    for part in ("chart", "figures", "live"):
        assert visitor.get(f"/api/workouts/{workout}/{part}").status_code == 401


@pytest.mark.parametrize("how", ["revoked", "expired", "deleted", "mistyped"])
def test_a_link_that_opens_nothing_says_so(
    visitor: Visitor, rider: Rider, database: Database, how: str
) -> None:
    workout = ridden(rider)
    made = share(rider, workout)
    token = made["token"]
    if how == "revoked":
        rider.client.delete(f"/api/shares/{made['share']['id']}")
    elif how == "expired":
        with database.connection() as connection:
            past = datetime.now(UTC) - timedelta(seconds=1)
            query = "UPDATE shares SET expires_at = %s WHERE id = %s"
            connection.execute(query, [past, made["share"]["id"]])
    elif how == "deleted":
        rider.client.delete(f"/api/workouts/{workout}")
    else:
        token = token[:-1]
    page = visitor.get(f"/shared/{token}")
    assert page.status_code == 404
    assert "This link opens nothing any more" in page.text
    assert "It was revoked, or has expired" in page.text
    assert "hills" not in page.text
    assert visitor.get(f"/shared/{token}/preview.png").status_code == 404


def test_a_ride_under_way_is_watched_by_the_link(visitor: Visitor, rider: Rider) -> None:
    workout = rider.start(title="Now")
    token = share(rider, workout)["token"]
    page = visitor.get(f"/shared/{token}").text
    assert " data-live" in page
    assert "Under way" in page
    rider.complete(workout)
    assert " data-live" not in visitor.get(f"/shared/{token}").text


def test_the_front_page_invites_to_a_ride_where_one_is_named_and_for_as_long_as_it_opens(
    urls: Mapping[str, str], tmp_path: Path, rider: Rider
) -> None:
    made = share(rider, ridden(rider))
    named = tmp_path / "front-ride"
    with (
        serving(urls, tmp_path / "api.log", FRONT_RIDE_FILE=str(named)) as client,
        Visitor(str(client.base_url)) as visitor,
    ):
        assert "Look at a ride" not in visitor.get("/").text
        named.write_text(f"/shared/{made['token']}\n")
        assert f'href="/shared/{made["token"]}">Look at a ride' in visitor.get("/").text
        named.write_text("javascript:alert(1)")
        assert "Look at a ride" not in visitor.get("/").text
        named.write_text(f"/shared/{made['token']}")
        rider.client.delete(f"/api/shares/{made['share']['id']}")
        assert "Look at a ride" not in visitor.get("/").text
