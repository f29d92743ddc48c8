"""The app that developers copy, let in by a rider's browser on the real service."""

import ast
import json
import stat
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit

import httpx2
import pytest

from examples.oauth_app import App, Refused
from tests.api.apps.conftest import MakeSession, make_session, session
from tests.api.apps.flows import Browser, decide, newcomer, registered
from tests.api.conftest import make_api_key
from tests.api.serving import serving
from tests.api.sessions import LoggedIn
from tests.conftest import ROOT

__all__ = ["make_api_key", "make_session", "session"]
FILE = ROOT / "examples" / "oauth_app.py"


class Rider:
    """Answers, in the browser, what the app asks; ``asked``: how often that was."""

    def __init__(self, browser: Browser, decision: str = "allow") -> None:
        self.browser = browser
        self.decision = decision
        self.asked = 0
        self._pool = ThreadPoolExecutor(1)

    def open(self, address: str) -> None:
        """As `webbrowser.open` does, which does not wait."""
        self.asked += 1
        parts = urlsplit(address)
        self._pool.submit(self._answer, f"{parts.path}?{parts.query}")

    def _answer(self, path: str) -> None:
        location = decide(self.browser, path, self.decision)
        stray = location.partition("?")[0] + "?code=x&state=wr%C3%B6ng"
        assert httpx2.get(stray).status_code == 404
        assert httpx2.get(location).text == "You may close this window now."


@pytest.fixture(scope="module")
def public(urls: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service that knows by which address it is found."""
    log = tmp_path_factory.mktemp("public") / "api.log"
    with serving(urls, log, is_public=True) as client:
        yield str(client.base_url).rstrip("/")


@pytest.fixture
def visitor(public: str, make_session: MakeSession, unthrottled: None) -> Iterator[Browser]:
    """The browser of a rider who has not signed in yet."""
    with Browser(public, replace(make_session(), api=public)) as visitor:
        yield visitor


@pytest.fixture
def client_id(session: LoggedIn) -> str:
    return registered(session, redirectUris=["http://127.0.0.1/signed-in"]).id


def test_the_app_needs_nothing_but_the_standard_library() -> None:
    for node in ast.walk(ast.parse(FILE.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            named = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            for name in named or [getattr(node, "module", "") or ""]:
                assert name.partition(".")[0] in sys.stdlib_module_names


def test_the_rider_is_asked_once_and_the_app_reads_from_then_on(
    visitor: Browser, public: str, client_id: str, tmp_path: Path
) -> None:
    rider, file = newcomer(visitor), tmp_path / "tokens.json"
    rider.call("POST", "/api/workouts", title="Evening ride")
    browser = Rider(visitor)
    app = App(public, client_id, file, browser.open)
    [ride] = app.get("/api/workouts?limit=5")["workouts"]
    assert ride["title"] == "Evening ride"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = json.loads(file.read_text())

    file.write_text(json.dumps({**kept, "expires_at": 0}))  # an hour later
    again = App(public, client_id, file, browser.open)
    assert again.get("/api/workouts")["workouts"][0]["title"] == "Evening ride"
    assert json.loads(file.read_text())["refresh_token"] != kept["refresh_token"]
    assert browser.asked == 1


def test_an_app_that_the_rider_has_ended_asks_again(
    visitor: Browser, public: str, client_id: str, tmp_path: Path
) -> None:
    rider, browser = newcomer(visitor), Rider(visitor)
    app = App(public, client_id, tmp_path / "tokens.json", browser.open)
    app.get("/api/workouts")
    assert rider.call("DELETE", f"/api/connections/{client_id}").status_code == 200
    app.get("/api/workouts")
    assert browser.asked == 2
    app.sign_out()
    assert rider.call("GET", "/api/connections").json() == {"connections": []}


class _Busy(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_error(503)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_service_that_is_busy_does_not_have_the_rider_asked_again(
    visitor: Browser, public: str, client_id: str, tmp_path: Path
) -> None:
    newcomer(visitor)
    browser, file = Rider(visitor), tmp_path / "tokens.json"
    app = App(public, client_id, file, browser.open)
    app.get("/api/workouts")
    kept = {**json.loads(file.read_text()), "expires_at": 0}
    file.write_text(json.dumps(kept))
    with HTTPServer(("127.0.0.1", 0), _Busy) as busy, ThreadPoolExecutor(1) as pool:
        pool.submit(busy.handle_request)
        app._server["token_endpoint"] = f"http://127.0.0.1:{busy.server_port}/"
        with pytest.raises(HTTPError):
            app.get("/api/workouts")
    assert (browser.asked, json.loads(file.read_text())) == (1, kept)


def test_an_app_that_is_denied_says_so(
    visitor: Browser, public: str, client_id: str, tmp_path: Path
) -> None:
    newcomer(visitor)
    app = App(public, client_id, tmp_path / "tokens.json", Rider(visitor, "deny").open)
    with pytest.raises(Refused, match="denied the request"):
        app.get("/api/workouts")
