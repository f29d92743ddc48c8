"""Receivers of webhooks: real servers on this machine, some of which behave badly."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import msgspec
from standardwebhooks import Webhook

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, object]:
        decoded: dict[str, object] = msgspec.json.decode(self.body)
        return decoded

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def is_signed_by(self, secret: str) -> bool:
        return bool(Webhook(secret).verify(self.body, self.headers))


Answer = Callable[[socket.socket, Received], None]


def answering(answer: bytes) -> Answer:
    """Always the same."""
    return lambda connection, _: connection.sendall(answer)


TAKING = answering(OK)


def status(code: int, *headers: str) -> Answer:
    """An empty answer."""
    lines = [f"HTTP/1.1 {code} X", "Content-Length: 0", *headers]
    return answering("\r\n".join([*lines, "", ""]).encode())


def hanging(connection: socket.socket, _: Received) -> None:
    """Never an answer; until the client hangs up."""
    with suppress(OSError):
        connection.recv(1)


def dribbling(connection: socket.socket, _: Received) -> None:
    """A byte now and then, which never come to the end of a head."""
    with suppress(OSError):
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X-More: " + b"x" * 10_000:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)


def flooding(connection: socket.socket, _: Received) -> None:
    """An answer without an end, as fast as it is taken."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    with suppress(OSError):
        while True:
            connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")


@dataclass
class Receiver:
    """What has come so far; ``answer`` may be changed."""

    url: str
    answer: Answer
    received: list[Received] = field(default_factory=list)

    @property
    def numbers(self) -> list[object]:
        """Those of the messages that ``Webhooks.tell`` has written, as they came."""
        return [each.message["data"]["number"] for each in self.received]  # type: ignore[index]


@contextmanager
def receiver(answer: Answer = TAKING, address: str = "127.0.0.1") -> Iterator[Receiver]:
    """A server that notes each request, and answers it as is said."""
    with socket.create_server((address, 0)) as listener:
        found = Receiver(f"http://{address}:{listener.getsockname()[1]}/hook", answer)

        def serve(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                request = _read(connection)
                if request:
                    found.received.append(request)
                    found.answer(connection, request)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=serve, args=[connection], daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield found
        listener.shutdown(socket.SHUT_RDWR)


def _read(connection: socket.socket) -> Received | None:
    stream = connection.makefile("rb")
    line = stream.readline().decode().strip()
    if not line:
        return None
    headers = dict[str, str]()
    while text := stream.readline().decode().strip():
        name, _, value = text.partition(":")
        headers[name.lower()] = value.strip()
    length = int(headers.get("content-length", 0))
    body = stream.read(length)
    return Received(line, headers, body) if len(body) == length else None  # its sender has died
