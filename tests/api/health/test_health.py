"""Health of a whole service, of a broken one, and of one whose Redis would lose samples."""

import re
import resource
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

import httpx2
import psycopg
import pytest

from ops.admin import migrations
from ops.admin.accounts import create_account
from ops.embedded.server import Server
from ops.embedded.servers import prepare
from ops.embedded.valkey import valkey_server
from ops.processes import Process, stop, wait_until
from shared.connections import Redis, open_redis
from shared.credentials import make_key
from shared.settings import read_settings
from tests.api.answers import T0, eventually, problem_of
from tests.api.serving import serving
from tests.conftest import Rider, reachable_folder
from tests.ops.databases import empty_database
from tests.redis_settings import configured


@pytest.fixture
def redis_of_the_service(urls: Mapping[str, str]) -> Iterator[Redis]:
    with open_redis(read_settings(urls)) as client:
        yield client


def test_a_process_that_serves_is_alive(service: str) -> None:
    body = httpx2.get(f"{service}/health/live").json()
    assert body["status"] == "alive"
    assert body["uptime"] >= 0


def test_a_whole_service_is_ok_and_ready(service: str) -> None:
    before = datetime.now(UTC)
    body = httpx2.get(f"{service}/health").json()
    assert before <= datetime.fromisoformat(body.pop("timestamp")) <= datetime.now(UTC)
    assert body == {"status": "ok", "redis": "connected", "database": "connected"}
    eventually(lambda: httpx2.get(f"{service}/health/ready").json()["workers"] >= 1)
    ready = httpx2.get(f"{service}/health/ready").json()
    assert (ready["status"], ready["problems"]) == ("ready", [])


def test_without_workers_uploads_go_on_and_readiness_says_how_many_rides_wait(
    urls: Mapping[str, str], tmp_path: Path
) -> None:
    """On a database of its own, where no other ride waits, and a Redis without workers."""
    own = {
        "DATABASE_URL": urls["DATABASE_URL"].replace("/tracker?", "/idle?"),
        "REDIS_URL": f"{urls['REDIS_URL']}?db=4",
    }
    with psycopg.connect(urls["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("CREATE DATABASE idle TEMPLATE template0")
        migrations.apply(own["DATABASE_URL"])
    account = create_account(own["DATABASE_URL"], "idle@example.com", "test")
    with serving(own, tmp_path / "api.log") as client:
        client.headers["X-API-Key"] = account.api_key
        first = client.get("/health/ready")
        rider = Rider(account, client)
        ride = rider.start()
        assert rider.upload(ride, [{"timestamp": T0, "power": 210}]).status_code == 202
        client.post(f"/api/workouts/{ride}/complete")
        then = client.get("/health/ready")
    idle = "no worker lives, so nothing is computed, and "
    assert (first.status_code, then.status_code) == (200, 200)
    assert first.json() == {
        "status": "degraded",
        "problems": [f"{idle}no ride waits yet; start workers"],
        "workers": 0,
    }
    assert then.json()["problems"] == [f"{idle}rides wait: 1; start workers"]


def test_a_redis_without_append_only_file_is_not_ready(
    service: str, redis_of_the_service: Redis
) -> None:
    with configured(redis_of_the_service, "appendonly", "no"):
        response = httpx2.get(f"{service}/health/ready")
        assert response.status_code == 503
        body = response.json()
        assert body["status"] == "not ready"
        assert body["problems"] == ["Redis has no append-only file: set `appendonly yes`"]
    assert httpx2.get(f"{service}/health/ready").status_code == 200


@pytest.fixture
def unmigrated(urls: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The same servers, with a database that has no tables yet."""
    with empty_database(urls["DATABASE_URL"], "unmigrated") as url:
        yield {**urls, "DATABASE_URL": url}


def test_a_database_that_is_not_migrated_is_not_ready(
    unmigrated: dict[str, str], tmp_path: Path
) -> None:
    with serving(unmigrated, tmp_path / "api.log") as client:
        response = client.get("/health/ready")
    assert response.status_code == 503
    assert response.json()["problems"] == ["PostgreSQL is not migrated: run `make migrate`"]


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_redis_that_may_evict_samples_is_not_ready(
    service: str, redis_of_the_service: Redis, policy: str
) -> None:
    with configured(redis_of_the_service, "maxmemory-policy", policy):
        response = httpx2.get(f"{service}/health/ready")
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
        ready = rider.client.get("/health/ready")
    assert ready.status_code == 503
    [problem] = ready.json()["problems"]
    assert re.fullmatch(r"Redis is full \(\d+ of 1 bytes\), and refuses uploads", problem)
    assert rider.client.get("/health/ready").status_code == 200
    assert rider.upload(workout, samples).status_code == 202


@contextmanager
def valkey_of_its_own() -> Iterator[tuple[Process, Server]]:
    """One that a full disk, or what stands for it, does not kill."""
    with reachable_folder() as folder:
        prepare(folder)
        server = valkey_server(folder, folder)
        server = replace(server, argv=["env", "--ignore-signal=XFSZ", *server.argv])
        process = server.spawn()
        try:
            wait_until(server.answers, process, server.log)
            yield process, server
        finally:
            stop(process)


def test_a_redis_whose_disk_is_full_is_not_ready_as_long_as_it_refuses_uploads(
    urls: Mapping[str, str], tmp_path: Path
) -> None:
    """The largest size of a file stands for the disk."""
    account = create_account(urls["DATABASE_URL"], f"{token_hex(6)}@example.com", "test")
    with (
        valkey_of_its_own() as (process, server),
        serving({**urls, "REDIS_URL": server.url}, tmp_path / "api.log") as client,
    ):
        client.headers["X-API-Key"] = account.api_key
        rider = Rider(account, client)
        workout, samples = rider.start(), [{"timestamp": T0, "power": 210}]
        assert rider.upload(workout, samples).status_code == 202
        assert client.get("/health/ready").status_code == 200
        _, most = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1, most))
        eventually(lambda: rider.upload(workout, samples).status_code == 503)
        ready = client.get("/health/ready")
        assert ready.status_code == 503
        [problem] = ready.json()["problems"]
        assert problem.startswith("Redis refuses uploads: MISCONF")
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, most))
        eventually(lambda: client.get("/health/ready").status_code == 200)
        assert rider.upload(workout, samples).status_code == 202


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """A client of an API process that reaches neither server."""
    nowhere = {"DATABASE_URL": "postgresql://127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1"}
    log = tmp_path_factory.mktemp("logs") / "api.log"
    with serving(nowhere, log, SERVICE_TIMEOUT="0.2") as client:
        yield client


def test_a_service_without_its_servers_starts_and_says_so(broken: httpx2.Client) -> None:
    assert broken.get("/health/live").status_code == 200
    health = broken.get("/health")
    assert health.status_code == 200
    assert {**health.json(), "timestamp": ""} == {
        "status": "degraded",
        "timestamp": "",
        "redis": "disconnected",
        "database": "disconnected",
    }
    ready = broken.get("/health/ready")
    assert ready.status_code == 503
    assert ready.json()["problems"] == ["PostgreSQL does not answer", "Redis does not answer"]


def test_a_request_that_needs_a_server_is_503_and_names_no_driver(broken: httpx2.Client) -> None:
    response = broken.get("/api/workouts", headers={"X-API-Key": make_key().text})
    assert response.headers["retry-after"] == "1"
    assert problem_of(response, 503)["detail"] == (
        "the service is busy or restarting; nothing was lost, send the same again"
    )
