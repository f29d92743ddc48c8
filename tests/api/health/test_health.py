"""Health of a whole service, of a broken one, and of one whose Redis would lose samples."""

import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from ops.processes import spawn, stop, wait_until
from shared.connections import Redis, open_redis
from shared.credentials import make_key
from shared.settings import read_settings
from tests.api.answers import T0, problem_of
from tests.conftest import ROOT, Rider


@pytest.fixture
def redis_of_the_service(urls: Mapping[str, str]) -> Iterator[Redis]:
    with open_redis(read_settings(urls)) as client:
        yield client


@contextmanager
def configured(redis: Redis, name: str, value: str) -> Iterator[None]:
    before: Any = redis.config_get(name)
    redis.config_set(name, value)
    try:
        yield
    finally:
        redis.config_set(name, before[name])


def test_a_process_that_serves_is_alive(service: str) -> None:
    body = httpx.get(f"{service}/health/live").json()
    assert body["status"] == "alive"
    assert body["uptime"] >= 0


def test_a_whole_service_is_ok_and_ready(service: str) -> None:
    body = httpx.get(f"{service}/health").json()
    age = datetime.now(UTC) - datetime.fromisoformat(body.pop("timestamp"))
    assert abs(age) < timedelta(minutes=1)
    assert body == {"status": "ok", "redis": "connected", "database": "connected"}
    assert httpx.get(f"{service}/health/ready").json() == {"status": "ready", "problems": []}


def test_a_redis_without_append_only_file_is_not_ready(
    service: str, redis_of_the_service: Redis
) -> None:
    with configured(redis_of_the_service, "appendonly", "no"):
        response = httpx.get(f"{service}/health/ready")
        assert response.status_code == 503
        assert response.json() == {
            "status": "not ready",
            "problems": ["Redis has no append-only file: set `appendonly yes`"],
        }
    assert httpx.get(f"{service}/health/ready").status_code == 200


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_redis_that_may_evict_samples_is_not_ready(
    service: str, redis_of_the_service: Redis, policy: str
) -> None:
    with configured(redis_of_the_service, "maxmemory-policy", policy):
        response = httpx.get(f"{service}/health/ready")
    assert response.status_code == 503
    [problem] = response.json()["problems"]
    assert policy in problem


def test_a_full_redis_asks_to_send_again_and_recovers_by_itself(
    rider: Rider, redis_of_the_service: Redis
) -> None:
    workout, samples = rider.start(), [{"timestamp": T0, "power": 210}]
    with configured(redis_of_the_service, "maxmemory", "1"):
        response = rider.upload(workout, samples)
        problem_of(response, 503)
        assert response.headers["retry-after"] == "1"
        assert "OOM" not in response.text
    assert rider.upload(workout, samples).status_code == 202


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an API process that reaches neither server."""
    log = tmp_path_factory.mktemp("logs") / "api.log"
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": "postgresql://127.0.0.1:1/none",
            "REDIS_URL": "redis://127.0.0.1:1",
            "SERVICE_TIMEOUT": "0.2",
            "LISTEN_FD": str(listener.fileno()),
        }
        api = spawn(
            [sys.executable, "-m", "api"], log=log, environ=environ, pass_fds=[listener.fileno()]
        )
        try:
            wait_until(lambda: answers(url), api, log)
            yield url
        finally:
            stop(api)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/live").is_success
    except httpx.TransportError:
        return False


def test_a_service_without_its_servers_starts_and_says_so(broken: str) -> None:
    assert httpx.get(f"{broken}/health/live").status_code == 200
    health = httpx.get(f"{broken}/health")
    assert health.status_code == 200
    assert {**health.json(), "timestamp": ""} == {
        "status": "degraded",
        "timestamp": "",
        "redis": "disconnected",
        "database": "disconnected",
    }
    ready = httpx.get(f"{broken}/health/ready")
    assert ready.status_code == 503
    assert ready.json()["problems"] == ["PostgreSQL does not answer", "Redis does not answer"]


def test_a_request_that_needs_a_server_is_503_and_names_no_driver(broken: str) -> None:
    response = httpx.get(f"{broken}/api/workouts", headers={"X-API-Key": make_key().text})
    assert response.headers["retry-after"] == "1"
    assert problem_of(response, 503)["detail"] == (
        "the service is busy or restarting; nothing was lost, send the same again"
    )
