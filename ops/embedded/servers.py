"""Which PostgreSQL and Redis to use: the owner's where named, else this checkout's own."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from ops.embedded.postgres import run_postgres, server_user
from ops.embedded.valkey import run_valkey
from ops.processes import Process, ProcessFailed, tail
from shared.errors import InvalidSettings
from shared.settings import require_sound

_KEYS: Final = ("DATABASE_URL", "REDIS_URL")
_ROOT: Final = Path(__file__).resolve().parents[2]
_START_TIMEOUT: Final = 120.0  # seconds


@contextmanager
def servers(environ: Mapping[str, str], data_dir: Path) -> Iterator[dict[str, str]]:
    """Yields an environment in which DATABASE_URL and REDIS_URL name running servers.

    With neither set, embedded servers on ``data_dir`` serve: started for their first user by a
    keeper process (ops.embedded.keeper), which stops them when the last user has left.
    """
    named = [key for key in _KEYS if environ.get(key)]
    if len(named) == 1:
        raise InvalidSettings(f"{named[0]} is set: set {' and '.join(_KEYS)} both, or neither")
    if named:
        for key in named:
            require_sound(key, environ[key])
        yield dict(environ)
        return
    prepare(data_dir)
    with users_lock(data_dir) as users:
        fcntl.flock(users, fcntl.LOCK_SH)  # waits while a keeper is stopping
        urls = _addresses_of_keeper(data_dir)
        try:
            yield {**environ, **urls}
        finally:
            fcntl.flock(users, fcntl.LOCK_UN)
            _await_stop(data_dir, users)


@contextmanager
def embedded_servers(
    data_dir: Path, watched: list[Process] | None = None
) -> Iterator[dict[str, str]]:
    """Run both servers on ``data_dir``, behind sockets in a private folder; yields their URLs.

    Their processes are added to ``watched``.
    """
    watched = [] if watched is None else watched
    prepare(data_dir)
    sockets = _private_folder()
    try:
        with (
            run_postgres(data_dir, sockets, watched) as database_url,
            run_valkey(data_dir, sockets, watched) as redis_url,
        ):
            yield {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    finally:
        shutil.rmtree(sockets, ignore_errors=True)


def prepare(data_dir: Path) -> None:
    """Make the folders that everything else is kept in."""
    (data_dir / "logs").mkdir(parents=True, exist_ok=True)


def users_lock(data_dir: Path) -> IO[str]:
    """Locked, shared, by each user of the servers; by the keeper, alone, to find that none is."""
    return (data_dir / "users.lock").open("a")


def keeper_lock(data_dir: Path) -> IO[str]:
    """Locked by the keeper for as long as it lives."""
    return (data_dir / "keeper.lock").open("a")


def keeper_lives(data_dir: Path) -> bool:
    """Whether a keeper holds its lock. To ask is to share the lock, so that many may at once."""
    with keeper_lock(data_dir) as lock:
        return not try_lock(lock, fcntl.LOCK_SH)


def addresses_file(data_dir: Path) -> Path:
    """Where the keeper says how to reach the servers that are up."""
    return data_dir / "servers.json"


def try_lock(file: IO[str], how: int = fcntl.LOCK_EX) -> bool:
    """Take a lock, alone unless ``how`` says otherwise, if nobody has it who would mind."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_private(path: Path, text: str) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    fresh.rename(path)


def _addresses_of_keeper(data_dir: Path) -> dict[str, str]:
    """The addresses that a living keeper gives; starts one whenever none lives."""
    log = data_dir / "logs" / "keeper.log"
    deadline = time.monotonic() + _START_TIMEOUT
    started = False
    while time.monotonic() < deadline:
        if keeper_lives(data_dir):
            if addresses_file(data_dir).exists():
                urls: dict[str, str] = json.loads(addresses_file(data_dir).read_text())
                return urls
        elif started and tail(log):
            raise ProcessFailed(f"the embedded servers did not start:\n{tail(log)}")
        else:
            _start_keeper(data_dir, log)
            started = True
        time.sleep(0.02)
    raise ProcessFailed(f"the embedded servers of {data_dir} did not come up")


def _start_keeper(data_dir: Path, log: Path) -> None:
    """Apart from us, as it outlives us if others use the servers; it lives once this returns."""
    with log.open("wb") as output:
        subprocess.run(
            [sys.executable, "-m", "ops.embedded.keeper", str(data_dir)],
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _await_stop(data_dir: Path, users: IO[str]) -> None:
    """If we were the last user, return once the servers have stopped."""
    while keeper_lives(data_dir):
        if try_lock(users):  # nobody uses them, and the keeper has yet to notice
            fcntl.flock(users, fcntl.LOCK_UN)
        elif try_lock(users, fcntl.LOCK_SH):  # somebody else does
            return
        time.sleep(0.05)


def _private_folder() -> Path:
    """A short path (socket addresses hold about 100 bytes) that only we and the server enter."""
    parent = "/tmp" if Path("/tmp").is_dir() else None  # noqa: S108 - mkdtemp makes it private
    folder = Path(tempfile.mkdtemp(prefix="bpt-", dir=parent))
    if user := server_user():
        os.chown(folder, user.pw_uid, user.pw_gid)
    return folder
