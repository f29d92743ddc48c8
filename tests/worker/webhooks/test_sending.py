"""To which address an attempt goes, and by whose certificate: names are not what they were."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.x509 import DNSName

from shared.webhooks import make_secret
from tests.certificates import write_certificate
from tests.worker.webhooks.receiving import Received, answering, hanging, receiver
from worker.webhooks.resolving import resolve
from worker.webhooks.sending import Outcome, Sender
from worker.webhooks.store import Delivery

NAME = "hook.example.com"


def _delivery(url: str) -> Delivery:
    ids = {"id": 1, "webhook_id": uuid4(), "user_id": uuid4(), "message_id": "msg_1"}
    now = datetime.now(UTC)
    return Delivery(
        **ids,  # type: ignore[arg-type]
        payload={"type": "x", "data": {}},
        attempts=1,
        tried_at=now,
        url=url,
        secret=make_secret(),
        old_secret=None,
    )


def _send(
    url: str, *addresses: str, allow_private: bool = False, timeout: float = 5
) -> tuple[Outcome, list[tuple[str, int]]]:
    """The outcome, and what was resolved."""
    asked = list[tuple[str, int]]()

    async def answer(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return list(addresses)

    async def attempt() -> Outcome:
        sender = Sender(allow_private=allow_private, timeout=timeout, resolve=answer)
        try:
            return await sender.send(_delivery(url))
        finally:
            await sender.aclose()

    return asyncio.run(attempt()), asked


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The addresses that sockets were asked to connect to, in vain."""
    tried = list[object]()

    async def refuse(
        _: object, protocol: object, host: object = None, *rest: object, **more: object
    ) -> None:
        tried.append(host)
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio.BaseEventLoop, "create_connection", refuse)
    return tried


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.1", "::ffff:192.168.1.1"])
def test_a_name_of_a_private_address_is_refused_unseen(
    connected: list[object], address: str
) -> None:
    """Also one that stood for a public address when the webhook was made."""
    outcome, asked = _send(f"https://{NAME}:8443/hook", address)
    assert asked == [(NAME, 8443)]
    assert outcome.problem == "its name stands for no address of the public internet"
    assert connected == []


def test_of_several_addresses_only_the_public_ones_are_connected_to(
    connected: list[object],
) -> None:
    """To the very addresses that were looked at: the name is not resolved again."""
    outcome, asked = _send(
        f"https://{NAME}/", "127.0.0.1", "1.1.1.1", "fe80::1", "8.8.8.8", "9.9.9.9", "1.0.0.1"
    )
    assert asked == [(NAME, 443)]
    assert connected == ["1.1.1.1", "8.8.8.8", "9.9.9.9"]
    assert str(outcome.problem).startswith("cannot be reached")


def test_http_is_refused_where_private_addresses_are(connected: list[object]) -> None:
    outcome, asked = _send(f"http://{NAME}/", "1.1.1.1")
    assert outcome.problem == "its address must begin with https://"
    assert asked == connected == []


def test_a_name_that_cannot_be_resolved_is_a_problem_of_the_receiver() -> None:
    async def fail(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    outcome = asyncio.run(
        Sender(allow_private=False, timeout=5, resolve=fail).send(_delivery(f"https://{NAME}/"))
    )
    assert outcome.problem == "its name cannot be resolved: Name or service not known"


def test_a_name_is_asked_for_as_it_is_written() -> None:
    """Decoded, ß would be asked for as ss, which is another's name."""
    outcome, asked = _send("https://xn--strae-oqa.example/", "127.0.0.1")
    assert asked == [("xn--strae-oqa.example", 443)]
    assert outcome.problem == "its name stands for no address of the public internet"


def test_names_are_resolved_by_the_machine() -> None:
    assert "127.0.0.1" in asyncio.run(resolve("localhost", 80))
    with pytest.raises(OSError, match="is no name"):
        asyncio.run(resolve(f"{'x' * 70}.example", 80))


def test_a_name_server_that_hangs_is_waited_for_no_longer_than_an_attempt_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And not when the process ends: its thread is a daemon."""
    over = threading.Event()

    def hang(*_: object, **__: object) -> None:
        over.wait(30)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    outcome = asyncio.run(
        Sender(allow_private=False, timeout=0.1).send(_delivery(f"https://{NAME}/"))
    )
    assert outcome.problem == "no answer within 0.1 s"
    assert [each.daemon for each in threading.enumerate() if each.name == "resolver"] == [True]
    over.set()


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as proxy, receiver() as found:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        outcome, _ = _send(found.url, "127.0.0.1", allow_private=True)
    assert outcome.is_success
    assert proxy.received == []


def test_an_address_after_one_that_is_away_is_tried() -> None:
    with receiver() as found:
        outcome, _ = _send(found.url, "127.0.0.2", "127.0.0.1", allow_private=True)
    assert outcome.is_success


def test_an_address_that_takes_it_and_hangs_is_the_only_one() -> None:
    """Else the receiver would be told twice by one attempt."""
    with receiver(hanging) as found:
        own = {"allow_private": True, "timeout": 2}
        outcome, _ = _send(found.url, "127.0.0.1", "127.0.0.1", **own)  # type: ignore[arg-type]
    assert outcome.problem == "no answer within 2 s"
    assert len(found.received) == 1


def test_a_status_that_came_in_time_counts_however_long_the_rest_takes() -> None:
    """It has been taken: sent again, it would be there twice."""

    def answer(connection: socket.socket, request: Received) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
        hanging(connection, request)

    with receiver(answer) as found:
        own = {"allow_private": True, "timeout": 0.9}
        outcome, _ = _send(found.url, "127.0.0.1", **own)  # type: ignore[arg-type]
    assert outcome == Outcome(200)


@pytest.mark.parametrize(
    "answer",
    [b"SECRET of 1 line\r\n\r\n", b"HTTP/1.1 200 OK\r\nSECRET " + b"x" * 60_000 + b"\r\n\r\n"],
)
def test_nothing_that_a_receiver_sends_is_told(answer: bytes) -> None:
    """Whoever names an address would read there what the service reads."""
    with receiver(answering(answer)) as found:
        outcome, _ = _send(found.url, "127.0.0.1", allow_private=True)
    assert outcome == Outcome(problem="no answer of HTTP: nothing came, or something else")


@dataclass
class TlsReceiver:
    """A receiver with a certificate for a name; under which names it was asked for."""

    port: int
    asked_for: list[str | None] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsReceiver]:
    """Trusted by whoever makes a context during the test."""
    certificate = write_certificate(tmp_path, DNSName(NAME))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = TlsReceiver(listener.getsockname()[1])
        context.sni_callback = lambda _, name, __: found.asked_for.append(name)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with suppress(OSError), context.wrap_socket(connection, server_side=True) as s:
                        found.heads.append(s.recv(65536))
                        s.sendall(b"HTTP/1.1 204 X\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        yield found
        listener.shutdown(socket.SHUT_RDWR)


def test_the_certificate_is_to_be_that_of_the_name(tls: TlsReceiver) -> None:
    """Although the connection is to an address."""
    outcome, _ = _send(f"https://{NAME}:{tls.port}/", "127.0.0.1", allow_private=True)
    assert outcome == Outcome(204)
    assert tls.asked_for == [NAME]
    assert f"\r\nHost: {NAME}:{tls.port}\r\n".encode() in tls.heads[0]


def test_a_certificate_of_another_name_is_refused(tls: TlsReceiver) -> None:
    """Before anything is sent."""
    outcome, _ = _send(f"https://other.example.com:{tls.port}/", "127.0.0.1", allow_private=True)
    assert "certificate" in str(outcome.problem)
    assert b"".join(tls.heads) == b""
