"""The API and workers that an import goes through, where none are told to it."""

import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
import redis

from ops.processes import Supervisor, spawn, wait_until
from shared.connections import redis_at
from shared.redis_keys import GROUP, Queue

WORKERS: Final = 2
_ROOT: Final = Path(__file__).resolve().parents[2]
_AWAKE: Final = 10_000  # ms within which a worker asks for events


@contextmanager
def own_service(
    environ: Mapping[str, str], data_dir: Path, *, may_start_workers: bool
) -> Iterator[str]:
    """An API process for this import alone; yields its address.

    Workers too, if there may be some and none run.
    """
    environ = {**environ, "PYTHONPATH": str(_ROOT)}
    with socket.socket() as listener, Supervisor() as supervisor:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        _start_api(supervisor, environ, listener.fileno(), url, data_dir / "logs/import-api.log")
        if may_start_workers and not workers_run(environ["REDIS_URL"]):
            for number in range(WORKERS):
                log = data_dir / f"logs/import-worker-{number + 1}.log"
                _start(supervisor, "worker", environ, log)
        yield url


def workers_run(redis_url: str) -> bool:
    """Whether a worker has asked for events just now."""
    with redis_at(redis_url) as client:
        try:
            consumers: Any = client.xinfo_consumers(Queue.PROMPT, GROUP)
        except redis.ResponseError:  # neither stream nor group: no worker ever ran
            return False
    return any(consumer["idle"] < _AWAKE for consumer in consumers)


def _start_api(
    supervisor: Supervisor, environ: dict[str, str], fd: int, url: str, log: Path
) -> None:
    _start(supervisor, "api", {**environ, "LISTEN_FD": str(fd)}, log, [fd])
    wait_until(lambda: _is_ready(url), supervisor.processes[-1], log)


def _start(
    supervisor: Supervisor, module: str, environ: dict[str, str], log: Path, fds: Sequence[int] = ()
) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    command = [sys.executable, "-m", module]
    supervisor.start(lambda: spawn(command, log=log, environ=environ, pass_fds=fds), log=log)


def _is_ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/health/ready", timeout=5).is_success
    except httpx2.TransportError:
        return False
