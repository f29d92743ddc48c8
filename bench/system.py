"""Servers, API processes and workers of the benchmark's own, and what they cost."""

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import psycopg
from psycopg.rows import dict_row

from bench.load import Address
from ops.admin import migrations
from ops.admin.accounts import Account, create_account
from ops.embedded.servers import embedded_servers
from ops.processes import Process, Supervisor, spawn, stop, wait_until
from shared.connections import Row

_ROOT: Final = Path(__file__).resolve().parents[1]
_TICKS: Final = os.sysconf("SC_CLK_TCK")
# No quota; and no sweep that would fold what is being measured.
_VARIABLES: Final = {"MAX_SAMPLES_PER_MINUTE": "2000000000", "SWEEP_INTERVAL": "86400"}


@dataclass(frozen=True)
class Served:
    """An HTTP server: its process, and where it listens."""

    process: Process
    host: str
    port: int

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{self.host}:{self.port}"

    @property
    def address(self) -> Address:
        """Host and port."""
        return self.host, self.port


@dataclass(frozen=True)
class System:
    """Both servers, migrated, and a rider."""

    environ: dict[str, str]
    logs: Path
    postgres: Process
    redis: Process
    account: Account

    @property
    def database_url(self) -> str:
        """Where PostgreSQL is."""
        return self.environ["DATABASE_URL"]

    @contextmanager
    def api(self) -> Iterator[Served]:
        """One API process on a port of its own, ready to serve."""
        with self._serving("api") as served:
            yield served

    @contextmanager
    def bare_app(self) -> Iterator[Served]:
        """The limit: an application that reads the body and answers, on the same HTTP server."""
        with self._serving("bench.bare") as served:
            yield served

    @contextmanager
    def workers(self, count: int) -> Iterator[list[Process]]:
        """So many worker processes."""
        with ExitStack() as stack:
            processes = []
            for number in range(count):
                log = self.logs / f"worker-{number}.log"
                argv = [sys.executable, "-m", "worker"]
                processes.append(spawn(argv, log=log, environ=self.environ))
                stack.callback(stop, processes[-1])
            yield processes

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection[Row]]:
        """A connection in autocommit mode."""
        with psycopg.connect(
            self.database_url, autocommit=True, row_factory=dict_row
        ) as connection:
            yield connection

    @contextmanager
    def _serving(self, module: str) -> Iterator[Served]:
        with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
            fd = listener.fileno()
            log = self.logs / f"{module}.log"
            process = spawn(
                [sys.executable, "-m", module],
                log=log,
                environ={**self.environ, "LISTEN_FD": str(fd)},
                pass_fds=[fd],
            )
            served = Served(process, *listener.getsockname())
            try:
                wait_until(lambda: _answers(served.url), process, log)
                yield served
            finally:
                stop(process)


@contextmanager
def running_system() -> Iterator[System]:
    """Everything but API and workers, in a temporary folder."""
    supervisor = Supervisor()
    with temporary_folder() as folder, embedded_servers(folder, supervisor) as urls:
        migrations.apply(urls["DATABASE_URL"])
        environ = {**os.environ, **urls, **_VARIABLES, "PYTHONPATH": str(_ROOT)}
        account = create_account(urls["DATABASE_URL"], "rider@example.com", "bench")
        postgres, redis = supervisor.processes
        yield System(environ, folder / "logs", postgres, redis, account)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """One that the embedded PostgreSQL may enter, whoever it runs as."""
    folder = Path(tempfile.mkdtemp(prefix="bpt-bench-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def cpu_seconds(process: Process) -> float:
    """CPU time of a process and its children, those that have ended included."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return sum(_cpu_seconds(pid) for pid in (process.pid, *map(int, children)))


def _cpu_seconds(pid: int) -> float:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:  # a child that has ended since: its parent has its time
        return 0
    # After the name, which may hold spaces: utime, stime, cutime and cstime are fields 14 to 17.
    return sum(map(int, stat.rpartition(")")[2].split()[11:15])) / _TICKS


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready", timeout=5).is_success
    except httpx.TransportError:
        return False
