"""Using the embedded servers of a data folder: whoever does stays connected to their keeper."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from ops.private_files import InUse, locked
from ops.processes import ProcessFailed, tail

_ROOT: Final = Path(__file__).resolve().parents[2]
_START_TIMEOUT: Final = 120.0  # seconds


@contextmanager
def stay(data_dir: Path, report: Callable[[str], None]) -> Iterator[dict[str, str]]:
    """Keep the servers running; yields their URLs.

    ``report`` is called, from another thread, with what the keeper has to say. If we are the
    last to leave, the servers have stopped on return.
    """
    with _join(data_dir) as connection, connection.makefile() as lines:
        urls: dict[str, str] = json.loads(lines.readline())
        listening = threading.Thread(target=_relay, args=(lines, report), daemon=True)
        listening.start()
        try:
            yield urls
        finally:
            with suppress(OSError):  # the keeper was killed
                connection.shutdown(socket.SHUT_WR)
            listening.join()


def keeper_lives(data_dir: Path) -> bool:
    """Whether somebody keeps the servers running."""
    with socket.socket(socket.AF_UNIX) as connection:
        return _connects(connection, data_dir)


def address_file(data_dir: Path) -> Path:
    """Names the socket on which the keeper lets users in."""
    return data_dir / "keeper.address"


def _join(data_dir: Path) -> socket.socket:
    """A connection to the keeper, whose answer has begun to arrive; starts one if there is none.

    A keeper holds its lock for as long as it lives, so that there is never more than one. One
    that is about to stop closes the connection without an answer.
    """
    deadline, started = time.monotonic() + _START_TIMEOUT, False
    while time.monotonic() < deadline:
        with suppress(InUse), locked(data_dir / "keeper.lock") as lock:
            if started:
                log = tail(data_dir / "logs" / "keeper.log")
                raise ProcessFailed(f"the embedded servers did not start:\n{log}")
            _start_keeper(data_dir, lock)
            started = True
        connection = socket.socket(socket.AF_UNIX)
        if _connects(connection, data_dir) and _is_let_in(connection):
            return connection
        connection.close()
        time.sleep(0.02)
    raise ProcessFailed(f"the embedded servers of {data_dir} did not come up")


def _start_keeper(data_dir: Path, lock: int) -> None:
    """It inherits the lock, and is no child of ours, as it outlives us if others come."""
    address_file(data_dir).unlink(missing_ok=True)  # of a keeper that was killed
    with (data_dir / "logs" / "keeper.log").open("wb") as log:
        subprocess.run(
            [sys.executable, "-m", "ops.embedded.keeper", data_dir],
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[lock],
        )


def _connects(connection: socket.socket, data_dir: Path) -> bool:
    try:
        connection.connect(address_file(data_dir).read_text())
    except OSError:  # there is no keeper, or it has yet to say where it listens
        return False
    return True


def _is_let_in(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK) != b""
    except ConnectionError:
        return False


def _relay(lines: IO[str], report: Callable[[str], None]) -> None:
    """Until the keeper lets us go."""
    with suppress(ConnectionError):
        for line in lines:
            report(line.rstrip("\n"))
