"""Links to rides, over HTTP: what they open, for how long, and what they never show."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree

import httpx2
import pytest

from api.identity.throttle import MOST_STRANGE_TOKENS
from api.sharing.figures import OF_THE_BODY
from api.sharing.shares import MOST_SHARES
from api.web.sending import MOST_READS
from shared.connections import Database
from shared.credentials import hash_key
from tests.api.answers import T0, eventually, problem_of
from tests.api.live.streams import watching
from tests.api.sharing.tracks import HOME, METRE
from tests.conftest import Rider

HEADERS = {
    "cache-control": "private, no-store",
    "x-robots-tag": "noindex, nofollow",
    "referrer-policy": "no-referrer",
}
# 200 W over 250 W would be an intensity of 0.8.
BODY = {
    "effectiveFrom": "2000-01-01",
    "ftp": 250,
    "criticalPower": 180,
    "wPrime": 20_000,
    "thresholdHeartrate": 170,
    "weight": 71.5,
}


@pytest.fixture
def stranger(service: str, unthrottled: None) -> Iterator[httpx2.Client]:
    """Somebody without a key."""
    with httpx2.Client(base_url=service, timeout=60) as client:
        yield client


def seconds(first: int, last: int) -> list[dict[str, float]]:
    """From home northward, 10 m a second."""
    return [
        {
            "timestamp": T0 + 1000 * at,
            "power": 200,
            "speed": 10,
            "distance": 10 * at,
            "lat": HOME[0] + 10 * at * METRE,
            "lng": HOME[1],
        }
        for at in range(first, last)
    ]


def ridden(rider: Rider) -> str:
    """A ride of 10 km that is over."""
    workout = rider.start(title="Home & away", description="the key is under the mat")
    rider.upload(workout, seconds(0, 1001))
    rider.complete(workout)
    return workout


def share(rider: Rider, workout: str, **wanted: Any) -> dict[str, Any]:
    answer = rider.client.post(f"/api/workouts/{workout}/share", json=wanted)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def place(token: str, rest: str = "") -> str:
    return f"/api/shared/{token}{rest}"


def norths(rows: list[dict[str, Any]]) -> list[int]:
    """How many metres north of home what is shown is."""
    return [round((row["lat"] - HOME[0]) / METRE) for row in rows if "lat" in row]


def test_whoever_has_the_link_sees_the_ride(rider: Rider, stranger: httpx2.Client) -> None:
    made = share(rider, ridden(rider))
    assert made["url"].endswith(f"/shared/{made['token']}")
    assert made["share"]["title"] == "Home & away"
    answer = stranger.get(place(made["token"]))
    ride = answer.json()["workout"]
    assert (ride["title"], ride["description"]) == ("Home & away", None)
    assert ride["summary"]["avgPower"] == 200
    assert ride["hidden"]
    assert rider.account.email not in answer.text
    assert rider.account.user_id not in answer.text
    assert share(rider, ridden(rider), withDescription=True)["share"]["withDescription"]


def test_a_description_is_shown_where_the_rider_says_so(
    rider: Rider, stranger: httpx2.Client
) -> None:
    token = share(rider, ridden(rider), withDescription=True)["token"]
    described = stranger.get(place(token)).json()["workout"]["description"]
    assert described == "the key is under the mat"


def test_no_answer_tells_where_the_ride_begins_and_ends(
    rider: Rider, stranger: httpx2.Client
) -> None:
    token = share(rider, ridden(rider))["token"]
    rows = stranger.get(place(token, "/telemetry")).json()["samples"]
    shown = norths(rows)
    assert len(rows) == 1001
    assert min(shown) > 500
    assert max(shown) < 9500
    assert {"lat", "lng", "speed", "distance"} & set(rows[0]) == set()
    ridden_on = [row["distance"] for row in rows if "distance" in row]
    assert ridden_on[0] == 0
    ride = stranger.get(place(token)).json()["workout"]
    assert ride["summary"]["totalDistance"] == ridden_on[-1] == 10 * (len(shown) - 1)
    assert ride["summary"]["avgSpeed"] is None


@pytest.mark.parametrize("query", ["channels=lat", "channels=distance", "channels=speed"])
def test_nor_does_it_in_any_form(rider: Rider, stranger: httpx2.Client, query: str) -> None:
    token = share(rider, ridden(rider))["token"]
    all_rows = stranger.get(place(token, "/telemetry")).json()["samples"]
    first = next(row["timestamp"] for row in all_rows if "lat" in row)
    for form in ("", "&resolution=10", f"&to={T0 + 60_000}"):
        rows = stranger.get(place(token, f"/telemetry?{query}{form}")).json()["samples"]
        assert not [each for each in rows if each["timestamp"] < first - 9999 and len(each) > 1]
    lines = stranger.get(place(token, f"/telemetry?{query}&format=csv")).text.splitlines()
    assert lines[1] == f"{T0},"


def test_the_curve_has_power_alone(rider: Rider, stranger: httpx2.Client) -> None:
    """1,001 s at 200 W; the ride has bests of speed too, which would tell the way to the door."""
    workout = ridden(rider)
    own = rider.client.get(f"/api/workouts/{workout}/power-curve").json()
    assert {each["metric"] for each in own["bests"]} == {"power", "speed"}
    answer = stranger.get(place(share(rider, workout)["token"], "/power-curve"))
    efforts = answer.json()
    assert {"duration": 600, "power": 200, "start": T0} in efforts["bests"]
    assert {(each["power"], each["start"]) for each in efforts["bests"]} == {(200, T0)}
    assert efforts["powerCurve"][0] == {"duration": 1, "power": 200}
    assert efforts["powerCurve"][-1]["duration"] == own["powerCurve"][-1]["duration"]
    assert workout not in answer.text


@pytest.mark.parametrize("points", [5000, 100])
def test_a_chart_shows_no_more(rider: Rider, stranger: httpx2.Client, points: int) -> None:
    token = share(rider, ridden(rider))["token"]
    shown = norths(stranger.get(place(token, "/telemetry")).json()["samples"])
    chart = stranger.get(place(token, f"/chart?points={points}")).json()
    assert chart["start"] == T0
    power = chart["channels"]["power"]["values"]
    assert set(power) == {200}
    drawn = [each for each in chart["channels"]["lat"]["values"] if each is not None]
    norths_drawn = [round((lat - HOME[0]) / METRE) for lat in drawn]
    assert set(norths_drawn) <= set(shown)
    # 10 m a second: what is hidden at both ends has neither position nor speed nor distance.
    hidden = shown[0] // 10 * 1000 // chart["step"]
    for name in ("lat", "lng", "speed", "distance"):
        assert set(chart["channels"][name]["values"][:hidden]) == {None}, name
    assert chart["channels"]["distance"]["values"][hidden] in (0, None)
    part = stranger.get(place(token, f"/chart?channels=lat&to={T0 + 10_000}")).json()
    assert part["channels"] == {}


def test_a_card_shows_no_more(rider: Rider, stranger: httpx2.Client) -> None:
    token = share(rider, ridden(rider))["token"]
    answer = stranger.get(place(token, "/card.svg"))
    assert answer.headers["content-type"] == "image/svg+xml"
    picture = ElementTree.fromstring(answer.content)
    texts = [each.text for each in picture.iter("{http://www.w3.org/2000/svg}text")]
    metres = stranger.get(place(token)).json()["workout"]["summary"]["totalDistance"]
    assert texts[0] == "Home & away"
    assert f"{metres / 1000:.1f} km" in texts


def test_all_is_shown_where_the_rider_says_so(rider: Rider, stranger: httpx2.Client) -> None:
    token = share(rider, ridden(rider), hideMetres=0)["token"]
    rows = stranger.get(place(token, "/telemetry")).json()["samples"]
    assert norths(rows) == list(range(0, 10_001, 10))
    ride = stranger.get(place(token)).json()["workout"]
    assert not ride["hidden"]
    assert ride["summary"]["totalDistance"] == 10_000


def test_places_are_hidden_in_links_that_are_there_already(
    rider: Rider, stranger: httpx2.Client
) -> None:
    workout = ridden(rider)
    token = share(rider, workout, hideMetres=0)["token"]
    open_token = share(rider, workout, hideMetres=0, hidePlaces=False)["token"]
    work = {"name": "work", "lat": HOME[0] + 5000 * METRE, "lng": HOME[1], "radius": 1000}
    put = rider.client.put("/api/users/me/places", json={"places": [work]})
    assert put.json() == rider.client.get("/api/users/me/places").json() == {"places": [work]}
    shown = norths(stranger.get(place(token, "/telemetry")).json()["samples"])
    assert not [each for each in shown if 4000 < each < 6000]
    assert {0, 10_000} <= set(shown)
    everything = norths(stranger.get(place(open_token, "/telemetry")).json()["samples"])
    assert len(everything) == 1001


def test_neither_weight_nor_thresholds_are_shown(rider: Rider, stranger: httpx2.Client) -> None:
    rider.client.put("/api/users/me/thresholds", json=BODY)
    workout = ridden(rider)
    assert rider.workout(workout)["summary"]["intensityFactor"] == 0.8
    answer = stranger.get(place(share(rider, workout)["token"]))
    summary = answer.json()["workout"]["summary"]
    assert summary["normalizedPower"] == 200
    assert {name: summary[name] for name in OF_THE_BODY} == dict.fromkeys(OF_THE_BODY)
    assert summary["parameters"] == {}
    assert set(summary["precise"].values()) == {None}
    assert "71.5" not in answer.text


def test_nor_are_they_while_the_ride_goes_on(rider: Rider, stranger: httpx2.Client) -> None:
    rider.client.put("/api/users/me/thresholds", json=BODY)
    workout = rider.start()
    rider.upload(workout, seconds(0, 100))
    with watching(stranger, place(share(rider, workout)["token"], "/live")) as stream:
        figures = stream.next("summary").data
        assert {figures["summary"][name] for name in OF_THE_BODY[1:]} == {None}
        assert figures["wPrimeBalance"] is None
        assert {each["metric"] for each in figures["bests"]} == {"power"}
        rider.complete(workout)
        end = stream.next("end").data["summary"]
    assert {end[name] for name in OF_THE_BODY} == {None}


def test_no_answer_below_a_link_is_kept_or_indexed(rider: Rider, stranger: httpx2.Client) -> None:
    token = share(rider, ridden(rider))["token"]
    for path in (place(token), place(token, "/telemetry"), place(token, "/card.svg"), place("x")):
        headers = stranger.get(path).headers
        assert {name: headers[name] for name in HEADERS} == HEADERS
    with watching(stranger, place(token, "/live")) as stream:
        assert stream.response.headers["x-robots-tag"] == "noindex, nofollow"


def test_a_token_that_opens_nothing_is_a_404_whatever_is_wrong_with_it(
    rider: Rider, stranger: httpx2.Client, database: Database
) -> None:
    workout, deleted = ridden(rider), ridden(rider)
    revoked, expired, gone = (share(rider, each) for each in (workout, workout, deleted))
    rider.client.delete(f"/api/workouts/{deleted}")
    rider.client.delete(f"/api/shares/{revoked['share']['id']}")
    with database.connection() as connection:
        connection.execute(
            "UPDATE shares SET expires_at = now() WHERE hash = %s", [hash_key(expired["token"])]
        )
    tokens = [each["token"] for each in (revoked, expired, gone)]
    answers = [stranger.get(place(each)) for each in (*tokens, "x" * 43, "x", str(uuid4()))]
    for answer in answers:
        problem_of(answer, 404)
    assert len({answer.content for answer in answers}) == 1
    for rest in ("/telemetry", "/power-curve", "/live", "/card.svg"):
        problem_of(stranger.get(place(tokens[0], rest)), 404)


def test_guesses_are_throttled_and_no_link_is_shut_by_them(
    rider: Rider, stranger: httpx2.Client
) -> None:
    token = share(rider, ridden(rider))["token"]
    for _ in range(MOST_STRANGE_TOKENS):
        last = stranger.get(place("x"))
    assert last.status_code == 404
    refused = stranger.get(place("x"))
    problem_of(refused, 429)
    assert int(refused.headers["retry-after"]) > 0
    assert stranger.get(place(token)).status_code == 200


def test_a_token_is_stored_as_its_hash_alone(rider: Rider, database: Database) -> None:
    made = share(rider, ridden(rider))
    with database.connection() as connection:
        row = connection.execute(
            "SELECT shares::text AS stored FROM shares WHERE id = %s", [made["share"]["id"]]
        ).fetchone()
    assert row is not None
    assert made["token"] not in row["stored"]
    assert "token" not in rider.client.get("/api/shares").text
    assert len(made["token"]) == 43


def test_links_are_listed_until_they_open_nothing(rider: Rider) -> None:
    workout = ridden(rider)
    first, second = share(rider, workout), share(rider, workout, hideMetres=200)
    listed = rider.client.get("/api/shares").json()["shares"]
    assert listed == [second["share"], first["share"]]
    revoked = rider.client.delete(f"/api/shares/{first['share']['id']}")
    assert revoked.json() == {"success": True}
    assert rider.client.get("/api/shares").json()["shares"] == [second["share"]]
    problem_of(rider.client.delete(f"/api/shares/{first['share']['id']}"), 404)


def test_what_is_another_s_is_neither_shared_nor_revoked(
    rider: Rider, make_rider: Any, stranger: httpx2.Client
) -> None:
    made = share(rider, ridden(rider))
    other = make_rider()
    workout = made["share"]["workoutId"]
    problem_of(other.client.post(f"/api/workouts/{workout}/share", json={}), 404)
    problem_of(other.client.delete(f"/api/shares/{made['share']['id']}"), 404)
    assert other.client.get("/api/shares").json() == {"shares": [], "people": []}
    assert stranger.get(place(made["token"])).status_code == 200


@pytest.mark.parametrize(
    "wanted",
    [
        {"expiresAt": "2020-01-01T00:00:00Z"},
        {"expiresAt": "2100-01-01T00:00:00Z"},
        {"hideMetres": -1},
        {"hideMetres": 5001},
    ],
    ids=str,
)
def test_a_link_is_within_bounds(rider: Rider, wanted: dict[str, Any]) -> None:
    problem_of(rider.client.post(f"/api/workouts/{rider.start()}/share", json=wanted), 422)


def test_so_many_links_open_at_a_time(rider: Rider, database: Database) -> None:
    workout = rider.start()
    made = share(rider, workout)
    with database.connection() as connection:
        connection.execute(
            "INSERT INTO shares (user_id, workout_id, hash, hide_metres, hide_places,"
            " with_description, expires_at)"
            " SELECT user_id, workout_id, sha256(n::text::bytea || hash), 0, true, false,"
            " expires_at FROM shares, generate_series(2, %s) AS n WHERE id = %s",
            [MOST_SHARES, made["share"]["id"]],
        )
    problem_of(rider.client.post(f"/api/workouts/{workout}/share", json={}), 409)
    rider.client.delete(f"/api/shares/{made['share']['id']}")
    share(rider, workout)


def test_a_ride_is_watched_without_its_start_and_its_newest_positions(
    rider: Rider, stranger: httpx2.Client
) -> None:
    workout = rider.start()
    rider.upload(workout, seconds(0, 300))
    token = share(rider, workout)["token"]
    with watching(stranger, place(token, "/live")) as stream:
        stream.await_id()
        rider.upload(workout, seconds(300, 600))
        stream.watch_until(T0 + 599_000)
        live = norths(list(stream.seen.values()))
        assert min(live) > 500
        assert max(live) < 5990 - 3.2 * 500 + 500
        assert not [row for row in stream.seen.values() if "distance" in row]
        polled = norths(stranger.get(place(token, "/telemetry")).json()["samples"])
        assert max(polled) <= max(live)
        assert stranger.get(place(token)).json()["workout"]["hidden"]
        figures = stream.next("summary").data["summary"]
        assert figures["avgPower"] == 200
        assert figures["totalDistance"] is None
        rider.complete(workout)
        assert stream.next("end").data["summary"]["totalDistance"] is None
    after = norths(stranger.get(place(token, "/telemetry")).json()["samples"])
    assert set(live) <= set(after)


def test_who_comes_later_sees_what_is_held_back_as_soon_as_it_need_not_be(
    rider: Rider, stranger: httpx2.Client
) -> None:
    workout = rider.start()
    rider.upload(workout, seconds(0, 600))
    token = share(rider, workout)["token"]
    with watching(stranger, place(token, f"/live?from={T0 + 590_000}")) as stream:
        stream.watch_until(T0 + 599_000)
        rider.upload(workout, seconds(600, 900))
        stream.watch_until(T0 + 899_000)
    assert {5500, 5900, 6000, 6500} <= set(norths(list(stream.seen.values())))


def test_who_watches_keeps_nobody_else_from_the_link(rider: Rider, stranger: httpx2.Client) -> None:
    """A stream is no read that is under way, of which a link has a few."""
    workout = rider.start()
    rider.upload(workout, seconds(0, 30))
    token = share(rider, workout)["token"]
    with ExitStack() as streams:
        for _ in range(MOST_READS + 1):
            stream = streams.enter_context(watching(stranger, place(token, "/live")))
            assert stream.response.status_code == 200
            stream.await_id()
        for rest in ("", "/chart", "/telemetry", "/card.svg"):
            assert stranger.get(place(token, rest)).status_code == 200


def test_a_revoked_link_ends_its_streams(rider: Rider, stranger: httpx2.Client) -> None:
    workout = rider.start()
    made = share(rider, workout)
    with watching(stranger, place(made["token"], "/live")) as stream:
        stream.await_id()
        rider.client.delete(f"/api/shares/{made['share']['id']}")
        assert {each.name for each in stream.events()} <= {"summary"}
    eventually(lambda: stranger.get(place(made["token"], "/live")).status_code == 404)


def test_links_and_places_are_part_of_the_export(rider: Rider) -> None:
    made = share(rider, rider.start())
    exported = rider.client.get("/api/users/me/export").content
    assert made["token"].encode() not in exported
    assert b"shares.json" in exported
    assert b"places.json" in exported


def test_laps_by_distance_do_not_tell_how_far_it_is_to_the_door(
    rider: Rider, stranger: httpx2.Client
) -> None:
    workout = rider.start()
    rider.upload(workout, seconds(0, 1001))
    laps = [{"end": T0 + 500_000}, {"end": T0 + 1_000_000}]
    assert rider.client.post(f"/api/workouts/{workout}/laps", json={"laps": laps}).is_success
    rider.complete(workout)
    for metres, seen in ((500, 0), (0, 2)):
        token = share(rider, workout, hideMetres=metres)["url"].rpartition("/")[2]
        assert len(stranger.get(f"/api/shared/{token}").json()["workout"]["laps"]) == seen
