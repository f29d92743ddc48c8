"""The log: a line a request where it is asked for, and quiet about what is no trouble."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

import httpx2
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from ops.admin.accounts import create_account
from tests.api.answers import T0, eventually
from tests.conftest import Rider, serving

KEY: Final = "X-Request-Id"
LINE: Final = re.compile(
    r"access_log: (\S+) (\S+) (\S+) [0-9]+\.[0-9] ms user=(\S+) workout=(\S+) request=(\S+)$",
    re.MULTILINE,
)


@pytest.fixture(scope="module")
def logging_service(
    urls: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """An API process with ACCESS_LOG, and its log."""
    log = tmp_path_factory.mktemp("log") / "api.log"
    with serving(log, **urls, ACCESS_LOG="1") as url:
        yield url, log


def lines_of(log: Path, request_id: str) -> list[tuple[str, ...]]:
    """Those of a request, once there is one: it is written after the answer."""
    eventually(lambda: request_id in log.read_text())
    return [found for found in LINE.findall(log.read_text()) if found[-1] == request_id]


def test_a_request_is_a_line_with_its_route_and_its_ids(
    logging_service: tuple[str, Path], urls: dict[str, str]
) -> None:
    url, log = logging_service
    account = create_account(urls["DATABASE_URL"], f"{uuid4()}@example.com", "key")
    with httpx2.Client(base_url=url, headers={"X-API-Key": account.api_key}) as client:
        ride = client.post("/api/workouts").json()["workout"]["id"]
        asked = uuid4().hex
        for request_id in ("1", "2", "3", asked):  # only first batches are unusual
            sent = client.post(
                f"/api/workouts/{ride}/telemetry",
                json=[{"timestamp": T0, "power": 200}],
                headers={KEY: request_id},
            )
            assert sent.headers[KEY] == request_id
        made = client.get("/api/workouts", params={"q": "secret"}).headers[KEY]
        unknown = client.get("/api/nowhere/at-all").headers[KEY]
        page = client.get("/static/none").headers[KEY]
    route = "/api/workouts/{id}/telemetry"
    assert lines_of(log, asked) == [("POST", route, "202", str(account.user_id), ride, asked)]
    user = str(account.user_id)
    assert lines_of(log, made) == [("GET", "/api/workouts", "200", user, "-", made)]
    assert lines_of(log, unknown) == [("GET", "-", "404", "-", "-", unknown)]
    assert lines_of(log, page)[0][2] == "404"
    assert "secret" not in log.read_text()


def test_an_id_that_could_forge_a_line_is_not_taken(logging_service: tuple[str, Path]) -> None:
    url, _ = logging_service
    for bad in ("a b", "x" * 129, "{}"):
        answer = httpx2.get(f"{url}/health/live", headers={KEY: bad})
        assert re.fullmatch("[0-9a-f]{32}", answer.headers[KEY])


def test_what_opens_a_ride_is_in_no_line(logging_service: tuple[str, Path]) -> None:
    url, log = logging_service
    token = "Zb3Zl1sNq0vT8xJ5hWc2RkY7uPmE4aGdF9iLoXyVt6Q"
    asked = httpx2.get(f"{url}/api/shared/{token}").headers[KEY]
    assert lines_of(log, asked) == [("GET", "/api/shared/{token}", "404", "-", "-", asked)]
    assert token not in log.read_text()


def test_a_refused_websocket_is_a_line_and_no_error(logging_service: tuple[str, Path]) -> None:
    url, log = logging_service
    asked = {path: uuid4().hex for path in (f"/api/workouts/{uuid4()}/telemetry", "/nowhere")}
    for path, id_ in asked.items():
        place = url.replace("http", "ws") + path
        with pytest.raises(InvalidStatus) as caught, connect(place, additional_headers={KEY: id_}):
            pass
        assert caught.value.response.headers[KEY] == id_
    statuses = [lines_of(log, id_)[0][:3] for id_ in asked.values()]
    assert statuses == [
        ("WEBSOCKET", "/api/workouts/{id}/telemetry", "401"),
        ("WEBSOCKET", "-", "404"),
    ]
    assert " ERROR " not in log.read_text()


def test_without_the_setting_there_is_neither_line_nor_id(rider: Rider) -> None:
    assert KEY not in rider.client.get("/api/workouts", headers={KEY: "mine"}).headers
