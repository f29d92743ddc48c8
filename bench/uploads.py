"""Uploads of 1, 10 and 60 samples, beside an application that only reads them."""

from typing import Any, Final

import httpx
import msgspec

from bench.figures import Against, Figure, Target, least
from bench.load import Address, Outcome, Request, http_request, load
from bench.options import Options
from bench.peer import Peer
from bench.rides import EIGHT, an_hour, of_channels
from bench.system import Served, System, cpu_seconds
from shared.connections import Redis, open_redis
from shared.settings import read_settings

SECTION: Final = "upload"
SIZES: Final = (1, 10, 60)
CONNECTIONS: Final = 64
_VARIANTS: Final = 4  # of bodies a ride
_TARGETS: Final = {
    1: [least(0.5, Against.LIMIT)],
    60: [least(0.25, Against.LIMIT)],
}
_SAMPLES_TARGETS: Final = {1: [least(10, Against.PEER)], 60: [least(400, Against.PEER)]}


def measure(system: System, options: Options) -> list[Figure]:
    """One API process under load, in turns with its limit and the peer."""
    figures = []
    with (
        open_redis(read_settings(system.environ)) as redis,
        system.bare_app() as bare,
        system.api() as api,
    ):
        for size in SIZES:
            figures += _Uploads(system, api, bare, redis, options, size).figures()
    return figures


def upload_requests(system: System, url: str, size: int) -> list[Request]:
    """A load over 64 rides: each ride's turn comes up as the connections are through."""
    headers = {"X-API-Key": system.account.api_key, "Content-Type": "application/json"}
    with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        rides = [
            client.post("/api/workouts", json={}).raise_for_status().json()["workout"]["id"]
            for _ in range(CONNECTIONS)
        ]
    return [
        http_request("POST", f"/api/workouts/{ride}/telemetry", headers, body)
        for body in _bodies(size)
        for ride in rides
    ]


class _Uploads:
    """Uploads of one size: the runs of everything that is measured, name by name."""

    def __init__(
        self,
        system: System,
        api: Served,
        bare: Served,
        redis: Redis,
        options: Options,
        size: int,
    ) -> None:
        self._system, self._api, self._bare, self._redis = system, api, bare, redis
        self._options, self._size = options, size
        self._requests = upload_requests(system, api.url, size)
        self._runs: dict[str, list[float]] = {}

    def figures(self) -> list[Figure]:
        """All runs, and what came of them."""
        self._load(self._api.address, self._requests, seconds=0.5)  # what is cached, now is
        for _ in range(self._options.runs):
            self._measure_ours()
            self._measure_limit()
            if self._options.peer:
                self._measure_peer(self._options.peer)
        return [
            self._figure("requests", "/s", _TARGETS.get(self._size, []), digits=0),
            self._figure("samples", "/s", _SAMPLES_TARGETS.get(self._size, []), digits=0),
            self._figure("API CPU a request", "µs"),
            self._figure("p50", "ms"),
            self._figure("p99", "ms"),
            self._figure("Redis CPU a request", "µs"),
            self._figure("Redis commands a request", "", digits=2),
        ]

    def _figure(
        self, name: str, unit: str, targets: list[Target] | None = None, digits: int = 1
    ) -> Figure:
        return Figure(
            section=SECTION,
            name=f"{name}, batches of {self._size}",
            unit=unit,
            runs=self._runs[name],
            limit_runs=self._runs.get(f"limit: {name}", []),
            limit="bare ASGI",
            peer_runs=self._runs.get(f"peer: {name}", []),
            targets=targets or [],
            digits=digits,
        )

    def _measure_ours(self) -> None:
        self._redis.flushdb()
        api, valkey = cpu_seconds(self._api.process), cpu_seconds(self._system.redis)
        commands = _commands(self._redis)
        outcome = self._load(self._api.address, self._requests)
        answers = len(outcome.latencies)
        self._note("", outcome, self._size)
        self._add("API CPU a request", (cpu_seconds(self._api.process) - api) / answers * 1e6)
        self._add("Redis CPU a request", (cpu_seconds(self._system.redis) - valkey) / answers * 1e6)
        self._add("Redis commands a request", (_commands(self._redis) - commands) / answers)

    def _measure_limit(self) -> None:
        bare = cpu_seconds(self._bare.process)
        outcome = self._load(self._bare.address, self._requests)
        self._note("limit: ", outcome, self._size)
        spent = cpu_seconds(self._bare.process) - bare
        self._add("limit: API CPU a request", spent / len(outcome.latencies) * 1e6)

    def _measure_peer(self, peer: Peer) -> None:
        """It takes one sample a request, whatever the size."""
        samples = of_channels(an_hour()[:_VARIANTS], EIGHT)
        requests = [
            peer.upload(f"bench-{ride}", sample)
            for sample in samples
            for ride in range(CONNECTIONS)
        ]
        self._note("peer: ", self._load(peer.address, requests), 1)

    def _load(
        self, address: Address, requests: list[Request], seconds: float | None = None
    ) -> Outcome:
        outcome = load([address], requests, seconds or self._options.seconds, CONNECTIONS)
        refused = {status for status in outcome.statuses if not 200 <= status < 300}
        if refused:
            raise RuntimeError(f"uploads were answered with {refused}")
        return outcome

    def _note(self, whose: str, outcome: Outcome, size: int) -> None:
        self._add(f"{whose}requests", outcome.rate)
        self._add(f"{whose}samples", outcome.rate * size)
        self._add(f"{whose}p50", outcome.percentile(0.5))
        self._add(f"{whose}p99", outcome.percentile(0.99))

    def _add(self, name: str, value: float) -> None:
        self._runs.setdefault(name, []).append(value)


def _bodies(size: int) -> list[bytes]:
    rows = of_channels(an_hour()[: _VARIANTS * size], EIGHT)
    return [
        msgspec.json.encode({"samples": rows[start : start + size]})
        for start in range(0, len(rows), size)
    ]


def _commands(redis: Redis) -> int:
    info: Any = redis.info("stats")
    return int(info["total_commands_processed"])
