"""PostgreSQL or Redis that accepts and never answers: an error in time, and nobody else waits."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx2
import pytest

from tests.api.answers import eventually, problem_of
from tests.faults.invariants import assert_all_is_kept
from tests.faults.recordings import Recording, readings, record
from tests.faults.system import Server, System


@dataclass(frozen=True)
class Frozen:
    """A server, a request that needs it, and what /health says of both while it is frozen."""

    server: Callable[[System], Server]
    ask: Callable[[Recording], httpx2.Response]
    health: dict[str, str]
    problem: str


def upload(recording: Recording) -> httpx2.Response:
    return recording.send(readings(60, 60))


def list_rides(recording: Recording) -> httpx2.Response:
    return recording.rider.client.get("/api/workouts")


SERVERS = {
    "PostgreSQL": Frozen(
        lambda system: system.postgres,
        list_rides,
        {"status": "degraded", "redis": "connected", "database": "disconnected"},
        "PostgreSQL does not answer",
    ),
    "Redis": Frozen(
        lambda system: system.redis,
        upload,
        {"status": "degraded", "redis": "disconnected", "database": "connected"},
        "Redis does not answer",
    ),
}


@pytest.mark.parametrize("frozen", SERVERS.values(), ids=SERVERS)
def test_a_frozen_server_costs_an_error_in_time(system: System, frozen: Frozen) -> None:
    system.start_api(SERVICE_TIMEOUT="1")
    system.start_worker(SERVICE_TIMEOUT="1")
    recording = record(system.make_rider(), readings(60))
    frozen.server(system).pause()
    with ThreadPoolExecutor(8) as threads:
        for answer in threads.map(lambda _: frozen.ask(recording), range(8)):
            problem_of(answer, 503)
            assert int(answer.headers["retry-after"]) >= 1
    health = httpx2.get(f"{system.url}/health", timeout=30).json()
    assert health.items() >= frozen.health.items()
    ready = httpx2.get(f"{system.url}/health/ready", timeout=30)
    assert (ready.status_code, ready.json()["problems"]) == (503, [frozen.problem])
    frozen.server(system).resume()
    eventually(lambda: frozen.ask(recording).is_success)
    eventually(lambda: recording.complete().is_success)
    assert_all_is_kept(system, recording)


@pytest.mark.parametrize("frozen", SERVERS.values(), ids=SERVERS)
def test_a_request_that_waits_for_a_frozen_server_holds_up_no_other(
    system: System, frozen: Frozen
) -> None:
    system.start_api(SERVICE_TIMEOUT="600")
    recording = record(system.make_rider(), readings(60))
    frozen.server(system).pause()
    with ThreadPoolExecutor(8) as threads:
        answers = [threads.submit(frozen.ask, recording) for _ in range(8)]
        for _ in range(10):
            assert httpx2.get(f"{system.url}/health/live", timeout=30).status_code == 200
        assert not any(answer.done() for answer in answers)
        frozen.server(system).resume()
        assert all(answer.result().is_success for answer in answers)
