"""Two thousand viewers on one API process: CPU, memory, and how far behind they are."""

import resource
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from selectors import EVENT_READ, DefaultSelector
from threading import Event, Thread
from typing import Any, Final

import httpx2

from bench.figures import Figure, least, most
from bench.load import http_request
from bench.meters import cpu_of, memory_of, spent
from bench.system import Options, Served, System

_VIEWERS: Final = 2000
_RIDES: Final = 50
_SETTLING: Final = 3.0  # seconds
_CHANNELS: Final = {"power": 210, "heartrate": 140, "cadence": 90, "speed": 8.5}
_MOST_CORES: Final = 1.0


def measure(system: System, options: Options) -> Iterator[Figure]:
    """Fifty rides of a sample a second, with forty viewers each."""
    _allow_many_files()
    headers, seconds = {"X-API-Key": system.account.api_key}, max(options.seconds, options.shortest)
    with (
        system.serving("api") as api,
        system.workers(1) as workers,
        httpx2.Client(base_url=api.url, headers=headers, timeout=60) as client,
    ):
        rides = [_begin(client) for _ in range(_RIDES)]
        with _uploading(client, rides):
            idle = _cost_of(api, seconds)
            before = memory_of(api.process.pid)
            with _watching(api, rides, headers) as viewers:
                viewers.read(_SETTLING)
                viewers.behind.clear()  # what came while the others were opened waited for us
                watch = partial(viewers.read, seconds)
                _, (cores, computing) = spent(watch, cpu_of(api.process), cpu_of(*workers))
                held = memory_of(api.process.pid) - before
    yield Figure("viewers that are told", "", [float(viewers.told)], target=least(_VIEWERS))
    yield Figure(
        "API CPU, of a core",
        "",
        [cores / seconds],
        "uploads alone",
        [idle],
        target=most(_MOST_CORES),
    )
    yield Figure("API CPU a viewer and second", "µs", [cores / seconds / _VIEWERS * 1e6])
    yield Figure("worker CPU for their figures, of a core", "", [computing / seconds])
    yield Figure("API memory a viewer", "KB", [held * 1000 / _VIEWERS])
    yield Figure("behind, median", "ms", [statistics.median(viewers.behind)])
    yield Figure("behind, p99", "ms", [statistics.quantiles(viewers.behind, n=100)[-1]])


class _Viewers:
    """Open streams, each read as it comes. ``behind``: ms from a sample's timestamp to its event.

    ``told``: to how many streams a sample was sent.
    """

    def __init__(self, sockets: list[socket.socket]) -> None:
        self.behind = list[float]()
        self._heard = set[int]()
        self._selector = DefaultSelector()
        for each in sockets:
            self._selector.register(each, EVENT_READ)

    @property
    def told(self) -> int:
        return len(self._heard)

    def read(self, seconds: float) -> None:
        """Take what comes for so long."""
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            for key, _ in self._selector.select(timeout=0.1):
                opened: Any = key.fileobj
                self._take(key.fd, opened.recv(1 << 16))

    def _take(self, fd: int, data: bytes) -> None:
        if not data:
            raise RuntimeError("the server has closed a live stream")
        now = time.time() * 1000
        for piece in data.split(b'"timestamp":[')[1:]:
            first = piece[:13]
            if first.isdigit() and abs(now - int(first)) < 60_000:  # the figures have others
                self._heard.add(fd)
                self.behind.append(now - int(first))


def _begin(client: httpx2.Client) -> str:
    answer = client.post("/api/workouts", json={}).raise_for_status().json()
    workout: str = answer["workout"]["id"]
    return workout


@contextmanager
def _uploading(client: httpx2.Client, rides: list[str]) -> Iterator[None]:
    """Each ride sends a sample a second meanwhile."""
    over = Event()

    def upload() -> None:
        while not over.is_set():
            for ride in rides:
                sample = {"timestamp": time.time_ns() // 1_000_000, **_CHANNELS}
                client.post(f"/api/workouts/{ride}/telemetry", json=[sample]).raise_for_status()
                if over.wait(1 / len(rides)):
                    return

    thread = Thread(target=upload)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _watching(api: Served, rides: list[str], headers: dict[str, str]) -> Iterator[_Viewers]:
    sockets = list[socket.socket]()
    try:
        for at in range(_VIEWERS):
            sockets.append(socket.create_connection(api.address))
            path = f"/api/workouts/{rides[at % len(rides)]}/live"
            sockets[-1].sendall(http_request("GET", path, headers))
            if not sockets[-1].recv(1 << 16).startswith(b"HTTP/1.1 200"):
                raise RuntimeError("a viewer was refused")
        yield _Viewers(sockets)
    finally:
        for each in sockets:
            each.close()


def _cost_of(api: Served, seconds: float) -> float:
    """Of a core, while nobody watches."""
    _, [used] = spent(partial(time.sleep, seconds), cpu_of(api.process))
    return used / seconds


def _allow_many_files() -> None:
    """A connection is a file, here and in the API, which inherits the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _VIEWERS + 1000
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
