"""A load of HTTP requests: many connections, each with one request under way, from one process.

Of our own, as most load generators take about as much CPU a request as the application that is the
limit here, or more: it would look slower than it is (docs/performance.md has the numbers).
"""

import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from selectors import EVENT_READ, DefaultSelector
from typing import Final

import httptools

Address = tuple[str, int]
CONNECTIONS: Final = 64


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


def load(
    address: Address, requests: Sequence[bytes], seconds: float, connections: int = CONNECTIONS
) -> Outcome:
    """Send the requests in turns for so long; each connection sends one at least.

    Raises RuntimeError for an answer that is no success, and for a lost connection.
    """
    turns, latencies = cycle(requests), list[float]()
    with ExitStack() as stack, DefaultSelector() as selector:
        begin = time.perf_counter()
        for _ in range(connections):
            opened = stack.enter_context(socket.create_connection(address))
            exchange = _Exchange(opened)
            selector.register(opened, EVENT_READ, exchange)
            exchange.send(next(turns))
        while selector.get_map():
            for key, _ in selector.select():
                latency = key.data.receive()
                if latency is None:
                    continue
                latencies.append(latency)
                if time.perf_counter() < begin + seconds:
                    key.data.send(next(turns))
                else:
                    selector.unregister(key.fileobj)
    return Outcome(time.perf_counter() - begin, latencies)


class _Exchange:
    """A request and its answer, one after the other, over one connection."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    def send(self, request: bytes) -> None:
        self._parser, self._is_answered = httptools.HttpResponseParser(self), False
        self._sent_at = time.perf_counter()
        self._socket.sendall(request)

    def receive(self) -> float | None:
        """Read what has come; the latency, in seconds, if that completes the answer."""
        data = self._socket.recv(1 << 16)
        if not data:
            raise RuntimeError("the server has closed a connection")
        self._parser.feed_data(data)
        if not self._is_answered:
            return None
        if not 200 <= (status := self._parser.get_status_code()) < 300:
            raise RuntimeError(f"a request was answered with {status}")
        return time.perf_counter() - self._sent_at

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._is_answered = True
