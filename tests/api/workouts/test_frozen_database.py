"""PostgreSQL that hangs: every answer comes within its time, and all heals by itself."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ops.admin import migrations
from ops.admin.accounts import create_account
from ops.embedded.servers import embedded_servers
from ops.processes import spawn, stop, wait_until
from tests.api.answers import eventually, problem_of
from tests.conftest import ROOT, reachable_folder


@pytest.fixture
def client_and_server() -> Iterator[tuple[httpx.Client, list[int]]]:
    """A client of an API of its own, and the processes of its PostgreSQL."""
    with reachable_folder() as folder, embedded_servers(folder) as urls, socket.socket() as own:
        migrations.apply(urls["DATABASE_URL"])
        account = create_account(urls["DATABASE_URL"], "frozen@example.com", "test")
        own.bind(("127.0.0.1", 0))
        own.listen()
        environ = {**os.environ, **urls, "PYTHONPATH": str(ROOT), "SERVICE_TIMEOUT": "0.5"}
        environ["LISTEN_FD"] = str(own.fileno())
        log = folder / "api.log"
        api = spawn(
            [sys.executable, "-m", "api"], log=log, environ=environ, pass_fds=[own.fileno()]
        )
        url = f"http://127.0.0.1:{own.getsockname()[1]}"
        headers = {"X-API-Key": account.api_key}
        try:
            wait_until(lambda: httpx.get(f"{url}/health/ready").is_success, api, log)
            with httpx.Client(base_url=url, headers=headers, timeout=20) as client:
                yield client, postgres_of(folder)
        finally:
            stop(api)


def postgres_of(folder: Path) -> list[int]:
    """The postmaster on a folder, and its children."""
    parent = int((folder / "postgres" / "cluster" / "postmaster.pid").read_text().split()[0])
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True).stdout
    pairs = (map(int, line.split()) for line in listed.splitlines())
    return [parent, *(pid for pid, ppid in pairs if ppid == parent)]


def test_requests_end_while_postgresql_hangs_and_succeed_once_it_goes_on(
    client_and_server: tuple[httpx.Client, list[int]],
) -> None:
    client, server = client_and_server
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
