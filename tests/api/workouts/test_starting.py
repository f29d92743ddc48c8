"""Rides that a device starts under an id of its own, as often as its network makes it ask."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from shared.connections import Redis, open_redis
from shared.redis_keys import SEALED_DELETED, sealed_key
from shared.settings import read_settings
from tests.api.answers import problem_of, seconds_of
from tests.api.conftest import MakeKey
from tests.api.workouts.test_bounds import user_of
from tests.conftest import Rider

BODY = {
    "title": "Evening ride",
    "description": "Home by the river",
    "sport": "running",
    "startTime": "2026-05-01T18:00:00+02:00",
}


def put(client: httpx2.Client, workout_id: str, **body: Any) -> httpx2.Response:
    return client.put(f"/api/workouts/{workout_id}", json=body)


def test_a_start_that_is_repeated_starts_one_ride(rider: Rider) -> None:
    workout = str(uuid4())
    first, second = put(rider.client, workout, **BODY), put(rider.client, workout, **BODY)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert first.json()["workout"]["id"] == workout
    assert first.json()["workout"]["title"] == "Evening ride"
    assert [each["id"] for each in rider.client.get("/api/workouts").json()["workouts"]] == [
        workout
    ]


def test_a_ride_of_the_device_s_own_id_takes_samples_and_is_completed(rider: Rider) -> None:
    workout = str(uuid4())
    put(rider.client, workout)
    assert rider.upload(workout, seconds_of(200, 60)).status_code == 202
    assert rider.complete(workout)["summary"]["avgPower"] == 200


def test_a_start_that_is_repeated_after_the_end_answers_with_the_ride(rider: Rider) -> None:
    """Also if the rider has called it something else meanwhile: that is no other start."""
    workout = str(uuid4())
    put(rider.client, workout, **BODY)
    rider.upload(workout, seconds_of(200, 60))
    rider.complete(workout)
    rider.client.patch(f"/api/workouts/{workout}", json={"title": "With Ada"})
    again = put(rider.client, workout, **BODY)
    assert again.status_code == 200
    answer = again.json()["workout"]
    assert (answer["status"], answer["title"]) == ("COMPLETED", "With Ada")
    assert answer == rider.workout(workout)


@pytest.mark.parametrize("member", BODY)
def test_another_body_is_refused_and_the_member_that_differs_named(
    rider: Rider, member: str
) -> None:
    workout = str(uuid4())
    put(rider.client, workout, **BODY)
    before = rider.workout(workout)
    other = {"sport": "cycling", "startTime": "2026-05-01T16:00:01Z"}.get(member, "other")
    without = {name: value for name, value in BODY.items() if name != member}
    for body in ({**BODY, member: other}, without):
        assert problem_of(put(rider.client, workout, **body), 409)["errors"] == [
            {"detail": "is not what the workout was started with", "member": member}
        ]
    assert rider.workout(workout) == before


def test_another_spelling_of_the_same_moment_is_the_same_body(rider: Rider) -> None:
    workout = str(uuid4())
    put(rider.client, workout, startTime="2026-05-01T18:00:00+02:00")
    again = put(rider.client, workout, startTime="2026-05-01T16:00:00.000Z", title=None)
    assert again.status_code == 200


def test_starts_at_the_same_time_start_one_ride(rider: Rider) -> None:
    workout = str(uuid4())
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: put(rider.client, workout, **BODY), range(8)))
    assert sorted(each.status_code for each in answers) == [200] * 7 + [201]


def test_another_rider_s_id_is_as_absent_as_that_of_a_deleted_ride(
    rider: Rider, make_rider: Callable[[], Rider]
) -> None:
    theirs, own, deleted = make_rider(), rider.start(), rider.start()
    workout = str(uuid4())
    put(theirs.client, workout, **BODY)
    before = theirs.workout(workout)
    rider.client.delete(f"/api/workouts/{deleted}")
    absent = [rider.client.get(f"/api/workouts/{uuid4()}")]
    absent += [put(rider.client, each, **BODY) for each in (workout, deleted)]
    for answer in absent:
        problem_of(answer, 404)
    assert len({answer.content for answer in absent}) == 1
    assert theirs.workout(workout) == before
    assert problem_of(put(rider.client, own), 409)["detail"] == (
        "there is a workout of this id, which was not started by PUT"
    )


@pytest.fixture
def streams(urls: Mapping[str, str]) -> Iterator[Redis]:
    """The Redis that the service uses."""
    with open_redis(read_settings(urls)) as client:
        yield client


def test_an_id_whose_uploads_are_refused_still_starts_no_ride(rider: Rider, streams: Redis) -> None:
    """It was purged just now, and some process may take it for what it was."""
    workout = uuid4()
    streams.set(sealed_key(workout), SEALED_DELETED, ex=600)
    problem_of(put(rider.client, str(workout)), 404)
    streams.delete(sealed_key(workout))
    assert put(rider.client, str(workout)).status_code == 201
    assert rider.upload(str(workout), seconds_of(200, 10)).status_code == 202


def test_who_has_as_many_rides_as_may_be_can_still_repeat_a_start(
    urls: Mapping[str, str], tmp_path: Path
) -> None:
    with user_of(urls, tmp_path, "MAX_ACTIVE_RIDES", 1) as client:
        workout = str(uuid4())
        assert put(client, workout).status_code == 201
        assert put(client, workout).status_code == 200
        problem_of(put(client, str(uuid4())), 409)


def test_a_device_s_key_reads_of_a_repeated_start_what_any_answer_shows_it(
    rider: Rider, service: str, make_api_key: MakeKey
) -> None:
    workout = str(uuid4())
    put(rider.client, workout, title="Mine")
    rider.client.patch(f"/api/workouts/{workout}", json={"title": "Where I live"})
    key = make_api_key(rider.account.user_id, ["upload"])
    with httpx2.Client(base_url=service, headers={"X-API-Key": key}) as device:
        answer = put(device, workout, title="Mine").json()["workout"]
    assert (answer["id"], answer["status"], answer["title"]) == (workout, "ACTIVE", None)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("8e03978e40d543e8bc936894a57f9324", "is a UUID that is written 8e03978e-40d5-43e8-bc93-"),
        ("{8e03978e-40d5-43e8-bc93-6894a57f9324}", "is a UUID that is written 8e03978e-40d5-43e8"),
        ("my-ride", "'my-ride' is no UUID; one looks like 8e03978e-40d5-43e8-bc93-6894a57f9324"),
        ("00000000-0000-0000-0000-000000000000", "stands for no id: make up a random UUID"),
        ("FFFFFFFF-ffff-ffff-ffff-ffffffffffff", "stands for no id: make up a random UUID"),
    ],
)
def test_what_is_no_uuid_starts_nothing_and_is_told_how_one_looks(
    rider: Rider, given: str, said: str
) -> None:
    problem = problem_of(put(rider.client, given), 422)
    assert said in problem["detail"]
    assert problem["errors"][0]["member"] == "id"
    if given[0] not in "0F":
        assert said in problem_of(rider.client.get(f"/api/workouts/{given}"), 404)["detail"]
        assert said in problem_of(rider.client.get(f"/api/uploads/{given}"), 404)["detail"]
        assert said in problem_of(rider.client.delete(f"/api/shares/{given}"), 404)["detail"]
    assert rider.client.get("/api/workouts").json()["workouts"] == []
