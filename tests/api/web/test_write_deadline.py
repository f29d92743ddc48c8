"""Peers that do not read: they lose their connection, and cost no more than its buffers."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.api.answers import eventually
from tests.api.serving import serving
from tests.conftest import Rider

MOST_TAKEN = 64 * 1024 * 1024
CONNECTIONS = Path("/proc/net/tcp")
# Frames with the longest payload there is, masked with zeros.
PING = b"\x89\xfd" + bytes(4) + b"x" * 125
PONG = b"\x8a\xfd" + bytes(4) + b"x" * 125
# A text message in parts of one byte each.
BEGIN = b"\x01\x81" + bytes(4) + b"x"
PART = b"\x00\x81" + bytes(4) + b"x"
END = b"\x80\x81" + bytes(4) + b"x"


@pytest.fixture(scope="module")
def impatient(
    urls: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx2.Client]:
    """An API that waits a second for whatever its peers owe it."""
    log = tmp_path_factory.mktemp("logs") / "api.log"
    with serving(urls, log, BODY_TIMEOUT="1") as client:
        yield client


class Deaf:
    """A connection that takes little, and nothing of it is read."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.ports = (connection.getpeername()[1], connection.getsockname()[1])

    def flood(self, data: bytes) -> int:
        """Send it again and again until the server takes no more; the bytes that it took."""
        taken = 0
        with suppress(OSError):  # a time-out, or the end of the connection
            while taken < MOST_TAKEN:
                taken += self.connection.send(data)
        return taken

    def is_open(self) -> bool:
        """Whether the server still has its end of it, by the kernel's table of connections."""
        rows = [line.split() for line in CONNECTIONS.read_text().splitlines()[1:]]
        established = {(port_of(row[1]), port_of(row[2])) for row in rows if row[3] == "01"}
        return self.ports in established


def port_of(address: str) -> int:
    return int(address.split(":")[1], 16)


@contextmanager
def connected(client: httpx2.Client) -> Iterator[Deaf]:
    address = urlsplit(str(client.base_url))
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((address.hostname, address.port))
        connection.settimeout(2)
        yield Deaf(connection)


needs_linux = pytest.mark.skipif(not CONNECTIONS.exists(), reason="only Linux has /proc/net/tcp")


@needs_linux
@pytest.mark.parametrize(
    "target", [b"/docs/assets/swagger-ui-bundle.js", b"/openapi.json", b"/health/live"]
)
def test_who_does_not_read_its_answers_is_hung_up_on(
    impatient: httpx2.Client, target: bytes
) -> None:
    request = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % target
    with connected(impatient) as deaf:
        assert deaf.flood(request * 100) < MOST_TAKEN
        eventually(lambda: not deaf.is_open())
    assert impatient.get("/health/live").is_success


def handshake(rider: Rider) -> bytes:
    return (
        f"GET /api/workouts/{rider.start()}/telemetry HTTP/1.1\r\nHost: x\r\n"
        f"X-API-Key: {rider.account.api_key}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    ).encode()


@needs_linux
@pytest.mark.parametrize("frame", [PING, PONG, PART], ids=["pings", "pongs", "parts"])
def test_frames_without_end_that_nobody_reads_answers_to_are_not_taken_for_long(
    impatient: httpx2.Client, rider: Rider, frame: bytes
) -> None:
    with connected(impatient) as deaf:
        deaf.connection.sendall(handshake(rider))
        assert deaf.connection.recv(4096).startswith(b"HTTP/1.1 101 ")
        assert deaf.flood(frame * 1000) < MOST_TAKEN
        eventually(lambda: not deaf.is_open())
    assert impatient.get("/health/live").is_success


@pytest.mark.parametrize("frame", [PING, PONG, PART], ids=["pings", "pongs", "parts"])
def test_more_frames_than_anybody_needs_end_the_connection_though_their_answers_are_read(
    impatient: httpx2.Client, rider: Rider, frame: bytes
) -> None:
    address = urlsplit(str(impatient.base_url))
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(handshake(rider))
        assert connection.recv(4096).startswith(b"HTTP/1.1 101 ")
        connection.sendall(BEGIN + frame * 20 + END if frame is PART else frame * 20)
        if frame is PART:
            assert b'"status":400' in connection.recv(4096)  # no JSON, but a message
        connection.sendall(BEGIN + frame * 1000 if frame is PART else frame * 1000)
        with suppress(ConnectionResetError):
            while connection.recv(65536):
                pass  # until it is hung up on


@pytest.mark.parametrize("method", [b"GET", b"POST", b"OPTIONS"])
def test_a_body_that_nobody_waits_for_any_more_keeps_no_connection_open(
    impatient: httpx2.Client, method: bytes
) -> None:
    """The answer is complete without it, and each late byte would put off the end."""
    address = urlsplit(str(impatient.base_url))
    head = b"%s /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" % method
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(head)
        assert connection.recv(4096).startswith(b"HTTP/1.1 ")
        connection.sendall(b"x")
        with suppress(ConnectionResetError):
            while connection.recv(4096):
                pass  # until it is hung up on
