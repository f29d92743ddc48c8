"""What is written to the API is not silently ignored, and refusals are in words for people."""

import re
from typing import Any

import httpx2
import pytest

from api.app import OPERATIONS
from api.web.routing import Operation
from tests.api.answers import T0, problem_of
from tests.api.sessions import LoggedIn
from tests.conftest import Rider

NOBODY = "00000000-0000-4000-8000-000000000000"
# What only a parser would say.
PARSER = re.compile(r"Expected `|Invalid |at `\$|at `key`|Object missing|msgspec|Traceback")


def path_of(operation: Operation) -> str:
    return re.sub(r"\{\w+\}", NOBODY, operation.path)


@pytest.mark.parametrize(
    "operation",
    [each for each in OPERATIONS if not each.is_open],
    ids=lambda one: f"{one.method} {one.path}",
)
def test_a_parameter_that_is_not_known_is_refused_everywhere(
    rider: Rider, operation: Operation
) -> None:
    response = rider.client.request(operation.method, path_of(operation), params={"foo": "1"})
    problem = problem_of(response, 422)
    assert (problem["type"], problem["errors"][0]["member"]) == ("/problems/unknown-name", "foo")


def test_only_uploads_and_answers_of_providers_may_have_other_parameters() -> None:
    assert {one.handler.__name__ for one in OPERATIONS if one.is_open} == {
        "upload_telemetry",
        "finish_sign_in",
    }


@pytest.mark.parametrize(
    "operation",
    [each for each in OPERATIONS if "application/json" in each.body and not each.is_open],
    ids=lambda one: f"{one.method} {one.path}",
)
def test_a_member_that_is_not_known_is_refused_everywhere(
    rider: Rider, session: LoggedIn, operation: Operation
) -> None:
    path = re.sub(r"\{\w+\}", NOBODY, operation.path.replace("{id}", rider.start()))
    response = rider.client.request(operation.method, path, json={"titel": "x"})
    if response.status_code == 403:  # needs a session that was opened just now
        response = session.call(operation.method, path, titel="x")
    problem = problem_of(response, 422)
    assert (problem["type"], problem["errors"][0]["member"]) == ("/problems/unknown-name", "titel")


def test_the_nearest_parameter_is_named(rider: Rider) -> None:
    detail = problem_of(rider.client.get("/api/workouts?lmit=5"), 422)["detail"]
    assert detail == "lmit: no parameter has this name; did you mean `limit`?"


def test_excluding_by_other_names_excludes_nothing(rider: Rider) -> None:
    workout = rider.start()
    rider.upload(workout, [{"timestamp": T0, "power": 200}])
    path = f"/api/workouts/{workout}/exclude"
    problem = problem_of(rider.client.post(path, json={"start": T0, "end": T0 + 1}), 422)
    meant = {each["member"]: each["detail"].partition("; ")[2] for each in problem["errors"]}
    assert meant == {"start": "did you mean `from`?", "end": "did you mean `to`?"}
    assert not rider.workout(workout)["excluded"]


def test_a_workout_sent_back_whole_is_no_change_and_another_status_is_none_that_can_be(
    rider: Rider,
) -> None:
    path = f"/api/workouts/{rider.start(title='One')}"
    whole = rider.client.get(path).json()["workout"]
    assert rider.client.patch(path, json={**whole, "title": "Two"}).is_success
    problem = problem_of(rider.client.patch(path, json={"status": "COMPLETED"}), 422)
    assert problem["detail"] == "status: cannot be changed here"
    assert (rider.workout(path.rpartition("/")[2])["title"]) == "Two"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/api/workouts?sort=power", "sort: must be one of startTime, "),
        ("/api/workouts?status=DONE", "status: must be one of ACTIVE, PAUSED, "),
        ("/api/workouts?limit=ten", "limit: must be a whole number from 1 to 1000"),
        ("/api/stats?period=decade", "period: must be one of "),
        (f"/api/workouts/{NOBODY}/telemetry?format=xml", "format: must be one of "),
    ],
)
def test_a_choice_is_refused_with_what_there_is(rider: Rider, path: str, said: str) -> None:
    assert problem_of(rider.client.get(path), 422)["detail"].startswith(said)


WRONG: list[Any] = [None, True, -1, 0.5, 1e300, 10**30, "", "x", "\n", [], [[]], {}, {"x": 1}]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
def test_no_refusal_speaks_as_a_parser_does(
    rider: Rider, unthrottled: None, operation: Operation
) -> None:
    path = operation.path.replace("{id}", rider.start())
    path = re.sub(r"\{\w+\}", NOBODY, path)
    names = [each for each in _names(operation.query) if each != "wait"]
    for value in ("x", "-1", "1e999", "nan", "\x00"):
        for name in [*names, "foo"]:
            answer = rider.client.request(operation.method, path, params={name: value})
            _require_words(answer)
    for body in _bodies(operation):
        _require_words(rider.client.request(operation.method, path, json=body))


def _names(kind: Any) -> list[str]:
    return list(kind.__struct_encode_fields__) if hasattr(kind, "__struct_encode_fields__") else []


def _bodies(operation: Operation) -> list[Any]:
    if not operation.body:
        return []
    names = _names(operation.body.get("application/json"))
    return [*WRONG, *({name: value} for name in names for value in WRONG)]


def _require_words(answer: httpx2.Response) -> None:
    if 400 <= answer.status_code < 500:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"].startswith("/problems/")
    if not answer.is_success:
        assert not PARSER.search(answer.text), answer.text
