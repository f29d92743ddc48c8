"""Servers, API processes and workers of the benchmark's own, and how much to measure of them."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import httpx2

from bench.load import Address
from bench.meters import Meter, cpu_of
from bench.peer import Peer
from ops.admin import migrations
from ops.admin.accounts import Account, create_account
from ops.embedded.servers import embedded_servers
from ops.processes import Process, Supervisor, spawn, stop, wait_until
from shared.connections import Database, Redis, open_database, open_redis
from shared.settings import read_settings

_ROOT: Final = Path(__file__).resolve().parents[1]
# One user stands for many: no bounds. And no sweep that would fold what is being measured.
_VARIABLES: Final = {
    "MAX_SAMPLES_PER_MINUTE": "2000000000",
    "MAX_RIDE_SAMPLES": "2000000000",
    "MAX_WAITING_BYTES": "100000000000",
    "MAX_ACTIVE_RIDES": "1000000",
    "MAX_RIDES_PER_HOUR": "1000000",
    "MAX_SOCKETS_PER_KEY": "1000000",
    "MAX_SOCKETS_PER_USER": "1000000",
    "MAX_VIEWERS_PER_KEY": "1000000",
    "MAX_VIEWERS_PER_USER": "1000000",
    "SWEEP_INTERVAL": "86400",
}


@dataclass(frozen=True)
class Options:
    """How much of everything is measured.

    ``seconds``: of each load; ``shortest``: of one at the pace of riders, of which less would say
    little. ``rides``: how many are folded, completed or left in a backlog; ``hours``: how long
    those are that are folded. ``keys``: of riders; ``stale``: rides to be computed anew.
    """

    runs: int
    seconds: float
    rides: int
    peer: Peer | None = None
    shortest: float = 10.0
    hours: tuple[int, ...] = (1, 6, 24)
    keys: int = 5000
    stale: int = 2000


@dataclass(frozen=True)
class Served:
    """An HTTP server: its process, and where it listens."""

    process: Process
    address: Address

    @property
    def url(self) -> str:
        """Its address, for clients."""
        return "http://{}:{}".format(*self.address)


@dataclass(frozen=True)
class System:
    """Both servers, migrated, with connections to them and their CPU seconds; and a user."""

    environ: dict[str, str]
    logs: Path
    account: Account
    database: Database
    redis: Redis
    postgres_cpu: Meter
    redis_cpu: Meter

    @contextmanager
    def serving(self, module: str) -> Iterator[Served]:
        """One process of a module that serves HTTP, such as ``api``, once it is ready."""
        with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
            fd, log = listener.fileno(), self.logs / f"{module}.log"
            environ = {**self.environ, "LISTEN_FD": str(fd)}
            process = spawn([sys.executable, "-m", module], log=log, environ=environ, pass_fds=[fd])
            served = Served(process, listener.getsockname())
            try:
                wait_until(lambda: _answers(served.url), process, log)
                yield served
            finally:
                stop(process)

    @contextmanager
    def workers(self, count: int) -> Iterator[list[Process]]:
        """So many worker processes."""
        argv, log = [sys.executable, "-m", "worker"], self.logs / "worker.log"
        with ExitStack() as stack:
            processes = [spawn(argv, log=log, environ=self.environ) for _ in range(count)]
            for process in processes:
                stack.callback(stop, process)
            yield processes


@contextmanager
def running_system() -> Iterator[System]:
    """Everything but API and workers, in a temporary folder."""
    supervisor = Supervisor()
    with TemporaryDirectory(prefix="bpt-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL may run as another user
        with embedded_servers(folder, supervisor) as urls:
            migrations.apply(urls["DATABASE_URL"])
            account = create_account(urls["DATABASE_URL"], "rider@example.com", "bench")
            environ = {**os.environ, **urls, **_VARIABLES, "PYTHONPATH": str(_ROOT)}
            settings, servers = read_settings(environ), map(cpu_of, supervisor.processes)
            with open_database(settings) as database, open_redis(settings) as redis:
                yield System(environ, folder / "logs", account, database, redis, *servers)


def _answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/health/ready", timeout=5).is_success
    except httpx2.TransportError:
        return False
