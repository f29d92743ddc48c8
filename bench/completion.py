"""From complete to COMPLETED, by HTTP, on an idle system."""

import statistics
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import httpx2

from bench.figures import Figure, most
from bench.load import CONNECTIONS, load
from bench.meters import spent
from bench.peer import Peer
from bench.rides import an_hour, ride
from bench.system import Options, System

_UPLOAD: Final = 600  # samples a request
_PEER_RIDES: Final = 5


def measure(system: System, options: Options) -> Iterator[Figure]:
    """Rides of an hour, one after the other; the first is left out."""
    headers = {"X-API-Key": system.account.api_key}
    with (
        system.serving("api") as api,
        system.workers(1),
        httpx2.Client(base_url=api.url, headers=headers, timeout=60) as client,
    ):
        ours = [complete(client, day) for day in range(options.rides + 1)][1:]
    peer = _complete_at_peer(options.peer) if options.peer else []
    p95 = statistics.quantiles(ours, n=20)[-1]
    yield Figure("complete → COMPLETED, 1 h, p50", "ms", ours, peer_runs=peer)
    yield Figure("complete → COMPLETED, 1 h, p95", "ms", [p95], target=most(50))


def complete(client: httpx2.Client, day: int) -> float:
    """Upload the ride of a day; how many ms its completion takes."""
    path = f"/api/workouts/{_post(client, '/api/workouts', {})['workout']['id']}"
    samples = ride(1, day)
    for each in samples.slices(_UPLOAD):
        columns = {"timestamp": each.timestamps, **each.channels}
        _post(client, f"{path}/telemetry", {name: col.tolist() for name, col in columns.items()})
    return _complete_ms(client, path)


def _complete_at_peer(peer: Peer) -> list[float]:
    """The same of a few rides."""
    with peer.client() as client:
        return [_complete_one_at_peer(peer, client) for _ in range(_PEER_RIDES + 1)][1:]


def _complete_one_at_peer(peer: Peer, client: httpx2.Client) -> float:
    workout = _post(client, "/api/workouts", {"title": "bench"})["workout"]
    requests = peer.uploads([workout["stream_name"]], an_hour())
    for at in range(0, len(requests), CONNECTIONS):
        part = requests[at : at + CONNECTIONS]
        load(peer.address, part, 0, len(part))
    return _complete_ms(client, f"/api/workouts/{workout['id']}")


def _complete_ms(client: httpx2.Client, path: str) -> float:
    complete = partial(client.post, f"{path}/complete", headers={"Prefer": "wait=20"})
    answer, (seconds,) = spent(complete, time.perf_counter)
    if answer.status_code != 200:
        raise RuntimeError(f"completion was answered with {answer.status_code}: {answer.text}")
    return seconds * 1000


def _post(client: httpx2.Client, path: str, body: object) -> Any:
    return client.post(path, json=body).raise_for_status().json()
