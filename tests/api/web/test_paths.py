"""Paths that do not exist name the nearest that does, and so do WebSockets."""

import httpx2
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from api.web.paths import Paths
from api.web.problems import kinds_of_problems
from tests.api.answers import problem_of
from tests.conftest import Rider

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/api/workouts/", "/api/workouts"),
        ("/api/workout", "/api/workouts"),
        ("/workouts", "/api/workouts"),
        (f"/api/workouts/{NOBODY}/telemetri", "/api/workouts/{id}/telemetry"),
        ("/api/users/me/threshold", "/api/users/me/thresholds"),
        ("/health/", "/health"),
        ("/api/me", "/api/users/me"),
        (f"/api/workouts/{NOBODY}/samples", "/api/workouts/{id}/telemetry"),
        ("/api/activities", "/api/workouts"),
        (f"/api/workouts/{NOBODY}/stop", "/api/workouts/{id}/complete"),
        ("/swagger", "/docs"),
        ("/rides/", "/rides"),
    ],
)
def test_an_unknown_path_names_the_nearest(service: str, path: str, meant: str) -> None:
    problem = problem_of(httpx2.get(service + path), 404)
    assert problem["type"] == "/problems/no-such-path"
    assert problem["detail"] == f"there is nothing at this path; did you mean {meant}?"


@pytest.mark.parametrize("path", ["/wp-login.php", "/api/" + "x" * 10_000])
def test_a_path_that_is_like_none_names_where_all_are_described(service: str, path: str) -> None:
    detail = problem_of(httpx2.get(service + path), 404)["detail"]
    assert detail == "there is nothing at this path; /docs shows what there is"


def test_a_browser_is_told_of_the_nearest_page(service: str) -> None:
    answer = httpx2.get(f"{service}/ridse", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "Did you mean /rides?" in answer.text


@pytest.mark.parametrize("path", ["/api/workouts", "/telemetry", "/docs/assets/index.html"])
def test_a_websocket_at_another_path_is_told_where_they_are(rider: Rider, path: str) -> None:
    url = str(rider.client.base_url).rstrip("/").replace("http", "ws") + path
    with pytest.raises(InvalidStatus) as caught, connect(url, open_timeout=20):
        pass
    answer = caught.value.response
    assert answer.status_code == 404
    assert b"but at /api/workouts/{id}/telemetry" in answer.body


def test_what_stands_at_the_place_of_an_id_does_not_count() -> None:
    paths = Paths(["/rides/{id}/laps", "/shares/{id}"], [])
    assert paths.nearest("/rides/x/lap") == "/rides/{id}/laps"
    assert paths.nearest(f"/share/{'x' * 60}") == "/shares/{id}"


def test_every_kind_of_problem_is_explained_at_its_address(service: str) -> None:
    kinds = httpx2.get(f"{service}/problems").json()["problems"]
    assert [kind["type"] for kind in kinds] == sorted(
        [kind["type"] for kind in kinds],
        key=lambda address: next((k["status"], address) for k in kinds if k["type"] == address),
    )
    assert {kind["type"] for kind in kinds} == {f"/problems/{name}" for name in kinds_of_problems()}
    for kind in kinds:
        assert httpx2.get(service + kind["type"]).json() == kind
        assert kind["explanation"].endswith(".")


def test_a_browser_reads_an_explanation_as_a_page(service: str) -> None:
    answer = httpx2.get(f"{service}/problems/unknown-name", headers={"Accept": "text/html"})
    assert answer.headers["content-type"].startswith("text/html")
    assert "<h1>A name that is not known</h1>" in answer.text
    assert "<code>errors</code>" in answer.text


def test_a_kind_of_problem_that_there_is_not_names_the_nearest(service: str) -> None:
    detail = problem_of(httpx2.get(f"{service}/problems/unknown-nam"), 404)["detail"]
    assert detail == "there is no such kind of problem; did you mean /problems/unknown-name?"


def test_the_document_lists_every_kind_of_problem(service: str) -> None:
    about = httpx2.get(f"{service}/openapi.json").json()["info"]["description"]
    assert all(f"(/problems/{name})" in about for name in kinds_of_problems())
