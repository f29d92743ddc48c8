"""The service on a plain PostgreSQL of another version, by a role that owns its database alone."""

import io
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx2
import psycopg
import pytest

from ops.admin import migrations, partition
from ops.admin.accounts import create_account
from ops.backups.backup import back_up, restore
from ops.processes import spawn, stop
from tests.api.files.ride_files import fit, imported
from tests.api.serving import serving
from tests.conftest import ROOT, Rider
from tests.ops.admin.test_partition import rows_of, write
from tests.ops.other_version import other_postgres
from tests.shared.test_sql import QUERIES

T0 = 1_700_000_000_000


@pytest.fixture(scope="module")
def other_url() -> Iterator[str]:
    with other_postgres() as url:
        yield url


@pytest.fixture(scope="module")
def own_urls(other_url: str, urls: Mapping[str, str]) -> Mapping[str, str]:
    return {"DATABASE_URL": other_url, "REDIS_URL": f"{urls['REDIS_URL']}?db=8"}


def test_it_is_of_another_version_and_its_role_may_do_little(
    other_url: str, database_url: str
) -> None:
    asked = "SELECT current_setting('server_version_num')::int / 10000, usesuper, usecreatedb"
    with psycopg.connect(other_url) as other, psycopg.connect(database_url) as usual:
        row = other.execute(f"{asked} FROM pg_user WHERE usename = current_user").fetchone()
        assert row
        assert usual.info.server_version // 10_000 == 18
        assert 15 <= row[0] < 18
        assert row[1:] == (False, False)


def test_migrations_go_up_down_and_up(other_url: str) -> None:
    migrations.roll_back(other_url, everything=True)
    applied = migrations.apply(other_url)
    assert migrations.roll_back(other_url, everything=True) == applied[::-1]
    assert migrations.apply(other_url) == applied


def test_every_query_is_planned(other_url: str) -> None:
    migrations.apply(other_url)
    with psycopg.connect(other_url) as connection:
        for query in QUERIES.values():
            parameters = dict.fromkeys(re.findall(r"%\((\w+)\)[sb]", query))
            assert connection.execute(f"EXPLAIN {query}", parameters).fetchall()


def test_samples_are_put_into_partitions_in_place(other_url: str) -> None:
    """Where there are rows when the migration comes."""
    migrations.apply(other_url)
    assert list(partition.partition(other_url)) == ["already partitioned"]
    while "0052_partitioned_channels" not in migrations.roll_back(other_url):
        pass
    write(other_url)
    migrations.apply(other_url)
    before = rows_of(other_url)
    assert list(partition.partition(other_url))[-1] == "workout_channels has 16 partitions"
    assert list(partition.partition(other_url)) == ["already partitioned"]
    assert rows_of(other_url) == before
    migrations.empty(other_url)


def test_rides_are_ridden_read_backed_up_and_restored(
    own_urls: Mapping[str, str], tmp_path: Path
) -> None:
    url = own_urls["DATABASE_URL"]
    migrations.apply(url)
    account = create_account(url, "tenant@example.com", "test")
    log = tmp_path / "worker.log"
    environ = {**os.environ, **own_urls, "PYTHONPATH": str(ROOT)}
    worker = spawn([sys.executable, "-m", "worker"], log=log, environ=environ)
    try:
        with serving(own_urls, tmp_path / "api.log") as client:
            client.headers["X-API-Key"] = account.api_key
            rider = Rider(account, client)
            workout_id = rider.start(title="Über den Pass")
            samples = [{"timestamp": T0 + 1000 * at, "power": 200} for at in range(1300)]
            assert rider.upload(workout_id, {"samples": samples}).status_code == 202
            assert rider.complete(workout_id)["summary"]["avgPower"] == 200
            imported(rider, fit(300))
            read_all(client, workout_id)
            backup = io.BytesIO()
            back_up(url, own_urls["REDIS_URL"], backup)
            assert client.delete(f"/api/workouts/{workout_id}").is_success
            backup.seek(0)
            restore(url, own_urls["REDIS_URL"], backup)
            read_all(client, workout_id)
    finally:
        stop(worker)
    assert "ERROR" not in log.read_text()
    assert "ERROR" not in (tmp_path / "api.log").read_text()


def read_all(client: httpx2.Client, workout_id: str) -> None:
    """What riders look at most."""
    found = client.get("/api/workouts", params={"q": "uber"}).json()["workouts"]
    assert [each["id"] for each in found] == [workout_id]
    telemetry = client.get(f"/api/workouts/{workout_id}/telemetry").json()
    assert telemetry["sampleCount"] == 1300
    for path in (
        *("records", "power-curve", "critical-power", "stats", "fitness", "uploads"),
        _FTP,
    ):
        answer = client.get(f"/api/{path}")
        assert answer.is_success, (path, answer.text)
    assert len(client.get("/api/users/me/export").content) > 1000


_FTP = "users/me/ftp-suggestion"
