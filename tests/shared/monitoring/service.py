"""An API process and a worker whose figures are at one port."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import httpx2

from ops.admin.accounts import create_account
from ops.processes import Process, spawn, stop
from tests.api.serving import serving
from tests.conftest import ROOT, Rider
from tests.shared.monitoring.scraping import Reading, free_port, scrape
from tests.worker.waiting import eventually


@dataclass(frozen=True)
class Service:
    """Both processes, and where their figures are."""

    rider: Rider
    metrics: str
    environ: dict[str, str]
    worker: Process
    stop_api: Callable[[], None]

    def read(self) -> list[Reading]:
        return scrape(self.metrics)


@contextmanager
def watched_service(urls: Mapping[str, str], folder: Path) -> Iterator[Service]:
    """Runs them; both count in one folder."""
    port = free_port()
    own = {
        "DATABASE_URL": urls["DATABASE_URL"],
        "REDIS_URL": urls["REDIS_URL"],
        "SWEEP_INTERVAL": "1",
        "METRICS_PORT": str(port),
        "METRICS_DIR": str(folder / "metrics"),
        "DATA_DIR": str(folder),
        "BACKUP_DIR": str(folder / "backups"),
    }
    account = create_account(urls["DATABASE_URL"], f"{token_hex(6)}@example.com", "test")
    metrics = f"http://127.0.0.1:{port}/metrics"
    with ExitStack() as running:
        client = running.enter_context(serving(own, folder / "api.log"))
        client.headers["X-API-Key"] = account.api_key
        eventually(lambda: is_served(metrics))
        worker = start_worker(own, folder / "worker.log")
        try:
            eventually(lambda: client.get("/health/ready").json()["workers"] == 1)
            yield Service(Rider(account, client), metrics, own, worker, running.close)
        finally:
            stop(worker)


def start_worker(own: Mapping[str, str], log: Path, *before: str) -> Process:
    """``before``: what its command begins with."""
    environ = {**os.environ, **own, "PYTHONPATH": str(ROOT)}
    return spawn([*before, sys.executable, "-m", "worker"], log=log, environ=environ)


def is_served(url: str) -> bool:
    try:
        return httpx2.get(url).is_success
    except httpx2.TransportError:
        return False
