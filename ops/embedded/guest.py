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
from typing import Final

from ops.private_files import InUse, create_private, locked
from ops.processes import ProcessFailed, tail

_ROOT: Final = Path(__file__).resolve().parents[2]
_START_TIMEOUT: Final = 120.0  # seconds
_PAUSE: Final = 5.0  # seconds between attempts to replace a keeper


@contextmanager
def stay(data_dir: Path, report: Callable[[str], None]) -> Iterator[dict[str, str]]:
    """Keep the servers running; yields their URLs.

    ``report`` is called, from another thread, with what the keeper has to say. A keeper that is
    killed is replaced, on the same sockets. If we are the last to leave, the servers have stopped
    on return.
    """
    guest = _Guest(data_dir, report)
    listening = threading.Thread(target=guest.listen, daemon=True)
    listening.start()
    try:
        yield guest.urls
    finally:
        guest.leave()
        listening.join()


class _Guest:
    """One connection to the keeper at a time, from the first keeper to our leaving."""

    def __init__(self, data_dir: Path, report: Callable[[str], None]) -> None:
        self._data_dir, self._report = data_dir, report
        self._lock, self._leaving = threading.Lock(), threading.Event()
        self._enter()

    def listen(self) -> None:
        """Pass on what the keeper says, until it lets us go."""
        while True:
            with suppress(ConnectionError):
                for line in self._lines:
                    self._report(line.rstrip("\n"))
            self._connection.close()
            if self._leaving.is_set():
                return
            self._report("the keeper of the embedded servers ended; starting another")
            self._enter_again()

    def leave(self) -> None:
        """Say that we need the servers no more; ``listen`` returns once the keeper has heard."""
        with self._lock:
            self._leaving.set()
            self._say_goodbye()

    def _enter(self) -> None:
        connection = _join(self._data_dir)
        with self._lock:
            self._connection, self._lines = connection, connection.makefile()
            self.urls: dict[str, str] = json.loads(self._lines.readline())
            if self._leaving.is_set():
                self._say_goodbye()

    def _enter_again(self) -> None:
        while not self._leaving.is_set():
            try:
                self._enter()
            except (ProcessFailed, ValueError, OSError) as error:
                self._report(f"{error}; trying again in {_PAUSE:.0f} s".replace("\n", " "))
                self._leaving.wait(_PAUSE)
            else:
                return

    def _say_goodbye(self) -> None:
        with suppress(OSError):  # the keeper was killed
            self._connection.shutdown(socket.SHUT_WR)


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
    with create_private(data_dir / "logs" / "keeper.log") as log:
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
