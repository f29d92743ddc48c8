"""The whole system on hosts of a network: two with an API process each, two with workers, and one
for each server.
"""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx2

from ops.admin import migrations
from ops.admin.accounts import create_account
from ops.embedded.servers import embedded_servers
from ops.processes import Process, wait_until
from tests.cluster.nodes import PRIMARIES, Cluster, Watched
from tests.cluster.system import ScaledSystem
from tests.conftest import Rider, reachable_folder
from tests.faults.proxy import Proxy
from tests.faults.system import socket_of
from tests.forking import start
from tests.hosts.host import Host
from tests.hosts.network import Network, network

_API_PORT: Final = "8000"
_REST: Final = 3.0  # seconds for which a device leaves a host alone that did not answer


class HostedSystem(ScaledSystem):
    """API processes and workers on ``api_hosts`` and ``worker_hosts``.

    All reach PostgreSQL on a host of its own, and the test's own process at ``address``.
    """

    def __init__(
        self, logs: Path, scaled: Cluster | Watched, database_url: str, network: Network
    ) -> None:
        super().__init__(logs, scaled, database_url)
        self.network = network
        self.address = network.address
        self.postgres_host = network.add("postgres")
        self.api_hosts = [network.add(f"api{nth}") for nth in (1, 2)]
        self.worker_hosts = [network.add(f"worker{nth}") for nth in (1, 2)]
        self._apis: dict[Host, Process] = {}
        self._at: dict[int, Host] = {}  # by worker's process id
        self._way = Proxy(socket_of(database_url), self.postgres_host)
        parts = urlsplit(database_url)
        where = f"{self.postgres_host.address}:{self._way.port}"
        self.environ["DATABASE_URL"] = f"postgresql://{parts.username}@{where}{parts.path}"

    def start_api(self, **variables: str) -> Process:
        """A process on each of their hosts that has none; the last one."""
        for host in self.api_hosts:
            if not self._is_running(host):
                self.launch_api_on(host, **variables)
        for host in self.api_hosts:
            wait_until(lambda: _serves(host), self._apis[host], self.logs / "api.log")  # noqa: B023
        return self._apis[host]

    def launch_api(self, **variables: str) -> Process:
        """A process on one of their hosts, which may not live to serve."""
        return self.launch_api_on(self.api_hosts[0], **variables)

    def launch_api_on(self, host: Host, **variables: str) -> Process:
        """A process on that host, which may not live to serve."""
        environ = {**self.environ, "HOST": host.address, "PORT": _API_PORT, **variables}
        log = self.logs / "api.log"
        self._apis[host] = self.api = start("api", log=log, environ=environ, host=host)
        return self.api

    @property
    def is_served(self) -> bool:
        """Whether an API process lives on each of their hosts."""
        return all(map(self._is_running, self.api_hosts))

    def _is_running(self, host: Host) -> bool:
        return host in self._apis and self._apis[host].poll() is None

    def kill_api(self) -> None:
        for host in self.api_hosts:
            self.kill_api_on(host)

    def kill_api_on(self, host: Host) -> None:
        """End its API process, if there is one."""
        if api := self._apis.get(host):
            api.kill()
            api.wait()

    def start_worker(self, **variables: str) -> Process:
        """One more, on the host that has the fewest."""
        host = min(self.worker_hosts, key=lambda each: len(self.workers_on(each)))
        return self.start_worker_on(host, **variables)

    def start_worker_on(self, host: Host, **variables: str) -> Process:
        """One more, on that host."""
        environ = {**self.environ, **variables}
        worker = start("worker", log=self.logs / "worker.log", environ=environ, host=host)
        self.workers.append(worker)
        self._at[worker.pid] = host
        return worker

    def workers_on(self, host: Host) -> list[Process]:
        """Those that live there."""
        return [each for each in self.workers if self._at[each.pid] == host and each.poll() is None]

    def make_rider(self, timeout: float = 60, hosts: Sequence[Host] = ()) -> Rider:
        """A user whose requests go to ``hosts`` in turn, by default to all that have an API."""
        account = create_account(self.database_url, f"{os.urandom(6).hex()}@example.com", "test")
        client = httpx2.Client(
            base_url=f"http://{self.api_hosts[0].address}:{_API_PORT}",
            headers={"X-API-Key": account.api_key},
            timeout=timeout,
            transport=_InTurn([host.address for host in hosts or self.api_hosts]),
        )
        self._clients.append(client)
        return Rider(account, client)

    def mend(self) -> None:
        """All hosts reach one another, and all servers run."""
        self.network.join()
        self.scaled.mend()

    def reset(self) -> None:
        self.network.join()
        super().reset()

    def close(self) -> None:
        super().close()
        self._way.close()


class _InTurn(httpx2.BaseTransport):
    """Sends each request to the next host; who does not answer is left alone for a while."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = list(addresses)
        self._resting: dict[str, float] = {}  # until when
        self._changing = threading.Lock()
        self._http = httpx2.HTTPTransport()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """What it answers. Raises TransportError."""
        address = self._next()
        request.url = request.url.copy_with(host=address)
        try:
            return self._http.handle_request(request)
        except httpx2.TransportError:
            self._resting[address] = time.monotonic() + _REST
            raise

    def _next(self) -> str:
        """The first of those that are not left alone, or of all."""
        with self._changing:
            rested = [each for each in self._addresses if not self._rests(each)]
            address = (rested or self._addresses)[0]
            self._addresses.remove(address)
            self._addresses.append(address)
        return address

    def _rests(self, address: str) -> bool:
        return time.monotonic() < self._resting.get(address, 0)

    def close(self) -> None:
        self._http.close()


@contextmanager
def running_on_hosts(kind: type[Cluster] | type[Watched], **options: str) -> Iterator[HostedSystem]:
    """Hosts and servers of its own, without API or workers yet; ``options``: of the Redis nodes."""
    with (
        reachable_folder() as folder,
        embedded_servers(folder / "data") as urls,
        network() as net,
    ):
        migrations.apply(urls["DATABASE_URL"])
        count = 2 * PRIMARIES if kind is Cluster else 5
        hosts = [net.add(f"redis{nth}") for nth in range(count)]
        (folder / "nodes").mkdir()
        scaled = kind(folder / "nodes", hosts, **options)
        try:
            system = HostedSystem(folder / "data" / "logs", scaled, urls["DATABASE_URL"], net)
            system.environ["CHECKPOINT_INTERVAL"] = "5"
            try:
                yield system
            finally:
                system.close()
        finally:
            scaled.stop()


def _serves(host: Host) -> bool:
    with suppress(httpx2.TransportError):
        answer = httpx2.get(f"http://{host.address}:{_API_PORT}/health/live", timeout=1)
        return answer.is_success
    return False
