"""Who is believed when they say where a request came from."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from api.__main__ import configure
from shared.settings import read_settings
from tests.api.serving import serving

URLS = {"DATABASE_URL": "postgresql://db/bike", "REDIS_URL": "redis://cache"}
HSTS = "strict-transport-security"
BY_TLS = {"X-Forwarded-Proto": "https"}


async def origin(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers where the request came from."""
    request = Request(scope)
    client = request.client
    await JSONResponse([client and client.host, request.url.scheme])(scope, receive, send)


def seen(proxies: str, peer: str, forwarded: list[str], proto: str = "https") -> list[Any]:
    """What an application of ours knows of a request that a peer sends with such headers."""
    config = configure(origin, read_settings({**URLS, "TRUSTED_PROXIES": proxies}))
    config.load()
    app: Any = config.loaded_app

    async def ask() -> httpx2.Response:
        transport = httpx2.ASGITransport(app, client=(peer, 40000))
        headers = [("X-Forwarded-Proto", proto), *(("X-Forwarded-For", one) for one in forwarded)]
        async with httpx2.AsyncClient(transport=transport, base_url="http://api") as client:
            return await client.get("/", headers=headers)

    answer: list[Any] = asyncio.run(ask()).json()
    return answer


def test_nobody_is_believed_by_default() -> None:
    assert seen("", "127.0.0.1", ["1.2.3.4"]) == ["127.0.0.1", "http"]


def test_a_peer_that_is_not_named_is_not_believed() -> None:
    assert seen("10.0.0.0/8", "192.0.2.1", ["1.2.3.4"]) == ["192.0.2.1", "http"]


@pytest.mark.parametrize("proxies", ["10.0.0.7", "10.0.0.0/8", "::1, 10.0.0.7"])
def test_a_named_proxy_is_believed(proxies: str) -> None:
    assert seen(proxies, "10.0.0.7", ["1.2.3.4"]) == ["1.2.3.4", "https"]


@pytest.mark.parametrize(
    "forwarded", [["8.8.8.8, 1.2.3.4"], ["8.8.8.8", "1.2.3.4"], ["10.0.0.9, 1.2.3.4, 10.0.0.8"]]
)
def test_the_client_is_the_last_hop_that_no_proxy_of_ours_is(forwarded: list[str]) -> None:
    """What stands to the left of it, the client itself may have written."""
    assert seen("10.0.0.0/8", "10.0.0.7", forwarded) == ["1.2.3.4", "https"]


def test_a_scheme_that_is_none_is_ignored() -> None:
    assert seen("10.0.0.7", "10.0.0.7", ["1.2.3.4"], proto="gopher") == ["1.2.3.4", "http"]


def test_browsers_are_held_to_tls_only_where_a_named_proxy_speaks_it(
    urls: Mapping[str, str], tmp_path: Path
) -> None:
    with serving(urls, tmp_path / "api.log", TRUSTED_PROXIES="127.0.0.1") as client:
        assert client.get("/health/live", headers=BY_TLS).headers[HSTS] == "max-age=31536000"
        assert client.post("/api/workouts", headers=BY_TLS).headers[HSTS] == "max-age=31536000"
        assert HSTS not in client.get("/health/live").headers
    with serving(urls, tmp_path / "api.log", TRUSTED_PROXIES="192.0.2.1") as client:
        assert HSTS not in client.get("/health/live", headers=BY_TLS).headers


def test_a_peer_without_an_address_is_not_believed(urls: Mapping[str, str], tmp_path: Path) -> None:
    proxies = "0.0.0.0/0,::/0"
    with serving(urls, tmp_path / "api.log", unix=True, TRUSTED_PROXIES=proxies) as client:
        assert HSTS not in client.get("/health/live", headers=BY_TLS).headers
