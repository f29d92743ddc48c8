"""Files and folders that only their owner may read, and locks on them."""

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from pwd import struct_passwd
from typing import IO, Literal

from shared.errors import TrackerError


class InUse(TrackerError):
    """Another process holds the lock, and has not let go of it in time."""


def create_private(path: Path) -> IO[bytes]:
    """Open a file for writing, empty and readable by its owner only."""
    return _open_private(path, os.O_TRUNC, "wb")


def append_private(path: Path) -> IO[bytes]:
    """Open a file for writing at its end, readable by its owner only."""
    return _open_private(path, os.O_APPEND, "ab")


def make_private(folder: Path, group: int | None = None) -> None:
    """Make a folder that only its owner, and by name ``group``, may enter; or shut it so."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if group is not None:
        os.chown(folder, -1, group)
    folder.chmod(0o700 if group is None else 0o710)


def shut_all(folder: Path, within: Collection[str]) -> None:
    """Take from everybody but its owner what is in a folder and, of its folders, in those named.

    Nothing is loosened, no link is followed, and what has a second name, perhaps elsewhere, is
    left alone.
    """
    for path, folders, files, parent in os.fwalk(folder):
        if path == str(folder):  # which its owner may use for other things as well
            folders[:] = [name for name in folders if name in within]
        for name in folders + files:
            with suppress(OSError):  # a link, or gone by now
                _shut_entry(name, parent)


def _shut_entry(name: str, parent: int) -> None:
    entry = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=parent)
    try:
        found = os.fstat(entry)
        alone = found.st_nlink == 1 or stat.S_ISDIR(found.st_mode)
        if alone and found.st_mode & 0o7077:
            os.fchmod(entry, found.st_mode & 0o700)
    finally:
        os.close(entry)


def _open_private(path: Path, how: int, mode: Literal["wb", "ab"]) -> IO[bytes]:
    """Shuts a file that was there before, too; but no device, such as /dev/stdout."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | how, 0o600)
    if stat.S_ISREG(os.fstat(file).st_mode):
        os.fchmod(file, 0o600)
    return os.fdopen(file, mode)


def write_private(path: Path, text: str) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with create_private(fresh) as file:
        file.write(text.encode())
    fresh.rename(path)


@contextmanager
def private_folder(
    owner: struct_passwd | None = None, remembered: Path | None = None
) -> Iterator[Path]:
    """A temporary folder that only root and ``owner``, by default ourselves, may enter.

    Its path is short: the address of a socket holds about 100 bytes. ``remembered`` is a file
    that keeps it: if we are killed, the next process finds the same folder.
    """
    folder = _known(remembered, owner) if remembered else None
    if folder is None:
        parent = "/tmp" if Path("/tmp").is_dir() else None  # noqa: S108 - mkdtemp makes it private
        folder = Path(tempfile.mkdtemp(prefix="bpt-", dir=parent))
    try:
        if owner:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        if remembered:
            write_private(remembered, str(folder))
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if remembered:
            remembered.unlink(missing_ok=True)


def _known(remembered: Path, owner: struct_passwd | None) -> Path | None:
    """The folder that was kept, made again if it is gone; None if somebody else has taken it."""
    try:
        folder = Path(remembered.read_text())
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
    except OSError:
        return None
    ours = {os.geteuid(), owner.pw_uid if owner else os.geteuid()}
    return folder if found.st_uid in ours and found.st_mode == stat.S_IFDIR | 0o700 else None


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
