"""From complete to COMPLETED, by HTTP, on an idle system."""

import statistics
import time
from collections.abc import Callable
from typing import Final

import httpx
import msgspec

from bench.figures import Figure, most
from bench.options import Options
from bench.peer import Peer, start_ride, wire_form
from bench.rides import an_hour
from bench.system import System

SECTION: Final = "latency"
_UPLOAD: Final = 600  # samples a request
_PEER_RIDES: Final = 5


def measure(system: System, options: Options) -> list[Figure]:
    """Rides of an hour, one after the other."""
    with system.api() as api, system.workers(1):
        headers = {"X-API-Key": system.account.api_key}
        with httpx.Client(base_url=api.url, headers=headers, timeout=60) as client:
            complete = [_complete(client) for _ in range(options.rides + 1)][1:]
    peer = _peer_times(options.peer) if options.peer else []
    p95 = statistics.quantiles(complete, n=20)[-1] if len(complete) > 1 else complete[0]
    return [
        Figure(
            section=SECTION,
            name="complete → COMPLETED, 1 h, p50",
            unit="ms",
            runs=complete,
            peer_runs=peer,
        ),
        Figure(
            section=SECTION,
            name="complete → COMPLETED, 1 h, p95",
            unit="ms",
            runs=[p95],
            targets=[most(100)],
        ),
    ]


def _complete(client: httpx.Client) -> float:
    """Upload a ride; how many ms its completion took."""
    workout = client.post("/api/workouts", json={}).raise_for_status().json()["workout"]["id"]
    rows = an_hour()
    for start in range(0, len(rows), _UPLOAD):
        body = rows[start : start + _UPLOAD]
        client.post(f"/api/workouts/{workout}/telemetry", json=body).raise_for_status()
    path = f"/api/workouts/{workout}/complete"
    return _timed(lambda: client.post(path, headers={"Prefer": "wait=20"}))


def _peer_times(peer: Peer) -> list[float]:
    """Its completion of a ride of an hour; the first is left out, as ours is."""
    with peer.client() as client:
        return [_peer_complete(peer, client) for _ in range(_PEER_RIDES + 1)][1:]


def _peer_complete(peer: Peer, client: httpx.Client) -> float:
    workout, stream = start_ride(client)
    headers = {"X-API-Key": peer.key, "Content-Type": "application/json"}
    for row in an_hour():
        message = msgspec.json.encode({"message": wire_form(row)})
        client.post(f"/api/streams/{stream}/messages", content=message, headers=headers)
    return _timed(lambda: client.post(f"/api/workouts/{workout}/complete"))


def _timed(send: Callable[[], httpx.Response]) -> float:
    begin = time.perf_counter()
    answer = send()
    taken = time.perf_counter() - begin
    if answer.status_code != 200:
        raise RuntimeError(f"completion was answered with {answer.status_code}: {answer.text}")
    return taken * 1000
