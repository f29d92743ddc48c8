"""The life of a workout, from start to deletion."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from shared.connections import Database, open_redis
from shared.settings import read_settings
from tests.api.answers import T0, eventually, problem_of, seconds_of
from tests.conftest import Rider


def post(rider: Rider, workout: str, action: str, **request: Any) -> Any:
    return rider.client.post(f"/api/workouts/{workout}/{action}", **request)


def test_a_new_workout_is_active_and_has_a_place(rider: Rider) -> None:
    response = rider.client.post("/api/workouts", json={"title": "Col d'Izoard"})
    assert response.status_code == 201
    body = response.json()
    assert body["success"] is True
    workout = body["workout"]
    assert response.headers["location"] == f"/api/workouts/{workout['id']}"
    assert workout["userId"] == rider.account.user_id
    assert (workout["title"], workout["sport"], workout["status"]) == (
        "Col d'Izoard",
        "cycling",
        "ACTIVE",
    )
    assert workout["endTime"] is workout["summary"] is workout["description"] is None
    assert rider.workout(workout["id"]) == workout


def test_the_stream_name_is_that_of_the_stream_with_its_waiting_samples(
    rider: Rider, urls: Mapping[str, str]
) -> None:
    workout = rider.start()
    rider.upload(workout, seconds_of(200, 60))
    with open_redis(read_settings(urls)) as redis:
        assert redis.xlen(rider.workout(workout)["streamName"]) == 1


def test_every_member_may_be_left_out_and_so_may_the_body(rider: Rider) -> None:
    assert rider.client.post("/api/workouts").status_code == 201


def test_a_start_time_is_the_moment_that_was_sent(rider: Rider) -> None:
    workout = rider.start(startTime="2024-05-01T10:00:00.123456+02:00")
    assert rider.workout(workout)["startTime"] == "2024-05-01T08:00:00.123456Z"


def test_the_first_sample_corrects_the_start_time(rider: Rider) -> None:
    workout = rider.start(startTime="2024-05-01T10:00:00Z")
    rider.upload(workout, seconds_of(200, 2))
    assert rider.complete(workout)["startTime"] == "2023-11-14T22:13:20Z"


@pytest.mark.parametrize(
    "moment",
    [
        "0001-01-01T00:00:00+10:00",
        "1999-12-31T23:59:59Z",
        "2199-01-01T00:00:00Z",
        "9999-12-31T23:59:59-10:00",
    ],
)
def test_a_start_time_has_the_bounds_of_a_sample(rider: Rider, moment: str) -> None:
    response = rider.client.post("/api/workouts", json={"startTime": moment})
    assert problem_of(response, 422)["errors"][0]["member"] == "startTime"
    assert rider.client.get("/api/workouts").json()["workouts"] == []


def test_a_ride_without_samples_starts_when_its_rider_says(rider: Rider) -> None:
    workout = rider.start()
    path, start = f"/api/workouts/{workout}", {"startTime": "2024-05-01T10:00:00+02:00"}
    answer = rider.client.patch(path, json={**start, "title": "On the rollers"})
    assert answer.status_code == 200
    changed = answer.json()["workout"]
    assert (changed["startTime"], changed["endTime"]) == ("2024-05-01T08:00:00Z", None)
    rider.complete(workout)
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    changed = rider.client.patch(path, json={"startTime": soon}).json()["workout"]
    assert changed["endTime"] == changed["startTime"] == soon.replace("+00:00", "Z")
    rider.upload(workout, seconds_of(200, 60))  # then they decide
    eventually(lambda: rider.workout(workout)["startTime"] == "2023-11-14T22:13:20Z")


@pytest.mark.parametrize("folded", [True, False])
def test_samples_decide_when_a_ride_starts_and_the_answer_says_so(
    rider: Rider, folded: bool
) -> None:
    workout = rider.start(startTime="2023-11-14T22:13:20Z")
    rider.upload(workout, seconds_of(200, 60))
    if folded:
        rider.complete(workout)
    path = f"/api/workouts/{workout}"
    later = {"title": "Later", "startTime": "2023-11-14T22:13:50Z"}
    detail = problem_of(rider.client.patch(path, json=later), 409)["detail"]
    assert "its samples decide that the workout starts at 2023-11-14T22:13:20+00:00" in detail
    assert f"POST {path}/crop" in detail
    assert rider.workout(workout)["title"] is None
    whole = {**rider.workout(workout), "title": "The same"}
    assert rider.client.patch(path, json=whole).json()["workout"]["title"] == "The same"


@pytest.mark.parametrize("moment", ["1999-12-31T23:59:59Z", "2100-01-01T00:00:00Z"])
def test_a_start_time_is_changed_within_the_bounds_of_a_sample(rider: Rider, moment: str) -> None:
    path = f"/api/workouts/{rider.start()}"
    response = rider.client.patch(path, json={"startTime": moment})
    assert problem_of(response, 422)["errors"][0]["member"] == "startTime"


def test_any_offset_of_a_start_time_will_do(rider: Rider) -> None:
    workout = rider.start(startTime="2024-01-02T00:00:00+20:00")
    assert rider.workout(workout)["startTime"] == "2024-01-01T04:00:00Z"


def test_text_of_any_language_comes_back(rider: Rider) -> None:
    title, description = "Żółć 🚴 \u202e\\u0000", "línea\n\ttab \x01"
    workout = rider.workout(rider.start(title=title, description=description))
    assert (workout["title"], workout["description"]) == (title, description)


def patch(rider: Rider, workout: str, **members: object) -> dict[str, Any]:
    response = rider.client.patch(f"/api/workouts/{workout}", json=members)
    assert response.status_code == 200, response.text
    assert response.json()["success"] is True
    changed: dict[str, Any] = response.json()["workout"]
    return changed


def test_a_patch_changes_what_it_names_and_keeps_the_rest(rider: Rider) -> None:
    workout = rider.start(title="A", description="B", sport="gravel")
    changed = patch(rider, workout, title="C")
    assert [changed[name] for name in ("title", "description", "sport")] == ["C", "B", "gravel"]
    assert rider.workout(workout) == changed


def test_null_clears_a_member_and_absent_keeps_it(rider: Rider) -> None:
    workout = rider.start(title="A", description="B")
    assert patch(rider, workout)["title"] == "A"
    changed = patch(rider, workout, title=None)
    assert (changed["title"], changed["description"]) == (None, "B")


@pytest.mark.parametrize(
    "members", [{"sport": None}, {"title": 5}, {"title": "x" * 201}, {"sport": "a b"}]
)
def test_a_patch_that_is_wrong_changes_nothing(rider: Rider, members: dict[str, Any]) -> None:
    workout = rider.start(title="A")
    response = rider.client.patch(f"/api/workouts/{workout}", json={"description": "x", **members})
    assert problem_of(response, 422)["errors"][0]["member"] == next(iter(members))
    assert rider.workout(workout)["description"] is None


def test_a_ride_is_paused_and_resumed(rider: Rider) -> None:
    workout = rider.start()
    assert post(rider, workout, "pause").json()["workout"]["status"] == "PAUSED"
    assert rider.workout(workout)["status"] == "PAUSED"
    assert post(rider, workout, "resume").json()["workout"]["status"] == "ACTIVE"


def test_pausing_and_resuming_may_be_repeated(rider: Rider) -> None:
    workout = rider.start()
    for action, status in (("resume", "ACTIVE"), ("pause", "PAUSED"), ("resume", "ACTIVE")):
        first, second = (post(rider, workout, action) for _ in range(2))
        assert (first.status_code, first.json()["workout"]["status"]) == (200, status)
        assert (second.status_code, second.content) == (200, first.content)


def test_a_paused_ride_takes_uploads_and_can_be_completed(rider: Rider) -> None:
    workout = rider.start()
    post(rider, workout, "pause")
    assert rider.upload(workout, seconds_of(200, 60)).status_code == 202
    assert rider.complete(workout)["summary"]["sampleCount"] == 60


def test_an_impossible_transition_is_409_naming_both_states(rider: Rider) -> None:
    workout = rider.start()
    rider.complete(workout)
    for action, wanted in (("pause", "PAUSED"), ("resume", "ACTIVE")):
        detail = problem_of(post(rider, workout, action), 409)["detail"]
        assert detail == f"the workout is COMPLETED and cannot become {wanted}"
    assert rider.workout(workout)["status"] == "COMPLETED"


def test_completing_without_waiting_is_202(rider: Rider) -> None:
    workout = rider.start()
    response = post(rider, workout, "complete")
    assert response.status_code == 202
    assert response.json()["workout"]["status"] in ("PROCESSING", "COMPLETED")
    eventually(lambda: rider.workout(workout)["status"] == "COMPLETED")


@pytest.mark.parametrize(
    "request_", [{"headers": {"Prefer": "wait=30"}}, {"params": {"wait": "30"}}]
)
def test_completing_and_waiting_is_200_with_the_figures(
    rider: Rider, request_: dict[str, Any]
) -> None:
    workout = rider.start()
    rider.upload(workout, seconds_of(250, 120))
    response = post(rider, workout, "complete", **request_)
    assert response.status_code == 200
    assert response.headers["preference-applied"] == "wait=30"
    finished = response.json()["workout"]
    assert finished["status"] == "COMPLETED"
    assert finished["summary"]["avgPower"] == 250
    assert finished["endTime"] == "2023-11-14T22:15:19Z"  # T0 and 119 s


def test_a_ride_without_samples_completes_too(rider: Rider) -> None:
    finished = rider.complete(rider.start())
    assert finished["status"] == "COMPLETED"
    assert finished["endTime"] >= finished["startTime"]


def test_completing_twice_gives_the_same_answer_and_changes_nothing(rider: Rider) -> None:
    workout = rider.start()
    rider.upload(workout, seconds_of(200, 60))
    assert rider.complete(workout) == rider.complete(workout) == rider.workout(workout)


def test_fifty_completions_at_once_have_one_effect(rider: Rider) -> None:
    workout = rider.start()
    rider.upload(workout, seconds_of(200, 60))
    with ThreadPoolExecutor(50) as pool:
        finished = list(pool.map(lambda _: rider.complete(workout), range(50)))
    assert finished[0]["summary"]["sampleCount"] == 60
    assert all(one == finished[0] for one in finished)  # `updatedAt` too: folded once
    assert rider.workout(workout) == finished[0]


def test_late_samples_correct_a_completed_ride(rider: Rider) -> None:
    workout = rider.start()
    rider.upload(workout, seconds_of(100, 60))
    assert rider.complete(workout)["summary"]["avgPower"] == 100
    assert rider.upload(workout, seconds_of(300, 60, start=T0 + 60_000)).status_code == 202
    eventually(lambda: rider.workout(workout)["summary"]["sampleCount"] == 120)
    corrected = rider.workout(workout)
    assert corrected["summary"]["avgPower"] == 200
    assert (corrected["status"], corrected["endTime"]) == ("COMPLETED", "2023-11-14T22:15:19Z")


def test_a_failed_ride_cannot_be_completed_but_keeps_taking_samples(
    rider: Rider, database: Database
) -> None:
    workout = rider.start()
    with database.connection() as connection:
        connection.execute("UPDATE workouts SET status = 'FAILED' WHERE id = %s", [workout])
    detail = problem_of(post(rider, workout, "complete"), 409)["detail"]
    assert detail == "the workout is FAILED and cannot become PROCESSING"
    assert rider.upload(workout, seconds_of(200, 60)).status_code == 202
    assert rider.workout(workout, includeTelemetry="true")["telemetry"] == seconds_of(200, 60)


ON_ONE: dict[str, Callable[[Rider, str], Any]] = {
    "get": lambda rider, one: rider.client.get(f"/api/workouts/{one}"),
    "patch": lambda rider, one: rider.client.patch(f"/api/workouts/{one}", json={}),
    "pause": lambda rider, one: post(rider, one, "pause"),
    "complete": lambda rider, one: post(rider, one, "complete"),
    "upload": lambda rider, one: rider.upload(one, seconds_of(200, 1)),
    "telemetry": lambda rider, one: rider.client.get(f"/api/workouts/{one}/telemetry"),
    "receipt": lambda rider, one: rider.client.get(f"/api/workouts/{one}/receipt"),
    "delete again": lambda rider, one: rider.client.delete(f"/api/workouts/{one}"),
}


@pytest.mark.parametrize("finished", [False, True])
def test_a_deleted_workout_is_gone_at_once(rider: Rider, finished: bool) -> None:
    workout = rider.start(title="Gone")
    rider.upload(workout, seconds_of(200, 60))
    if finished:
        rider.complete(workout)
    response = rider.client.delete(f"/api/workouts/{workout}")
    assert (response.status_code, response.json()) == (
        200,
        {"success": True, "message": "the workout is deleted"},
    )
    absent = rider.client.get(f"/api/workouts/{uuid4()}").content
    for call in ON_ONE.values():
        answer = call(rider, workout)
        problem_of(answer, 404)
        assert answer.content == absent
    assert rider.client.get("/api/workouts").json()["workouts"] == []


def test_deleting_takes_the_records_of_the_ride_back(rider: Rider, database: Database) -> None:
    kept, deleted = rider.start(), rider.start()
    rider.upload(kept, seconds_of(300, 60))
    rider.upload(deleted, seconds_of(400, 90))
    for workout in (kept, deleted):
        rider.complete(workout)

    def records() -> dict[int, tuple[str, float]]:
        query = {"metric": "power"}
        listed = rider.client.get("/api/records", params=query).json()["records"]
        return {one["duration"]: (one["workoutId"], one["value"]) for one in listed}

    before = records()
    assert max(before) == 60
    assert set(before.values()) == {(deleted, 400)}
    rider.client.delete(f"/api/workouts/{deleted}")
    assert records() == dict.fromkeys(before, (kept, 300))


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/api/workouts/{}", {"GET", "HEAD", "PUT", "PATCH", "DELETE"}),
        ("OPTIONS", "/api/workouts", {"GET", "HEAD", "POST"}),
        ("PATCH", "/api/workouts/{}/telemetry", {"GET", "HEAD", "POST", "DELETE"}),
        ("GET", "/api/workouts/{}/complete", {"POST"}),
        ("HEAD", "/api/workouts/{}/pause", {"POST"}),
        ("POST", "/health", {"GET", "HEAD"}),
        ("POST", "/openapi.json", {"GET", "HEAD"}),
        ("POST", "/docs", {"GET", "HEAD"}),
    ],
)
def test_another_method_is_405_naming_those_there_are(
    rider: Rider, method: str, path: str, allowed: set[str]
) -> None:
    response = rider.client.request(method, path.format(rider.start()))
    assert response.status_code == 405
    assert set(response.headers["allow"].split(", ")) == allowed
    if method != "HEAD":
        problem_of(response, 405)


@pytest.mark.parametrize(
    "path", ["/api/workouts", "/api/workouts/{}", "/api/workouts/{}/telemetry", "/health/live"]
)
def test_head_is_get_without_the_body(rider: Rider, path: str) -> None:
    path = path.format(rider.start())
    got, head = rider.client.get(path), rider.client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]


def test_an_unknown_path_is_a_problem(rider: Rider) -> None:
    problem_of(rider.client.get("/api/nothing"), 404)


@pytest.mark.parametrize("wait", ["abc", "1s"])
def test_a_wait_that_is_no_number_is_refused_and_nothing_is_completed(
    rider: Rider, wait: str
) -> None:
    workout = rider.start()
    problem_of(post(rider, workout, "complete", params={"wait": wait}), 422)
    assert rider.workout(workout)["status"] == "ACTIVE"


def test_completing_again_announces_again_what_was_never_announced(
    rider: Rider, database: Database
) -> None:
    workout = rider.start()
    with database.connection() as connection:  # as if the API had died before the announcement
        connection.execute(
            """UPDATE workouts SET status = 'PROCESSING', completed_at = now(),
                   fold_asked_at = now() - interval '3 seconds'
               WHERE id = %s""",
            [workout],
        )
    assert rider.complete(workout, wait=15)["status"] == "COMPLETED"  # the sweeper waits for 30 s
