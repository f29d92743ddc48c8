"""Files and folders that only their owner may read, and locks on them."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pwd import struct_passwd
from typing import IO

from shared.errors import TrackerError


class InUse(TrackerError):
    """Another process holds the lock, and has not let go of it in time."""


def create_private(path: Path) -> IO[bytes]:
    """Open a file for writing, empty and readable by its owner only."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def write_private(path: Path, text: str) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with create_private(fresh) as file:
        file.write(text.encode())
    fresh.rename(path)


@contextmanager
def private_folder(owner: struct_passwd | None = None) -> Iterator[Path]:
    """A temporary folder that only root and ``owner``, by default ourselves, may enter.

    Its path is short: the address of a socket holds about 100 bytes.
    """
    parent = "/tmp" if Path("/tmp").is_dir() else None  # noqa: S108 - mkdtemp makes it private
    folder = Path(tempfile.mkdtemp(prefix="bpt-", dir=parent))
    try:
        if owner:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def locked(path: Path, timeout: float = 0) -> Iterator[int]:
    """Hold a lock file; yields its descriptor. Raises InUse after ``timeout`` seconds.

    A child process that inherits the descriptor holds the lock too, until it ends.
    """
    deadline = time.monotonic() + timeout
    with create_private(path) as file:
        while not _try_lock(file):
            if time.monotonic() >= deadline:
                raise InUse(f"{path} is locked by another process")
            time.sleep(0.05)
        yield file.fileno()


def _try_lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
