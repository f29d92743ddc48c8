"""Who is let in, and from where, as the contract with existing clients has it."""

import re
import socket
from collections.abc import Callable, Iterator, Mapping

import httpx2
import pytest

from api.app import COMPATIBLE
from api.identity.auth import LOCAL_USER
from tests.api.answers import problem_of
from tests.api.clients.conftest import Original
from tests.api.clients.talking import Phone, listening
from tests.api.serving import serving

APP = "https://app.example.com"
ALLOWED = {"Content-Type", "X-API-Key", "Authorization", "Cache-Control"}
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
# What these clients ask for, but for the two event streams.
ROUTES = [
    ("POST", "/api/streams/create"),
    ("GET", "/api/streams"),
    ("POST", "/api/streams/x/messages"),
    ("GET", "/api/streams/x/messages"),
    ("DELETE", "/api/streams/x"),
    ("DELETE", "/api/streams/cleanup"),
    ("POST", "/api/workouts"),
    ("GET", "/api/workouts"),
    ("GET", "/api/workouts/by-stream/x"),
    ("GET", f"/api/workouts/{LOCAL_USER}"),
    ("PATCH", f"/api/workouts/{LOCAL_USER}"),
    ("DELETE", f"/api/workouts/{LOCAL_USER}"),
    ("POST", f"/api/workouts/{LOCAL_USER}/complete"),
    ("GET", "/api/users/me"),
    ("GET", f"/api/users/{LOCAL_USER}"),
    ("GET", "/api/users/me/stats"),
    ("PUT", "/api/users/me/ftp"),
    ("GET", "/api/users/me/ftp-history"),
]
STREAMS = [("GET", "/api/streams/listenAll"), ("GET", "/api/streams/x/listen")]
every_route = pytest.mark.parametrize(("method", "path"), ROUTES, ids=lambda each: each)
every_stream = pytest.mark.parametrize(("method", "path"), STREAMS, ids=lambda each: each)
every_path = pytest.mark.parametrize(("method", "path"), ROUTES + STREAMS, ids=lambda each: each)


def test_these_are_all_the_routes_that_only_these_clients_know() -> None:
    known = {(each.method, each.path) for subject in COMPATIBLE for each in subject.operations}
    of_user = re.compile(rf"/({LOCAL_USER}|me)\b")
    of_stream = re.compile(r"/x\b")
    listed = {
        (method, of_stream.sub("/{name}", of_user.sub("/{id}", path)))
        for method, path in ROUTES + STREAMS
    }
    # A stream that has the name of a route is deleted like any other.
    assert known - listed == {
        ("DELETE", "/api/streams/create"),
        ("DELETE", "/api/streams/listenAll"),
    }


def refused(response: httpx2.Response) -> None:
    problem = problem_of(response, 401)
    assert problem["hint"]


@every_path
def test_a_wrong_key_is_refused_with_a_hint(original: Original, method: str, path: str) -> None:
    refused(original.client.request(method, path, headers={"X-API-Key": "wrong"}))


@every_path
@pytest.mark.parametrize("headers", [{}, {"X-API-Key": ""}], ids=["none", "empty"])
def test_without_a_key_nobody_is_let_in_unless_that_is_allowed(
    original: Original, method: str, path: str, headers: dict[str, str]
) -> None:
    with original.client.stream(method, path, headers=headers) as response:
        if original.anonymous:
            assert response.status_code not in (401, 403, 500)
        else:
            response.read()
            refused(response)


@every_route
def test_a_key_in_the_query_is_refused_even_beside_a_good_one(
    phone: Phone, method: str, path: str
) -> None:
    key = phone.account.api_key
    refused(phone.client.request(method, path, params={"apiKey": key}))
    refused(phone.client.request(method, path, params={"apiKey": ""}))


@every_stream
def test_a_key_in_the_query_of_an_event_stream_opens_it(
    original: Original, phone: Phone, method: str, path: str
) -> None:
    del method
    for client in (original.client, phone.client):
        with listening(client, path, apiKey=phone.account.api_key) as listener:
            assert listener.next()["type"] == "connected"


@every_path
def test_every_answer_may_be_read_by_pages_of_other_origins(
    original: Original, phone: Phone, method: str, path: str
) -> None:
    """Successes, refusals and event streams; whether an origin is named or not."""
    for client in (phone.client, original.client):
        for headers in ({}, {"Origin": APP}):
            with client.stream(method, path, headers=headers) as response:
                assert_allows(response)


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/api/nowhere", "/openapi.json"])
def test_so_may_whatever_is_no_part_of_the_contract(original: Original, path: str) -> None:
    assert_allows(original.client.get(path))


def test_so_may_a_refusal_of_what_is_no_request(original: Original) -> None:
    url = original.client.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=30) as connection:
        connection.sendall(b"what is no request\r\n\r\n")
        head = connection.recv(4096)
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"\r\naccess-control-allow-origin: *\r\n" in head.lower()


@every_path
def test_options_needs_no_key(original: Original, method: str, path: str) -> None:
    preflight = {
        "Origin": APP,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "x-api-key,content-type",
    }
    for headers in (preflight, {}):
        response = original.client.options(path, headers=headers)
        assert response.status_code == 200
        assert_allows(response)


def assert_allows(response: httpx2.Response) -> None:
    headers = response.headers
    assert headers.get_list("access-control-allow-origin") == ["*"]
    assert set(headers["access-control-allow-methods"].split(", ")) == METHODS
    assert set(headers["access-control-allow-headers"].split(", ")) >= ALLOWED


def test_who_sends_no_key_is_one_local_user(original: Original, phone: Phone, name: str) -> None:
    if not original.anonymous:
        refused(original.client.get("/api/users/me"))
        return
    me = original.client.get("/api/users/me").json()
    assert me["id"] == str(LOCAL_USER)
    local = Phone(phone.account, original.client)
    local.send(name, "without a key")
    assert local.texts(name) == ["without a key"]
    assert phone.texts(name) == []  # a key is its user's
    with listening(original.client, "/api/streams/listenAll") as listener:
        assert listener.next()["type"] == "connected"
        local.send(name, "heard")
        assert listener.next()["data"]["message"] == "heard"
    workout = local.start(name)["id"]
    assert local.complete(workout)["workout"]["status"] == "COMPLETED"


def test_who_sends_no_key_makes_none(original: Original) -> None:
    wanted = {"name": "for later", "scopes": ["admin"]}
    problem_of(original.client.post("/api/keys", json=wanted), 403 if original.anonymous else 401)
    problem_of(original.client.delete("/api/users/me"), 403 if original.anonymous else 401)


@pytest.fixture(scope="module")
def home(
    urls: Mapping[str, str], service: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx2.Client]:
    """A service of a home network, which pages of one origin may use."""
    log = tmp_path_factory.mktemp("logs") / "api.log"
    with serving(urls, log, ALLOW_ANONYMOUS="1", CORS_ORIGINS=APP) as client:
        yield client
    assert "ALLOW_ANONYMOUS: whoever reaches this address" in log.read_text()


def test_a_page_of_another_origin_is_not_the_local_user(home: httpx2.Client) -> None:
    """Whatever page somebody opens at home: a browser sends its requests, and it sees no answer."""
    path = "/api/streams/create"
    for origin in ("https://evil.example", "null"):
        refused(home.post(path, json={"streamName": "x"}, headers={"Origin": origin}))
    for headers in ({}, {"Origin": APP}, {"Origin": f"http://{home.base_url.netloc.decode()}"}):
        assert home.post(path, json={"streamName": "x"}, headers=headers).status_code == 200


def test_a_page_of_ours_whose_session_has_ended_is_not_the_local_user(
    home: httpx2.Client,
) -> None:
    refused(home.post("/api/workouts", json={}, headers={"X-CSRF-Token": "of an ended session"}))


def test_a_named_origin_alone_is_told_that_it_may(home: httpx2.Client) -> None:
    for headers in ({}, {"Origin": APP}):
        assert home.get("/health", headers=headers).headers["access-control-allow-origin"] == APP
    other = home.get("/health", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers
    assert "Origin" in other.headers["vary"]


def test_by_default_a_request_without_a_key_is_refused(service: str) -> None:
    refused(httpx2.get(f"{service}/api/streams"))


@pytest.mark.parametrize("scope", ["upload", "read", "admin"])
def test_a_key_may_do_what_its_scope_says(
    original: Original, phone: Phone, make_api_key: Callable[..., str], scope: str, name: str
) -> None:
    phone.send(name, "x")
    key = make_api_key(phone.account.user_id, [scope])
    needed = {
        "upload": [("POST", "/api/streams/create"), ("POST", f"/api/streams/{name}/messages")],
        "read": [
            *(("GET", "/api/streams"), ("GET", f"/api/streams/{name}/messages")),
            *(("GET", "/api/users/me/stats"), ("GET", "/api/users/me/ftp-history")),
            *(("GET", f"/api/users/{phone.account.user_id}"), ("GET", "/api/streams/listenAll")),
            *(("GET", f"/api/streams/{name}/listen"), ("GET", "/api/workouts/by-stream/none")),
        ],
        "admin": [
            *(("PUT", "/api/users/me/ftp"), ("DELETE", "/api/streams/none")),
            ("DELETE", "/api/streams/cleanup"),
        ],
    }
    for of, calls in needed.items():
        for method, path in calls:
            with original.client.stream(method, path, headers={"X-API-Key": key}) as response:
                assert (response.status_code == 403) == (of != scope), (method, path)
