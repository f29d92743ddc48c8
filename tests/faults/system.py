"""The whole system as real processes, each of which can be killed, stopped and started again."""

import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import psycopg
import redis
from psycopg.rows import dict_row

from ops.admin import migrations
from ops.admin.accounts import create_account
from ops.embedded.postgres import postgres_server
from ops.embedded.server import Server as EmbeddedServer
from ops.embedded.servers import prepare
from ops.embedded.valkey import valkey_server
from ops.processes import Process, stop, wait_until
from tests.conftest import ROOT, Rider, reachable_folder
from tests.faults.proxy import Proxy
from tests.forking import start
from tests.worker.waiting import eventually

# Impatient, so that a test need not wait for what a rider would hardly notice.
IMPATIENT = {
    "LEASE": "2",
    "SWEEP_INTERVAL": "0.5",
    "SERVICE_TIMEOUT": "2",
    "SHUTDOWN_GRACE": "10",
    "WEBHOOK_ALLOW_PRIVATE": "1",  # receivers of tests are on this machine
    "WEBHOOK_TIMEOUT": "1",
}
# What a test may have changed in Redis.
SOUND_REDIS = {
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
    "appendonly": "yes",
    "appendfsync": "everysec",
}


class Server:
    """PostgreSQL or Valkey on a folder of its own, behind a proxy; its data outlives a kill."""

    def __init__(self, server: EmbeddedServer) -> None:
        self._server = server
        self.url = server.url  # around the proxy
        self.start()

    def start(self) -> None:
        self.process = self._server.spawn()
        wait_until(self._server.answers, self.process, self._server.log)

    def stop(self) -> None:
        """As an orderly restart does."""
        if self.is_running:
            self.resume()
            stop(self.process, self._server.stop_signal)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self.process.wait()

    def restart(self) -> None:
        """Stop it, if it still runs, and start it on the same data."""
        self.stop()
        self.start()

    @property
    def argv(self) -> Sequence[str | Path]:
        """The program and its arguments."""
        return self._server.argv

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def pause(self) -> None:
        """SIGSTOP to the server and all its children: it accepts and never answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, how: signal.Signals) -> None:
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for each in (pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(each, how)

    @property
    def socket_path(self) -> str:
        return socket_of(self.url)


class System:
    """PostgreSQL, Valkey, one API process and as many workers as are started.

    ``environ`` is what API and workers are given; their way to the servers leads through
    ``postgres_proxy`` and ``redis_proxy``. ``database_url`` and ``redis_url`` lead around them.
    At ``address`` they reach what is in the test's own process.
    """

    address = "127.0.0.1"

    def __init__(self, folder: Path, **variables: str) -> None:
        data_dir, sockets = folder / "data", folder / "sockets"
        sockets.mkdir()
        sockets.chmod(0o777)
        prepare(data_dir)
        self.logs = data_dir / "logs"
        self.postgres = Server(postgres_server(data_dir, sockets))
        self.redis = Server(valkey_server(data_dir, sockets))
        migrations.apply(self.postgres.url)
        self.postgres_proxy = Proxy(self.postgres.socket_path)
        self.redis_proxy = Proxy(self.redis.socket_path)
        parts = urlsplit(self.postgres.url)
        self.environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": f"postgresql://{parts.username}@127.0.0.1:{self.postgres_proxy.port}"
            f"{parts.path}",
            "REDIS_URL": f"redis://127.0.0.1:{self.redis_proxy.port}",
            **IMPATIENT,
            **variables,
        }
        self._listener = socket.create_server(("127.0.0.1", 0))
        # Passed on to each connection: whatever the machine, the kernel takes little of an answer
        # that nobody reads.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 128 * 1024)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.api: Process | None = None
        self.workers: list[Process] = []
        self.redis_client = redis.Redis.from_url(self.redis_url)  # around the proxy
        self._clients: list[httpx2.Client] = []

    @property
    def database_url(self) -> str:
        return self.postgres.url

    @property
    def redis_url(self) -> str:
        return self.redis.url

    def start_api(self, **variables: str) -> Process:
        """A new API process on the same socket, ready to serve, in place of an earlier one."""
        self.kill_api()
        api = self.launch_api(**variables)
        wait_until(self._serves, api, self.logs / "api.log")
        return api

    def launch_api(self, **variables: str) -> Process:
        """A new API process beside an earlier one. One with a failpoint may not live to serve."""
        environ = {**self.environ, **variables}
        log = self.logs / "api.log"
        self.api = start("api", log=log, environ=environ, listener=self._listener)
        return self.api

    @property
    def is_served(self) -> bool:
        """Whether every API process that was started lives."""
        return self.api is not None and self.api.poll() is None

    def start_worker(self, **variables: str) -> Process:
        environ = {**self.environ, **variables}
        self.workers.append(start("worker", log=self.logs / "worker.log", environ=environ))
        return self.workers[-1]

    def kill_api(self) -> None:
        if self.api:
            self.api.kill()
            self.api.wait()

    def kill_workers(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.workers.clear()

    def query(self, statement: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]:
        """The rows of a statement, around the proxy."""
        with psycopg.connect(self.database_url, autocommit=True, row_factory=dict_row) as database:
            return database.execute(statement.encode(), parameters).fetchall()

    def execute(self, statement: str) -> None:
        """Run a statement, around the proxy."""
        with psycopg.connect(self.database_url, autocommit=True) as database:
            database.execute(statement.encode())

    @contextmanager
    def holding(self, workout_id: str) -> Iterator[None]:
        """Hold a workout's row, so that its fold must wait."""
        with psycopg.connect(self.database_url) as holder:
            holder.execute("SELECT 1 FROM workouts WHERE id = %s FOR UPDATE", [workout_id])
            yield

    def has_waiting_transaction(self) -> bool:
        """Whether a transaction waits for what another one holds."""
        return self.query("SELECT 1 FROM pg_locks WHERE NOT granted") != []

    def log_of(self, name: str) -> str:
        """What ``api`` or ``worker`` processes have logged during this test."""
        log = self.logs / f"{name}.log"
        return log.read_text() if log.exists() else ""

    def await_log(self, name: str, text: str, times: int = 1) -> None:
        """Return once ``api`` or ``worker`` processes have logged a text so often."""
        eventually(lambda: self.log_of(name).count(text) >= times)

    def reset(self) -> None:
        """Empty servers that work, and no other process."""
        self.kill_api()
        self.api = None
        self.kill_workers()
        self._close_clients()
        for proxy in (self.redis_proxy, self.postgres_proxy):
            proxy.restore()
            proxy.cut()
        for server in (self.redis, self.postgres):
            server.resume() if server.is_running else server.restart()
        for name, value in SOUND_REDIS.items():
            self.redis_client.config_set(name, value)
        self.redis_client.flushall()
        self.execute("TRUNCATE users, dead_letters CASCADE")
        for name in ("api", "worker"):
            (self.logs / f"{name}.log").unlink(missing_ok=True)

    def make_rider(self, timeout: float = 60) -> Rider:
        """A user that nobody else is, with a client that sends its key."""
        account = create_account(self.database_url, f"{os.urandom(6).hex()}@example.com", "test")
        headers = {"X-API-Key": account.api_key}
        self._clients.append(httpx2.Client(base_url=self.url, headers=headers, timeout=timeout))
        return Rider(account, self._clients[-1])

    def close(self) -> None:
        self._close_clients()
        self.redis_client.close()
        for process in (*self.workers, *([self.api] if self.api else [])):
            process.send_signal(signal.SIGCONT)
            stop(process)
        for proxy in (self.redis_proxy, self.postgres_proxy):
            proxy.close()
        self.redis.stop()
        self.postgres.stop()
        self._listener.close()

    def _close_clients(self) -> None:
        for client in self._clients:
            client.close()
        self._clients.clear()

    def _serves(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/health/live", timeout=1).is_success
        except httpx2.TransportError:
            return False


@contextmanager
def running_system(**variables: str) -> Iterator[System]:
    """Servers of its own, without API or workers yet."""
    with reachable_folder() as folder:
        system = System(folder, **variables)
        try:
            yield system
        finally:
            system.close()


def socket_of(url: str) -> str:
    """The path of the socket of a server that listens on no port."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return parts.path
    return f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.5432"


def most_memory(process: Process) -> int:
    """The most that a process has had in memory, in KiB."""
    status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    [line] = [line for line in status if line.startswith("VmHWM")]
    return int(line.split()[1])
