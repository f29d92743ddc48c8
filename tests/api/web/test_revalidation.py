"""ETag and If-None-Match: what a client holds already is not sent again."""

from typing import Any

import httpx2
import pytest

from tests.api.answers import T0, seconds_of
from tests.conftest import Rider


def again(client: httpx2.Client, path: str, etag: str, **params: Any) -> httpx2.Response:
    return client.get(path, params=params, headers={"If-None-Match": etag})


def etag_of(rider: Rider, path: str, **params: Any) -> str:
    response = rider.client.get(path, params=params)
    assert response.status_code == 200
    assert response.headers.get_list("cache-control") == ["private, no-cache"]
    return str(response.headers["etag"])


@pytest.fixture
def ride(rider: Rider) -> str:
    workout = rider.start(title="A")
    rider.upload(workout, seconds_of(200, 60))
    rider.complete(workout)
    return workout


PATHS = ("/api/workouts", "/api/workouts/{id}", "/api/workouts/{id}/telemetry", "/api/records")


@pytest.mark.parametrize("path", PATHS)
def test_what_is_held_is_not_sent_again(rider: Rider, ride: str, path: str) -> None:
    place = path.replace("{id}", ride)
    etag = etag_of(rider, place)
    for said in (etag, f"W/{etag}", f'"another", {etag}', "*"):
        answer = again(rider.client, place, said)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == etag
        assert answer.headers.get_list("cache-control") == ["private, no-cache"]
    assert again(rider.client, place, '"another"').status_code == 200


def test_a_changed_title_is_another_workout_and_another_list(rider: Rider, ride: str) -> None:
    places = [f"/api/workouts/{ride}", "/api/workouts"]
    etags = [etag_of(rider, place) for place in places]
    rider.client.patch(places[0], json={"title": "B"})
    for place, etag in zip(places, etags, strict=True):
        answer = again(rider.client, place, etag)
        assert answer.status_code == 200
        assert b'"B"' in answer.content


def test_every_sample_more_is_another_telemetry_waiting_or_archived(rider: Rider) -> None:
    workout = rider.start()
    place = f"/api/workouts/{workout}/telemetry"
    etags = [etag_of(rider, place)]
    for second in (0, 1):
        rider.upload(workout, [{"timestamp": T0 + second * 1000, "power": 200}])
        etags.append(etag_of(rider, place))
    assert again(rider.client, place, etags[-1]).status_code == 304
    rider.complete(workout)
    etags.append(etag_of(rider, place))
    rider.client.post(f"/api/workouts/{workout}/crop", json={"from": T0 + 1000})
    etags.append(etag_of(rider, place))
    assert len(set(etags)) == 5


def test_each_way_to_ask_for_telemetry_has_an_etag_of_its_own(rider: Rider, ride: str) -> None:
    place = f"/api/workouts/{ride}/telemetry"
    asked: list[dict[str, Any]] = [
        {},
        {"format": "columns"},
        {"format": "csv"},
        {"channels": "power"},
        {"resolution": 5},
        {"from": T0 + 1000},
        {"to": T0 + 1000},
    ]
    assert len({etag_of(rider, place, **params) for params in asked}) == len(asked)
    assert etag_of(rider, place, channels="power") == etag_of(rider, place, channels="power")


@pytest.mark.parametrize(
    ("path", "params"),
    [("", {"includeTelemetry": "true"}), ("/export", {"format": "fit"}), ("/export", {})],
)
def test_a_ride_with_its_samples_is_not_sent_again_until_something_of_it_changes(
    rider: Rider, ride: str, path: str, params: dict[str, str]
) -> None:
    place = f"/api/workouts/{ride}{path}"
    etags = [etag_of(rider, place, **params)]
    answer = again(rider.client, place, etags[0], **params)
    assert (answer.status_code, answer.content) == (304, b"")
    rider.client.patch(f"/api/workouts/{ride}", json={"title": "B"})
    etags.append(etag_of(rider, place, **params))
    rider.client.post(f"/api/workouts/{ride}/crop", json={"from": T0 + 1000})
    etags.append(etag_of(rider, place, **params))
    assert len(set(etags)) == 3


def test_each_kind_of_file_of_a_ride_has_an_etag_of_its_own(rider: Rider, ride: str) -> None:
    kinds = ("fit", "tcx", "gpx", "csv", "json")
    place = f"/api/workouts/{ride}/export"
    assert len({etag_of(rider, place, format=kind) for kind in kinds}) == 5
    assert etag_of(rider, place) == etag_of(rider, place, format="fit")


def test_nobody_else_learns_by_an_etag_that_something_is_there(
    rider: Rider, make_rider: Any, ride: str
) -> None:
    other = make_rider()
    for path in PATHS[1:3]:
        place = path.replace("{id}", ride)
        assert again(other.client, place, etag_of(rider, place)).status_code == 404
    assert again(other.client, "/api/workouts", "*").status_code == 304  # of its own list
    no_key = httpx2.get(f"{rider.client.base_url}/api/workouts", headers={"If-None-Match": "*"})
    assert no_key.status_code == 401


def test_what_has_no_etag_is_not_to_be_stored(rider: Rider, ride: str) -> None:
    """Writes, problems, and an export of everything, which is made as it is read."""
    answers = [
        rider.client.patch(f"/api/workouts/{ride}", json={"title": "B"}),
        rider.client.get("/api/workouts/0"),
        rider.client.get("/api/users/me/export"),
    ]
    for answer in answers:
        assert "etag" not in answer.headers
        assert answer.headers.get_list("cache-control") == ["private, no-store"]


def test_a_head_has_the_etag_of_what_would_be_sent(rider: Rider, ride: str) -> None:
    place = f"/api/workouts/{ride}"
    assert rider.client.head(place).headers["etag"] == etag_of(rider, place)
