"""The processes of the service: started as in production, and replaced one after another."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2

from ops.processes import Process, spawn, stop, wait_until
from tests.ops.ports import free_ports

_PLACES: Final = {"API 1": "api", "API 2": "api", "worker 1": "worker", "worker 2": "worker"}


@dataclass(frozen=True)
class Placed:
    """A process in its place; ``number`` tells it from those that were there before."""

    place: str
    number: int
    process: Process


def migrate(environ: Mapping[str, str], checkout: Path, database_url: str) -> None:
    """As `make migrate` of that checkout does: around the pooler."""
    own = {**environ, "DATABASE_URL": database_url, "PYTHONPATH": str(checkout)}
    command = [sys.executable, "-P", "-m", "ops", "migrate"]
    subprocess.run(command, env={**_inherited(), **own}, check=True, capture_output=True)


class Fleet:
    """Two API processes at addresses of their own, and two workers, all of one checkout."""

    def __init__(self, logs: Path, environ: Mapping[str, str], checkout: Path) -> None:
        self._logs, self.environ, self.checkout = logs, environ, checkout
        ports = free_ports(2)
        self._ports = dict(zip(_PLACES, ports, strict=False))
        self.addresses = [f"http://127.0.0.1:{port}" for port in ports]
        self._started = 0
        self._running: dict[str, Placed] = {}
        for place in _PLACES:
            self._start(place)

    @property
    def running(self) -> list[Placed]:
        """One in each place."""
        return list(self._running.values())

    def replace_all(self, checkout: Path) -> None:
        """By those of another checkout: each is told to end, and then the next one is started."""
        self.checkout = checkout
        for place in _PLACES:
            stop(self._running[place].process)
            self._start(place)

    def replace_dead(self) -> list[str]:
        """Those that ended by themselves, which none should."""
        dead = [each for each in self.running if each.process.poll() is not None]
        for each in dead:
            self._start(each.place)
        return [f"{each.place} ended by itself: {each.process.returncode}" for each in dead]

    def close(self) -> None:
        for each in self.running:
            stop(each.process)

    def _start(self, place: str) -> None:
        """Ready to serve, where it serves."""
        module, port = _PLACES[place], self._ports.get(place)
        environ = {**_inherited(), **self.environ, "PYTHONPATH": str(self.checkout)}
        log = self._logs / f"{place.replace(' ', '-')}.log"
        if port:
            environ["PORT"] = str(port)
        process = spawn([sys.executable, "-P", "-m", module], log=log, environ=environ)
        self._started += 1
        self._running[place] = Placed(place, self._started, process)
        if port:
            wait_until(lambda: _lives(port), process, log)


@contextmanager
def running_fleet(logs: Path, environ: Mapping[str, str], checkout: Path) -> Iterator[Fleet]:
    """The processes, until the end."""
    fleet = Fleet(logs, environ, checkout)
    try:
        yield fleet
    finally:
        fleet.close()


def _inherited() -> dict[str, str]:
    """Our environment, without what would make settings of ours those of the service."""
    return {key: value for key, value in os.environ.items() if key != "WAL_ARCHIVE"}


def _lives(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/health/live", timeout=2).is_success
    except httpx2.TransportError:
        return False
