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


@pytest.mark.parametrize(
    "operation",
    [each for each in OPERATIONS if not (each.body or each.is_open)],
    ids=lambda one: f"{one.method} {one.path}",
)
def test_a_body_of_which_nothing_is_read_is_refused_everywhere(
    rider: Rider, operation: Operation
) -> None:
    path = path_of(operation).replace(NOBODY, rider.start())
    answer = rider.client.request(operation.method, path, json={"foo": 1})
    problem = problem_of(answer, 422)
    assert (problem["type"], problem["errors"][0]["member"]) == ("/problems/unknown-name", "foo")
    assert problem["detail"].startswith("this operation takes no body; foo: ")


def test_what_belongs_into_the_query_is_said_of_a_body(rider: Rider) -> None:
    path = f"/api/workouts/{rider.start()}"
    form = {"Content-Type": "application/x-www-form-urlencoded"}  # as curl calls it
    for headers in ({}, form):
        sent = rider.client.post(f"{path}/complete", content=b'{"wait": 10}', headers=headers)
        assert problem_of(sent, 422)["errors"][0] == {
            "member": "wait",
            "detail": "nothing is read of a body here; did you mean the parameter `?wait=` of the"
            " query?",
        }
    assert rider.client.get(path).json()["status"] == "ACTIVE"
    for body in (b"[]", b"5", b"wait=10", b"{", b'"x"', b"null"):
        problem = problem_of(rider.client.post(f"{path}/pause", content=body), 422)
        assert problem["detail"] == "this operation takes no body"
    too_long = rider.client.post(f"{path}/pause", content=b" " * 40_000)
    assert too_long.status_code == 413


def test_a_body_that_says_nothing_is_none(rider: Rider) -> None:
    path = f"/api/workouts/{rider.start()}"
    assert rider.client.post(f"{path}/pause", json={}).status_code == 200
    assert rider.client.post(f"{path}/resume", content=b"").status_code == 200
    assert rider.client.request("DELETE", f"{path}/crop", content=b" { } ").status_code == 202
    # Clients of the original service say it of every ride.
    done = rider.client.post(f"{path}/complete", json={"archiveTelemetry": True})
    assert done.status_code == 202


@pytest.mark.parametrize(
    "operation",
    [each for each in OPERATIONS if list(each.body) == ["application/json"]],
    ids=lambda one: f"{one.method} {one.path}",
)
def test_a_body_that_curl_calls_a_form_is_told_what_to_call_it(
    rider: Rider, session: LoggedIn, operation: Operation
) -> None:
    """400 is what clients of the original service expect of what they know."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    path = path_of(operation).replace(NOBODY, rider.start())
    answer = rider.client.request(operation.method, path, content=b"{}", headers=form)
    if answer.status_code == 403:  # needs a session that was opened just now
        headers = {**form, "Authorization": f"Bearer {session.key}"}
        answer = rider.client.request(operation.method, path, content=b"{}", headers=headers)
    of_old = {"create_workout", "update_workout"}
    problem = problem_of(answer, 400 if operation.handler.__name__ in of_old else 415)
    assert problem["type"] in ("/problems/form-instead", "/problems/unsupported-media-type")
    assert "(curl: -H 'Content-Type: application/json')" in problem["detail"]
    assert problem["errors"][0]["member"] == "Content-Type"


def test_what_clients_of_the_original_service_send_is_in_the_document(rider: Rider) -> None:
    paths = rider.client.get("/openapi.json").json()["paths"]
    listed = {each["name"]: each for each in paths["/api/workouts"]["get"]["parameters"]}
    for name in ("userId", "startDate", "endDate"):
        assert listed[name]["schema"]["deprecated"]
        assert listed[name]["description"]
    assert "`streamName`" in paths["/api/workouts"]["post"]["description"]
    assert "`archiveTelemetry`" in paths["/api/workouts/{id}/complete"]["post"]["description"]


def test_a_parameter_that_is_there_twice_is_refused_everywhere(rider: Rider) -> None:
    for path, name in (
        ("/api/workouts?limit=5&limit=50", "limit"),
        ("/api/workouts?sport=cycling&status=ACTIVE&status=", "status"),
        (f"/api/workouts/{rider.start()}/telemetry?channels=power&channels=speed", "channels"),
    ):
        problem = problem_of(rider.client.get(path), 422)
        assert problem["type"] == "/problems/repeated-name"
        said = {"member": name, "detail": "this parameter is there more than once; send it once"}
        assert problem["errors"] == [said]


@pytest.mark.parametrize(
    ("path", "body", "name"),
    [
        ("/api/workouts", '{"title": "a", "title": "b"}', "title"),
        ("/api/workouts", '{"title": "a", "t\\u0069tle": "a"}', "title"),
        ("/api/users/me/places", '{"places": [{"lat": 1, "lng": 2, "lat": 3}]}', "lat"),
        ("/api/workouts/{id}/exclude", '{"from": 1, "from": "x", "to": 3}', "from"),
    ],
)
def test_a_member_that_is_there_twice_is_refused(
    rider: Rider, path: str, body: str, name: str
) -> None:
    method, path = "PUT" if "places" in path else "POST", path.replace("{id}", rider.start())
    problem = problem_of(rider.client.request(method, path, content=body), 422)
    assert problem["type"] == "/problems/repeated-name"
    assert [fault["member"] for fault in problem["errors"]] == [name]


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
