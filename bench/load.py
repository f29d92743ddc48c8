"""A load of requests: many connections, each with one request under way, from one process.

Of our own, as most load generators take about as much CPU a request as the application that is the
limit here, or more: it would look slower than it is (docs/performance.md has the numbers).
"""

import math
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from selectors import EVENT_READ, DefaultSelector
from typing import Final

import httptools

Address = tuple[str, int]
CONNECTIONS: Final = 64
_TEXT: Final = 1  # kinds of frames of a WebSocket
_CLOSE: Final = 8
_TWO_BYTES: Final = 126  # in place of a length that has two bytes of its own


@dataclass(frozen=True)
class Outcome:
    """What a load measured: the latency of each answer, in seconds."""

    seconds: float
    latencies: list[float]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, part: float) -> float:
        """The latency, in ms, that such a part of the answers kept to."""
        return sorted(self.latencies)[int((len(self.latencies) - 1) * part)] * 1000


def http_request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """The bytes of a request."""
    named = {"Host": "bench", **headers, "Content-Length": len(body)}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def websocket_handshake(path: str, headers: dict[str, str]) -> bytes:
    """The bytes of a request for a WebSocket."""
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    nonce = {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    request = http_request("GET", path, {**headers, **upgrade, **nonce})
    return request.replace(b"Content-Length: 0\r\n", b"")


def text_frame(message: bytes) -> bytes:
    """The bytes of a message of a client, masked by zeros."""
    length = len(message)
    size = bytes((length,)) if length < _TWO_BYTES else b"\x7e" + length.to_bytes(2, "big")
    return bytes((0x80 | _TEXT, size[0] | 0x80)) + size[1:] + bytes(4) + message


def load(
    address: Address,
    requests: Sequence[bytes],
    seconds: float,
    connections: int = CONNECTIONS,
    *,
    least: int = 0,
    rate: float = math.inf,
    exchange: "Callable[[socket.socket], Exchange] | None" = None,
) -> Outcome:
    """Send the requests in turns for so long, ``rate`` of them a second if they are taken as fast.

    All connections together send at least ``least``, and at least as many as they are.

    Raises RuntimeError for an answer that is no success, and for a lost connection.
    """
    turns, latencies, sent = cycle(requests), list[float](), 0
    interval, least = 1 / rate, max(least, connections)
    with ExitStack() as stack, DefaultSelector() as selector:
        idle = deque[Exchange]()
        for _ in range(connections):
            opened = stack.enter_context(socket.create_connection(address))
            idle.append((exchange or Exchange)(opened))
            selector.register(opened, EVENT_READ, idle[-1])
        begin = time.perf_counter()
        while True:
            elapsed = time.perf_counter() - begin
            left = seconds - elapsed if sent >= least else math.inf
            if left <= 0 and len(idle) == connections:
                return Outcome(elapsed, latencies)
            due = sent * interval - elapsed
            if idle and due <= 0 < left:
                idle.popleft().send(next(turns))
                sent += 1
                continue
            for key, _ in selector.select(min(due, left) if idle and left > 0 else None):
                if (latency := key.data.receive()) is not None:
                    latencies.append(latency)
                    idle.append(key.data)


class Exchange:
    """A request and its answer, one after the other, over one connection: by HTTP."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    def send(self, request: bytes) -> None:
        """Send it, whole."""
        self._parser, self.is_answered = httptools.HttpResponseParser(self), False
        self._sent_at = time.perf_counter()
        self._socket.sendall(request)

    def receive(self) -> float | None:
        """Read what has come; the latency, in seconds, if that completes the answer."""
        data = self._socket.recv(1 << 16)
        if not data:
            raise RuntimeError("the server has closed a connection")
        self.take(data)
        return time.perf_counter() - self._sent_at if self.is_answered else None

    def take(self, data: bytes) -> None:
        """A part of the answer. Raises RuntimeError if it is no success."""
        self._parser.feed_data(data)
        if self.is_answered and not 200 <= (status := self._parser.get_status_code()) < 300:
            raise RuntimeError(f"a request was answered with {status}")

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self.is_answered = True


class WebSocketExchange(Exchange):
    """The same by the messages of a WebSocket, which is opened by a request of its own."""

    def __init__(self, connected: socket.socket, handshake: bytes) -> None:
        super().__init__(connected)
        connected.sendall(handshake)
        answer = b""
        while b"\r\n\r\n" not in answer and (data := connected.recv(1 << 16)):
            answer += data
        if not answer.startswith(b"HTTP/1.1 101"):
            raise RuntimeError(f"a WebSocket was refused: {answer[:100]!r}")
        self._held = b""

    def send(self, request: bytes) -> None:
        """Send a frame."""
        self.is_answered, self._sent_at = False, time.perf_counter()
        self._socket.sendall(request)

    def take(self, data: bytes) -> None:
        """Whole frames of less than 64 KiB; pings are passed over."""
        self._held += data
        while len(self._held) >= 2:
            kind, length, start = self._held[0] & 15, self._held[1], 2
            if length == _TWO_BYTES:
                length, start = int.from_bytes(self._held[2:4], "big"), 4
            message = self._held[start : start + length]
            if len(self._held) < start + length:
                return
            self._held = self._held[start + length :]
            if kind == _CLOSE or (kind == _TEXT and b'"accepted"' not in message):
                raise RuntimeError(f"a message was answered with {message[:200]!r}")
            self.is_answered |= kind == _TEXT
