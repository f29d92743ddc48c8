"""The commands of make that look after the service."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest

from ops.embedded.postgres import superuser_url
from tests.conftest import ROOT, run_ops
from tests.full_disk import on_full_disk


def test_without_servers_doctor_says_so_and_what_it_can_say_all_the_same(tmp_path: Path) -> None:
    nowhere = {"DATABASE_URL": "postgresql://127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1"}
    done = run_ops(
        "doctor", data_dir=tmp_path, SERVICE_TIMEOUT="0.5", API_URL="http://[::1]:1", **nowhere
    )
    assert done.returncode == 1
    assert "well   settings\n" in done.stdout
    for wrong in ("API: no API", "Redis: Redis is not", "PostgreSQL: PostgreSQL is not reached"):
        assert f"WRONG  {wrong}" in done.stdout
    assert done.stdout.endswith("things that are wrong: 3\n")


@pytest.mark.parametrize(
    ("variables", "wrong"),
    [
        ({"LEASE": "never"}, "LEASE must be a number above 0"),
        ({"REDIS_URL": "redis://127.0.0.1:1"}, "REDIS_URL is set: set DATABASE_URL and REDIS_URL"),
    ],
)
def test_a_wrong_setting_is_a_finding(
    tmp_path: Path, urls: Mapping[str, str], variables: dict[str, str], wrong: str
) -> None:
    given = variables if "REDIS_URL" in variables else {**urls, **variables}
    done = run_ops("doctor", data_dir=tmp_path, **given)
    assert done.returncode == 1
    assert f"WRONG  servers: {wrong}" in done.stdout


def test_doctor_finds_a_full_disk(urls: Mapping[str, str], tmp_path: Path) -> None:
    full = tmp_path / "full"
    command = [*on_full_disk(full), sys.executable, "-m", "ops", "doctor"]
    environ = {**os.environ, **urls, "DATA_DIR": str(tmp_path), "BACKUP_DIR": str(full)}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.returncode == 1
    assert (
        f"WRONG  disks: the disk of {full} (backups) is nearly full: 0 B of 1.0 MB" in done.stdout
    )


def test_status_says_who_runs_and_how_much_waits(
    service: str, urls: Mapping[str, str], tmp_path: Path
) -> None:
    done = run_ops("status", data_dir=tmp_path, API_URL=service, **urls)
    assert done.returncode == 0, done.stderr
    lines = {line[:12].strip(): line[12:] for line in done.stdout.splitlines() if line[0] != " "}
    assert lines["API"] == f"ready at {service}"
    assert int(lines["workers"]) >= 1
    assert "of 1.1 GB used" in lines["Redis"]
    assert lines["rides"].endswith("wait for their figures")
    assert lines["backup"] == f"none, in {tmp_path / 'backups'}"


def test_status_without_servers_says_which_are_away(tmp_path: Path) -> None:
    nowhere = {"DATABASE_URL": "postgresql://127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1"}
    done = run_ops("status", data_dir=tmp_path, API_URL="http://127.0.0.1:1", **nowhere)
    assert done.returncode == 0, done.stderr
    assert "Redis       is not reached" in done.stdout
    assert "PostgreSQL  is not reached" in done.stdout


def test_lag_tells_each_queue(urls: Mapping[str, str], tmp_path: Path) -> None:
    said = run_ops("lag", data_dir=tmp_path, **urls).stdout
    for line in ("queue       prompt: ", "queue       recomputes: ", "files       0 wait"):
        assert line in said


def test_tables_are_measured_and_cleaned_up(urls: Mapping[str, str], tmp_path: Path) -> None:
    sizes = run_ops("table-sizes", data_dir=tmp_path, **urls).stdout
    assert sizes.splitlines()[0].split() == ["size", "indexes", "rows", "dead", "table"]
    assert " workouts\n" in sizes
    (samples,) = [line for line in sizes.splitlines() if "workout_channels" in line]
    assert samples.endswith("  workout_channels")  # with its partitions, each of 16 KB and more
    assert not samples.lstrip().startswith("0 B")
    done = run_ops("vacuum", data_dir=tmp_path, **urls)
    assert "cleaned workouts\n" in done.stdout
    assert done.returncode == 0, done.stderr


def test_connections_are_told_by_who_holds_them(urls: Mapping[str, str], tmp_path: Path) -> None:
    with psycopg.connect(urls["DATABASE_URL"], application_name="an old friend"):
        said = run_ops("connections", data_dir=tmp_path, **urls).stdout
    assert " of 97 connections are taken\n" in said
    assert "    1  an old friend: idle" in said


def test_slow_queries_says_how_to_have_them_counted(
    urls: Mapping[str, str], tmp_path: Path
) -> None:
    """The embedded server has no extension for it; a view of the same name stands for it."""
    said = run_ops("slow-queries", data_dir=tmp_path, **urls).stdout
    assert "shared_preload_libraries = 'pg_stat_statements'" in said
    query = (ROOT / "ops" / "monitoring" / "slow_queries.sql").read_bytes()
    with psycopg.connect(superuser_url(urls["DATABASE_URL"])) as connection:
        connection.execute(
            "CREATE TEMPORARY VIEW pg_stat_statements AS SELECT oid AS dbid, 4::bigint AS calls,"
            " 2000.0::float8 AS total_exec_time, 500.0::float8 AS mean_exec_time, 7::bigint AS"
            " rows,"
            " E'SELECT\n  1'::text AS query FROM pg_database"
        )
        rows = connection.execute(query).fetchall()
    assert rows == [(4, 2.0, 500.0, 7, "SELECT 1")]
