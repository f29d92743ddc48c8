"""The service behind a real PgBouncer in transaction mode, by the file that compose.yaml uses."""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from ops.admin import migrations
from ops.admin.accounts import Account, create_account
from ops.processes import spawn, stop, wait_until
from shared.settings import read_settings
from tests.api.serving import serving
from tests.conftest import ROOT, Rider, reachable_folder
from tests.ops.databases import own_database
from tests.ops.pooler import CONFIGURATION, Pooler


@pytest.fixture(scope="module")
def own_urls(urls: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """Servers where no other test's worker folds, which finds no samples in its own Redis."""
    with own_database(urls, "pooled") as own:
        migrations.apply(own["DATABASE_URL"])
        yield own


@pytest.fixture(scope="module")
def pooled_url(own_urls: Mapping[str, str]) -> Iterator[str]:
    """Their PostgreSQL by way of a PgBouncer with three connections to it."""
    host = httpx2.QueryParams(own_urls["DATABASE_URL"].partition("?")[2])["host"]
    few = {"default_pool_size": "3", "reserve_pool_size": "0"}
    with reachable_folder() as folder:
        pooler = Pooler(folder, f"host={host} dbname=pooled", **few)
        try:
            wait_until(pooler.accepts, pooler.process, folder / "pooler.log")
            yield pooler.url
        finally:
            stop(pooler.process)


def ride(client: httpx2.Client, account: Account, power: int) -> float:
    """Ride for a minute; the average that the fold computes."""
    rider = Rider(account, client)
    workout = rider.start(title=f"{power} W")
    start = 1_700_000_000_000 + power * 10_000_000
    samples = [{"timestamp": start + 1000 * s, "power": power} for s in range(60)]
    assert rider.upload(workout, {"samples": samples}).status_code == 202
    average: float = rider.complete(workout)["summary"]["avgPower"]
    return average


def test_rides_get_through_three_connections_that_all_processes_share(
    pooled_url: str, own_urls: Mapping[str, str], tmp_path: Path
) -> None:
    """Whatever a session kept would be found, or missed, by others here."""
    own = {**own_urls, "DATABASE_URL": pooled_url}
    environ = {**os.environ, **own, "PYTHONPATH": str(ROOT)}
    log = tmp_path / "worker.log"
    workers = [spawn([sys.executable, "-m", "worker"], log=log, environ=environ) for _ in range(2)]
    account = create_account(pooled_url, "pooled@example.com", "test")
    try:
        with serving(own, tmp_path / "api.log") as client, ThreadPoolExecutor(8) as threads:
            client.headers["X-API-Key"] = account.api_key
            assert client.get("/health/ready").status_code == 200
            powers = range(100, 260, 10)
            averages = threads.map(lambda power: ride(client, account, power), powers)
            assert list(averages) == list(powers)
            listed = client.get("/api/workouts", params={"limit": 50}).json()
            assert listed["pagination"]["total"] == len(powers)
    finally:
        for worker in workers:
            stop(worker)
    assert "ERROR" not in log.read_text()
    assert "ERROR" not in (tmp_path / "api.log").read_text()


def test_migrations_refuse_to_go_by_a_pooler(pooled_url: str) -> None:
    with pytest.raises(migrations.PoolerBetween, match="the address of PostgreSQL itself"):
        migrations.apply(pooled_url)


def test_the_pooler_says_why_before_the_service_gives_up() -> None:
    found = re.search(r"(?m)^query_wait_timeout = (\d+)$", CONFIGURATION)
    assert found
    assert (
        int(found[1])
        < read_settings(
            {"DATABASE_URL": "postgresql:///x", "REDIS_URL": "redis://x"}
        ).service_timeout
    )
