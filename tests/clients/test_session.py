"""A client that knows the contract and nothing else: a whole session from a page, and from Node."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.conftest import Rider, need, serving

HERE = Path(__file__).parent


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """Of a web server that has the page and nothing else to do with the service."""
    serve = partial(_Quiet, directory=str(HERE))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


Serve = Callable[..., Any]


@pytest.fixture
def serve(service: str, urls: dict[str, str], tmp_path: Path) -> Serve:
    """A further API process beside those of `service`, whose worker computes its rides."""
    return partial(serving, tmp_path / "api.log", **urls)


def in_a_page(browser: Browser, origin: str, url: str, key: str | None) -> dict[str, Any]:
    """What the session has seen in a page of another origin."""
    with _page(browser) as (page, errors):
        page.goto(f"{origin}/page.html")
        page.wait_for_function("() => window.begin !== undefined")
        told: dict[str, Any] = page.evaluate("([url, key]) => begin(url, key)", [url, key])
    assert errors == []
    return told


@contextmanager
def _page(browser: Browser) -> Iterator[tuple[Any, list[str]]]:
    context = browser.new_context()
    page, errors = context.new_page(), list[str]()
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        yield page, errors
    finally:
        context.close()


def in_node(url: str, key: str | None) -> dict[str, Any]:
    """What the session has seen in Node, which asks no origin."""
    need("node", "nodejs")
    command = ["node", str(HERE / "node.mjs"), url, *([key] if key else [])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def assert_whole(told: dict[str, Any]) -> None:
    """The last step was taken, and the ride has a minute of 200 W and 220 W in turns."""
    assert told["steps"][-1] == "beRefused"
    summary = told["seen"]["workout"]["summary"]
    assert (summary["sampleCount"], summary["avgPower"], summary["maxPower"]) == (60, 210, 220)


def test_a_session_in_a_page_of_another_origin(
    browser: Browser, origin: str, serve: Serve, rider: Rider
) -> None:
    with serve(CORS_ORIGINS=origin) as url:
        assert_whole(in_a_page(browser, origin, url, rider.account.api_key))


def test_a_session_in_a_page_without_a_key(browser: Browser, origin: str, serve: Serve) -> None:
    with serve(CORS_ORIGINS="*", ALLOW_ANONYMOUS="1") as url:
        assert_whole(in_a_page(browser, origin, url, None))


def test_a_page_of_an_origin_that_is_not_named_reads_nothing(
    browser: Browser, origin: str, serve: Serve, rider: Rider
) -> None:
    with serve(CORS_ORIGINS="https://elsewhere.example") as url, _page(browser) as (page, _):
        page.goto(f"{origin}/page.html")
        request = "([url, key]) => fetch(url, {headers: {'X-API-Key': key}}).then(() => 1, () => 0)"
        assert page.evaluate(request, [f"{url}/api/streams", rider.account.api_key]) == 0


def test_a_session_in_node(serve: Serve, rider: Rider) -> None:
    with serve() as url:
        assert_whole(in_node(url, rider.account.api_key))


def test_a_session_in_node_without_a_key(serve: Serve) -> None:
    with serve(ALLOW_ANONYMOUS="1") as url:
        assert_whole(in_node(url, None))
