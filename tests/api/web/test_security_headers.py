"""What browsers are told, and which pages of other origins may use the API."""

import re
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import httpx2
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from api.web.security_headers import API_HEADERS, DOCS_HEADERS
from tests.api.answers import T0, problem_of
from tests.api.serving import serving
from tests.conftest import Rider

APP = "https://app.example.com"
PREFLIGHT = {"Origin": APP, "Access-Control-Request-Method": "POST"}


def policy_of(headers: Mapping[str, str]) -> dict[str, str]:
    """What of the answer's headers browsers are told with."""
    names = {name.lower() for name, _ in [*API_HEADERS, *DOCS_HEADERS]}
    return {name: value for name, value in headers.items() if name in names}


API_POLICY = {name.lower(): value for name, value in API_HEADERS}
DOCS_POLICY = {name.lower(): value for name, value in DOCS_HEADERS}


def test_the_api_s_answers_may_do_nothing_in_a_browser() -> None:
    assert API_POLICY == {
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "same-origin",
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
        "cache-control": "private, no-store",
    }


def test_every_kind_of_answer_says_so(rider: Rider, service: str) -> None:
    workout = rider.start()
    telemetry = f"/api/workouts/{workout}/telemetry"
    answers = {
        202: rider.upload(workout, [{"timestamp": T0, "power": 210}]),
        200: rider.client.get(telemetry, params={"format": "csv"}),
        401: httpx2.post(service + telemetry),
        404: rider.client.get("/api/nowhere"),
        405: rider.client.put("/api/workouts"),
        413: rider.upload(workout, "x" * 6_000_000),
        422: rider.client.get("/api/workouts", params={"limit": "x"}),
    }
    for status, answer in answers.items():
        assert answer.status_code == status
        kept = {"cache-control": "private, no-cache"} if status == 200 else {}  # it has an ETag
        assert policy_of(answer.headers) == {**API_POLICY, **kept}, status
    assert policy_of(httpx2.get(f"{service}/openapi.json").headers) == API_POLICY


def test_what_is_no_http_is_refused_with_the_same_headers(service: str) -> None:
    url = urlsplit(service)
    with socket.create_connection((url.hostname, url.port), timeout=20) as connection:
        connection.sendall(b"this is no HTTP\r\n\r\n")
        head = connection.makefile("rb").read().partition(b"\r\n\r\n")[0].decode()
    assert head.startswith("HTTP/1.1 400 ")
    assert policy_of(dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:])) == {
        name: value.lower() for name, value in API_POLICY.items()
    }


@pytest.mark.parametrize("path", ["/nowhere", f"/api/workouts/{UUID(int=0)}/telemetry"])
def test_a_refused_handshake_has_them_too(service: str, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(service.replace("http", "ws") + path, open_timeout=20)
    headers = {name.lower(): value for name, value in refused.value.response.headers.raw_items()}
    assert policy_of(headers) == API_POLICY


def test_the_page_of_the_documentation_runs_its_own_files_alone(service: str) -> None:
    page = httpx2.get(f"{service}/docs")
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(files) == 5
    for answer in (page, *(httpx2.get(service + path) for path in files)):
        assert answer.status_code == 200
        assert policy_of(answer.headers) == DOCS_POLICY
    assert re.findall(r"<script(?! src=)|<style|\sstyle=|\son\w+=", page.text) == []
    assert "unsafe" not in DOCS_POLICY["content-security-policy"]
    assert "frame-ancestors 'none'" in DOCS_POLICY["content-security-policy"]


def test_pages_of_other_origins_may_do_nothing_by_default(rider: Rider, service: str) -> None:
    answer = rider.client.get("/api/workouts", headers={"Origin": APP})
    preflight = httpx2.options(f"{service}/api/workouts", headers=PREFLIGHT)
    for headers in (answer.headers, preflight.headers):
        assert [name for name in headers if name.startswith("access-control")] == []
    assert preflight.status_code == 405


@pytest.fixture(scope="module")
def for_an_app(
    urls: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx2.Client]:
    """An API that a page of one other origin may use."""
    log = tmp_path_factory.mktemp("logs") / "api.log"
    with serving(urls, log, CORS_ORIGINS=f"{APP},capacitor://localhost") as client:
        yield client


def test_a_named_origin_may_upload_and_read_the_answer_s_headers(
    for_an_app: httpx2.Client, rider: Rider
) -> None:
    path = f"/api/workouts/{rider.start()}/telemetry"
    asked = {**PREFLIGHT, "Access-Control-Request-Headers": "authorization,content-type,prefer"}
    preflight = for_an_app.options(path, headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == APP
    key = {"Authorization": f"Bearer {rider.account.api_key}", "Origin": APP}
    answer = for_an_app.post(path, json=[{"timestamp": T0, "power": 210}], headers=key)
    assert answer.status_code == 202
    assert answer.headers["access-control-allow-origin"] == APP
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"Location", "Retry-After", "RateLimit", "Preference-Applied"} <= set(exposed)
    assert "access-control-allow-credentials" not in answer.headers
    refusal = for_an_app.post(path, headers={"Origin": APP})
    problem_of(refusal, 401)
    assert refusal.headers["access-control-allow-origin"] == APP


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://app.example.com", f"{APP}.evil.example", "null"]
)
def test_an_origin_that_is_not_named_may_not(for_an_app: httpx2.Client, origin: str) -> None:
    preflight = for_an_app.options("/api/workouts", headers={**PREFLIGHT, "Origin": origin})
    assert preflight.status_code == 200
    answer = for_an_app.get("/health/live", headers={"Origin": origin})
    for headers in (preflight.headers, answer.headers):
        assert "access-control-allow-origin" not in headers


Handshake = Callable[[httpx2.Client, str], int]


@pytest.fixture
def handshake(rider: Rider) -> Handshake:
    """The status of a handshake with a good key that names an origin."""
    workout = rider.start()

    def open_(client: httpx2.Client, origin: str) -> int:
        url = str(client.base_url).replace("http", "ws") + f"/api/workouts/{workout}/telemetry"
        headers = {"X-API-Key": rider.account.api_key, "Origin": origin}
        try:
            with connect(url, additional_headers=headers, open_timeout=20) as connection:
                return connection.response.status_code if connection.response else 0
        except InvalidStatus as refused:
            return refused.response.status_code

    return open_


def test_a_page_connects_if_its_origin_is_named_or_the_api_s_own(
    for_an_app: httpx2.Client, handshake: Handshake
) -> None:
    own = f"http://{for_an_app.base_url.netloc.decode()}"
    assert handshake(for_an_app, APP) == handshake(for_an_app, own) == 101
    assert handshake(for_an_app, "https://evil.example") == 403
    assert handshake(for_an_app, "null") == 403


def test_by_default_no_other_page_connects(rider: Rider, handshake: Handshake) -> None:
    assert handshake(rider.client, APP) == 403


def test_a_star_that_was_asked_for_stands_for_every_origin(
    urls: Mapping[str, str], tmp_path: Path, handshake: Handshake
) -> None:
    with serving(urls, tmp_path / "api.log", CORS_ORIGINS="*") as client:
        answer = client.get("/health/live", headers={"Origin": "https://any.example"})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert handshake(client, "https://any.example") == 101


@pytest.mark.parametrize("path", ["/health/live", "/api/workouts", "/docs", "/openapi.json"])
def test_a_path_with_a_newline_behind_it_is_another_path(rider: Rider, path: str) -> None:
    assert rider.client.get(path).status_code == 200
    assert rider.client.get(f"{path}%0A").status_code == 404


def test_an_upload_with_a_newline_behind_its_path_is_none(rider: Rider) -> None:
    path = f"/api/workouts/{rider.start()}/telemetry%0A"
    problem_of(rider.client.post(path, json=[{"timestamp": T0, "power": 210}]), 404)
