"""Which PostgreSQL and Redis to use: the owner's where named, else this checkout's own."""

import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from ops.postgres import run_postgres, server_user
from ops.processes import ProcessFailed
from ops.valkey import run_valkey
from shared.errors import InvalidSettings

_KEYS = ("DATABASE_URL", "REDIS_URL")


@contextmanager
def servers(environ: Mapping[str, str], data_dir: Path) -> Iterator[dict[str, str]]:
    """Yields an environment in which DATABASE_URL and REDIS_URL name running servers.

    With neither set, embedded servers on ``data_dir`` serve. Whoever comes first starts and stops
    them; later callers are guests for as long as the first one stays.
    """
    named = [key for key in _KEYS if environ.get(key)]
    if len(named) == 1:
        raise InvalidSettings(f"{named[0]} is set: set {' and '.join(_KEYS)} both, or neither")
    if named:
        yield dict(environ)
        return
    _prepare(data_dir)
    with (data_dir / "lock").open("w") as lock:
        addresses = data_dir / "servers.json"
        if _try_lock(lock):
            _clear_up_after_kill(addresses)
            with embedded_servers(data_dir) as urls:
                write_private(addresses, json.dumps(urls))
                try:
                    yield {**environ, **urls}
                finally:
                    addresses.unlink()
        else:
            yield {**environ, **_wait_for(addresses, lock)}


@contextmanager
def embedded_servers(data_dir: Path, *postgres_options: str) -> Iterator[dict[str, str]]:
    """Run both servers on ``data_dir``, behind sockets in a private folder; yields their URLs."""
    _prepare(data_dir)
    sockets = _private_folder()
    try:
        with (
            run_postgres(data_dir, sockets, *postgres_options) as database_url,
            run_valkey(data_dir, sockets) as redis_url,
        ):
            yield {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    finally:
        shutil.rmtree(sockets, ignore_errors=True)


def write_private(path: Path, text: str) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    fresh.rename(path)


def _clear_up_after_kill(addresses: Path) -> None:
    """Remove what a run left behind that was killed outright."""
    if addresses.exists():
        urls = json.loads(addresses.read_text())
        shutil.rmtree(Path(urls["REDIS_URL"].removeprefix("unix://")).parent, ignore_errors=True)
        addresses.unlink()


def _prepare(data_dir: Path) -> None:
    (data_dir / "logs").mkdir(parents=True, exist_ok=True)


def _private_folder() -> Path:
    """A short path (socket addresses hold about 100 bytes) that only we and the server enter."""
    parent = "/tmp" if Path("/tmp").is_dir() else None  # noqa: S108 - mkdtemp makes it private
    folder = Path(tempfile.mkdtemp(prefix="bpt-", dir=parent))
    if user := server_user():
        os.chown(folder, user.pw_uid, user.pw_gid)
    return folder


def _try_lock(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_for(addresses: Path, lock: TextIO, timeout: float = 60) -> dict[str, str]:
    """The addresses that the process holding the lock publishes once its servers are up."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            urls: dict[str, str] = json.loads(addresses.read_text())
            return urls
        except FileNotFoundError:
            time.sleep(0.1)
        if _try_lock(lock):
            raise ProcessFailed("the embedded servers were just stopped; try again")
    raise ProcessFailed(f"the embedded servers of {addresses.parent} did not come up")
