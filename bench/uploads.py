"""Uploads of 1, 10 and 60 samples, beside an application that only reads them."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

import httpx2
import msgspec

from bench.figures import Figure, Run, least, series
from bench.load import CONNECTIONS, Outcome, http_request, load
from bench.meters import Meter, cpu_of, spent
from bench.rides import EIGHT, an_hour, of_channels
from bench.system import Options, Served, System

_VARIANTS: Final = 4  # of bodies a ride
_UNITS: Final = {
    "requests": "/s",
    "samples": "/s",
    "API CPU a request": "µs",
    "p50": "ms",
    "p99": "ms",
    "Redis CPU a request": "µs",
    "Redis commands a request": "",
}
_TARGETS: Final = {
    1: {"requests": least(0.75, "limit"), "samples": least(15, "peer")},
    10: {"requests": least(0.4, "limit")},
    60: {"requests": least(0.3, "limit"), "samples": least(400, "peer")},
}


def measure(system: System, options: Options) -> Iterator[Figure]:
    """One API process under load, in turns with its limit and the peer."""
    with system.serving("bench.bare") as bare, system.serving("api") as api:
        for size, targets in _TARGETS.items():
            runs = _runs(system, options, api, bare, size)
            for name, unit in _UNITS.items():
                ours, limit, peer = (series(each, name) for each in runs)
                title, target = f"{name}, batches of {size}", targets.get(name)
                yield Figure(title, unit, ours, "bare ASGI", limit, peer, target)


def _runs(
    system: System, options: Options, api: Served, bare: Served, size: int
) -> tuple[list[Run], list[Run], list[Run]]:
    """Ours, the limit's and the peer's."""
    redis: dict[str, Meter] = {
        "Redis CPU a request": system.redis_cpu,
        "Redis commands a request": partial(_commands, system),
    }
    requests, seconds = _requests(system, api.url, size), options.seconds
    load(api.address, requests, 0.5)  # what is cached, now is
    ours, limit, peer = list[Run](), list[Run](), list[Run]()
    for _ in range(options.runs):
        system.redis.flushdb()
        ours.append(_run(api, requests, seconds, size, redis))
        limit.append(_run(bare, requests, seconds, size))
        if options.peer:  # takes one sample a request, whatever the size
            streams = [f"bench-{number}" for number in range(CONNECTIONS)]
            uploads = options.peer.uploads(streams, _rows(_VARIANTS))
            peer.append(_speed(load(options.peer.address, uploads, seconds), 1))
    return ours, limit, peer


def _requests(system: System, url: str, size: int) -> list[bytes]:
    """A load over as many rides as connections: each ride's turn comes up as they are through."""
    headers = {"X-API-Key": system.account.api_key, "Content-Type": "application/json"}
    ids = start_rides(system, url, CONNECTIONS)
    rows = _rows(_VARIANTS * size)
    return [
        http_request("POST", f"/api/workouts/{each}/telemetry", headers, body)
        for at in range(0, len(rows), size)
        for body in (msgspec.json.encode({"samples": rows[at : at + size]}),)
        for each in ids
    ]


def start_rides(system: System, url: str, count: int) -> list[str]:
    """The ids of so many rides of the system's user."""
    headers = {"X-API-Key": system.account.api_key}
    with httpx2.Client(base_url=url, headers=headers, timeout=30) as client:
        answers = [client.post("/api/workouts", json={}) for _ in range(count)]
    return [answer.raise_for_status().json()["workout"]["id"] for answer in answers]


def _rows(count: int) -> list[dict[str, Any]]:
    return of_channels(an_hour()[:count], EIGHT)


def _run(
    server: Served,
    requests: list[bytes],
    seconds: float,
    size: int,
    redis: Mapping[str, Meter] | None = None,
) -> Run:
    meters = {"API CPU a request": cpu_of(server.process), **(redis or {})}
    outcome, costs = spent(partial(load, server.address, requests, seconds), *meters.values())
    answers = len(outcome.latencies)
    run = _speed(outcome, size)
    for name, cost in zip(meters, costs, strict=True):
        run[name] = cost / answers * (1e6 if _UNITS[name] == "µs" else 1)
    return run


def _speed(outcome: Outcome, size: int) -> Run:
    return {
        "requests": outcome.rate,
        "samples": outcome.rate * size,
        "p50": outcome.percentile(0.5),
        "p99": outcome.percentile(0.99),
    }


def _commands(system: System) -> float:
    """How many Redis has carried out."""
    info: Any = system.redis.info("stats")
    return float(info["total_commands_processed"])
