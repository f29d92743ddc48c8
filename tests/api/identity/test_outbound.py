"""The bounds of what the API asks others, against a server that keeps none."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

import httpx2
import pytest

from api.identity.outbound import BoundedTransport


@contextmanager
def served(head: bytes, part: bytes, pause: float) -> Iterator[str]:
    """A server that sends parts for as long as anybody reads them."""

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            with suppress(ConnectionError):
                self.request.recv(65_536)
                self.request.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
                while True:
                    self.request.sendall(part)
                    time.sleep(pause)

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def ask(url: str, time_limit: float) -> None:
    async def run() -> None:
        transport = BoundedTransport(time_limit)
        try:
            async with httpx2.AsyncClient(transport=transport) as client:
                await client.get(url)
        finally:
            await transport.shut()

    asyncio.run(run())


def test_an_answer_that_drips_for_ever_is_given_up() -> None:
    with served(b"", b" ", 0.01) as url, pytest.raises(TimeoutError):
        ask(url, time_limit=0.5)


def test_an_answer_without_end_is_given_up() -> None:
    with (
        served(b"", 65_536 * b" ", 0) as url,
        pytest.raises(httpx2.RemoteProtocolError, match="longer than 262144 bytes"),
    ):
        ask(url, time_limit=60)


def test_a_compressed_answer_is_not_unpacked() -> None:
    with (
        served(b"Content-Encoding: gzip\r\n", b"\x1f\x8b", 0.01) as url,
        pytest.raises(httpx2.RemoteProtocolError, match="compressed"),
    ):
        ask(url, time_limit=60)
