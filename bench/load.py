"""A load of HTTP requests: many connections, each with one request under way, from one process."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import cast

import httptools
import uvloop

Request = bytes
Address = tuple[str, int]


@dataclass(frozen=True)
class Outcome:
    """What a load measured: answers by status, and each one's latency in seconds."""

    seconds: float
    cpu_seconds: float  # what sending the load took, in this process
    statuses: Counter[int]
    latencies: list[float]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, part: float) -> float:
        """The latency, in ms, that such a part of the answers kept to."""
        return sorted(self.latencies)[int((len(self.latencies) - 1) * part)] * 1000


def http_request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Request:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: bench"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def load(
    addresses: Sequence[Address], requests: list[Request], seconds: float, connections: int
) -> Outcome:
    """Send the requests in turns for so long, over connections shared out among the addresses.

    Raises AssertionError for a lost connection.
    """
    return uvloop.run(_load(addresses, requests, seconds, connections))


async def _load(
    addresses: Sequence[Address], requests: list[Request], seconds: float, connections: int
) -> Outcome:
    loop = asyncio.get_running_loop()
    statuses, latencies = Counter[int](), list[float]()
    cpu, begin = time.process_time(), time.perf_counter()
    end = begin + seconds
    next_request = cycle(requests).__next__
    pairs = [
        await loop.create_connection(
            lambda: _Connection(next_request, statuses, latencies, end), *address
        )
        for address in islice(cycle(addresses), connections)
    ]
    await asyncio.gather(*(connection.done for _, connection in pairs))
    spent = time.process_time() - cpu
    return Outcome(time.perf_counter() - begin, spent, statuses, latencies)


class _Connection(asyncio.Protocol):
    """Sends the next request as soon as the last one is answered."""

    def __init__(
        self,
        next_request: Callable[[], Request],
        statuses: Counter[int],
        latencies: list[float],
        end: float,
    ) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self._next_request = next_request
        self._statuses = statuses
        self._latencies = latencies
        self._end = end
        self._sent_at = 0.0
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(AssertionError(f"the connection was lost: {error}"))

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        self._latencies.append(now - self._sent_at)
        self._statuses[self._parser.get_status_code()] += 1
        if now < self._end:
            self._send()
        else:
            self.done.set_result(None)
            self._transport.close()

    def _send(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._sent_at = time.perf_counter()
        self._transport.write(self._next_request())
