"""A greedy rider, in a process of its own: ``python -m bench.greedy WAY URL KEY`` never ends."""

import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import count, cycle
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from bench.load import http_request, websocket_handshake
from bench.rides import START, an_hour

_UPLOAD: Final = 600  # samples a request
_STALE: Final = 100  # rides whose figures a threshold changes
_EMPTY: Final = 2500  # rides under way without a sample
_UNREAD: Final = 25  # answers
_PING: Final = b"\x89\xfd" + bytes(4) + b"x" * 125


def late_batches(client: httpx2.Client) -> Iterator[None]:
    """Batches for a long ride that is over."""
    ride = _ridden(client, 24)
    for second in count(24 * 3600):
        samples = [{"timestamp": START + second * 1000, "power": 200}]
        client.post(f"/api/workouts/{ride}/telemetry", json=samples)
        yield


def thresholds(client: httpx2.Client) -> Iterator[None]:
    """A threshold that changes again and again, and with it the figures of many rides."""
    for _ in range(_STALE):
        ride = _start(client)
        _upload(client, ride, 0)
        _complete(client, ride)
    for watts in count():
        held = {"effectiveFrom": "2020-01-01", "ftp": 200 + watts % 100}
        client.put("/api/users/me/thresholds", json=held)
        yield


def completions(client: httpx2.Client) -> Iterator[None]:
    """Rides that are begun and completed, one after the other."""
    while True:
        ride = _start(client)
        client.post(f"/api/workouts/{ride}/telemetry", json=an_hour()[:_UPLOAD])
        client.post(f"/api/workouts/{ride}/complete")
        yield


def empty_rides(client: httpx2.Client) -> Iterator[None]:
    """As many rides under way as there may be, and the refusals of more."""
    for _ in range(_EMPTY):
        client.post("/api/workouts", json={})
        yield
    yield from completions(client)


def unread_answers(client: httpx2.Client) -> Iterator[None]:
    """Telemetry of a long ride that nobody reads, asked for again once it is cut off."""
    ride = _ridden(client, 12)
    while True:
        yield from _keep_asking(client, f"/api/workouts/{ride}/telemetry")


def pings(client: httpx2.Client) -> Iterator[None]:
    """Pings over a WebSocket, whose pongs nobody reads."""
    path = f"/api/workouts/{_start(client)}/telemetry"
    handshake = websocket_handshake(path, _key_of(client))
    while True:
        with socket.create_connection(_address(client), timeout=2) as connection:
            connection.sendall(handshake)
            with suppress(OSError):  # it is hung up on
                while True:
                    connection.send(_PING * 1000)
                    yield


def handshakes(client: httpx2.Client) -> Iterator[None]:
    """Upgrades to a WebSocket without a key, whose heads never end or are too large."""
    head = b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    for nonsense in cycle((b"X-Long: " + b"x" * 9000, b"X-Many: 1\r\n" * 200, b"X-Unended: ")):
        with suppress(OSError), socket.create_connection(_address(client), timeout=2) as connection:
            connection.sendall(head + nonsense)
        yield


def whole_rides(client: httpx2.Client) -> Iterator[None]:
    """Samples without end for one ride under way, as fast as they are taken, read in between."""
    ride = _start(client)
    for hour in count():
        _upload(client, ride, hour * 3600)
        client.get(f"/api/workouts/{ride}/telemetry")
        yield


def receipts(client: httpx2.Client) -> Iterator[None]:
    """The dearest questions about a long ride."""
    ride = _ridden(client, 24)
    while True:
        client.get(f"/api/workouts/{ride}/receipt?gap=1")
        client.get("/api/fitness?from=2090-01-01&to=2099-12-31")
        yield


def exclusions(client: httpx2.Client) -> Iterator[None]:
    """Ranges taken out of a long ride and put back, each of which asks for its fold."""
    ride = _ridden(client, 24)
    for at in count():
        held = {"from": START + at % 50_000 * 1000, "to": START + (at % 50_000 + 1) * 1000}
        for change in ("exclude", "include"):
            client.post(f"/api/workouts/{ride}/{change}", json=held)
        yield


WAYS: Final[dict[str, Callable[[httpx2.Client], Iterator[None]]]] = {
    way.__name__: way
    for way in (
        handshakes,
        pings,
        unread_answers,
        whole_rides,
        late_batches,
        thresholds,
        completions,
        empty_rides,
        receipts,
        exclusions,
    )
}


def _keep_asking(client: httpx2.Client, path: str) -> Iterator[None]:
    request = http_request("GET", path, _key_of(client))
    with ExitStack() as stack, suppress(OSError):
        for _ in range(_UNREAD):
            asked = stack.enter_context(socket.create_connection(_address(client), timeout=2))
            asked.sendall(request)
            yield
        while asked.send(b" "):  # until the connection is gone
            time.sleep(0.1)
            yield


def _ridden(client: httpx2.Client, hours: int) -> str:
    """A ride of so many hours that is over."""
    ride = _start(client)
    for hour in range(hours):
        _upload(client, ride, hour * 3600)
    _complete(client, ride)
    return ride


def _start(client: httpx2.Client) -> str:
    answer = client.post("/api/workouts", json={}).json()
    return str(answer["workout"]["id"]) if "workout" in answer else "none"


def _upload(client: httpx2.Client, ride: str, second: int) -> None:
    """An hour of samples."""
    moved = [{**each, "timestamp": each["timestamp"] + second * 1000} for each in an_hour()]
    for at in range(0, len(moved), _UPLOAD):
        client.post(f"/api/workouts/{ride}/telemetry", json=moved[at : at + _UPLOAD])


def _complete(client: httpx2.Client, ride: str) -> None:
    client.post(f"/api/workouts/{ride}/complete", headers={"Prefer": "wait=30"})


def _address(client: httpx2.Client) -> tuple[str, int]:
    parts = urlsplit(str(client.base_url))
    return str(parts.hostname), int(parts.port or 80)


def _key_of(client: httpx2.Client) -> dict[str, Any]:
    return {"X-API-Key": client.headers["X-API-Key"]}


def main(way: str, url: str, key: str) -> None:
    """Say ``ready`` after the first step, then go on for ever."""
    with httpx2.Client(base_url=url, headers={"X-API-Key": key}, timeout=60) as client:
        steps = WAYS[way](client)
        next(steps)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for _ in steps:
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])
