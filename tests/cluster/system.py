"""API and workers on servers that replace one another."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx2

from ops.admin import migrations
from ops.embedded.servers import embedded_servers
from ops.processes import Process
from shared.connections import primaries_of, redis_at
from tests.cluster.nodes import Cluster, Watched
from tests.conftest import ROOT, reachable_folder
from tests.faults.system import IMPATIENT, System
from tests.ops.databases import empty_database


class ScaledSystem(System):
    """One API process and as many workers as are started, on ``scaled`` and a PostgreSQL."""

    def __init__(self, logs: Path, scaled: Cluster | Watched, database_url: str) -> None:
        self.logs = logs
        self.scaled = scaled
        self._database_url = database_url
        self.environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": database_url,
            "REDIS_URL": scaled.url,
            **IMPATIENT,
        }
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.api: Process | None = None
        self.workers: list[Process] = []
        self.redis_client = redis_at(scaled.url, 5)
        self._clients: list[httpx2.Client] = []

    @property
    def database_url(self) -> str:
        return self._database_url

    @property
    def redis_url(self) -> str:
        return self.scaled.url

    def reset(self) -> None:
        """Empty servers that work, and no other process."""
        self.kill_api()
        self.api = None
        self.kill_workers()
        self._close_clients()
        self.scaled.mend()
        for server in primaries_of(self.redis_client).values():
            server.flushall()
        self.execute("TRUNCATE users, dead_letters CASCADE")
        for name in ("api", "worker"):
            (self.logs / f"{name}.log").unlink(missing_ok=True)

    def close(self) -> None:
        self.kill_api()
        self.kill_workers()
        self._close_clients()
        self.redis_client.close()
        self._listener.close()


Running = Callable[[], AbstractContextManager[Cluster | Watched]]


@contextmanager
def running_apart(running: Running) -> Iterator[ScaledSystem]:
    """The same, with servers of its own."""
    with (
        reachable_folder() as folder,
        embedded_servers(folder) as urls,
        running() as scaled,
        running_on(scaled, urls["DATABASE_URL"], "scaled") as system,
    ):
        system.environ["CHECKPOINT_INTERVAL"] = "5"
        yield system


@contextmanager
def running_on(scaled: Cluster | Watched, postgres: str, name: str) -> Iterator[ScaledSystem]:
    """A database of its own on a PostgreSQL, without API or workers yet."""
    with reachable_folder() as logs, empty_database(postgres, name) as database_url:
        migrations.apply(database_url)
        system = ScaledSystem(logs, scaled, database_url)
        try:
            yield system
        finally:
            system.close()
