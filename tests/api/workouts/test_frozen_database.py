"""PostgreSQL that hangs: every answer comes within its time, and all heals by itself."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from ops.admin import migrations
from ops.admin.accounts import create_account
from ops.embedded.servers import embedded_servers
from tests.api.answers import eventually, problem_of
from tests.api.serving import serving
from tests.conftest import reachable_folder


@pytest.fixture
def client_and_server() -> Iterator[tuple[httpx2.Client, list[int]]]:
    """A client of an API of its own, and the processes of its PostgreSQL."""
    with reachable_folder() as folder, embedded_servers(folder) as urls:
        migrations.apply(urls["DATABASE_URL"])
        account = create_account(urls["DATABASE_URL"], "frozen@example.com", "test")
        with serving(urls, folder / "api.log", SERVICE_TIMEOUT="0.5") as client:
            client.headers["X-API-Key"] = account.api_key
            yield client, postgres_of(folder)


def postgres_of(folder: Path) -> list[int]:
    """The postmaster on a folder, and its children."""
    parent = int((folder / "postgres" / "cluster" / "postmaster.pid").read_text().split()[0])
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True).stdout
    pairs = (map(int, line.split()) for line in listed.splitlines())
    return [parent, *(pid for pid, ppid in pairs if ppid == parent)]


def test_requests_end_while_postgresql_hangs_and_succeed_once_it_goes_on(
    client_and_server: tuple[httpx2.Client, list[int]],
) -> None:
    client, server = client_and_server
    eventually(lambda: client.get("/health/ready").status_code == 200)
    assert client.get("/api/workouts").status_code == 200
    for pid in server:
        os.kill(pid, signal.SIGSTOP)
    try:
        problem = problem_of(client.get("/api/workouts"), 503)
        assert "send the same again" in problem["detail"]
        assert client.get("/health/live").status_code == 200
        assert client.get("/health").json()["database"] == "disconnected"
        ready = client.get("/health/ready")
        assert ready.json()["problems"] == ["PostgreSQL does not answer"]
    finally:
        for pid in server:
            os.kill(pid, signal.SIGCONT)
    eventually(lambda: client.get("/api/workouts").status_code == 200)
