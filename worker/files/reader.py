"""Reads files by a process of its own, which is killed when a file takes too much."""

import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Final

import msgspec

from shared.files.recording import FileRefused, Recording, UnreadableFile
from shared.files.takeouts import File
from shared.uploads import READER_FAULT
from worker.files.frames import (
    HEAD,
    End,
    Fault,
    Member,
    Refusal,
    Reply,
    Request,
    Ride,
    decode_reply,
    length_of,
    write_frame,
)

# Seconds of the clock for each second of CPU: on a busy machine the process waits its turn.
PATIENCE: Final = 10
_LOOK_EVERY: Final = 1.0  # seconds
_ROOT: Final = Path(__file__).resolve().parents[2]
_TOO_LONG: Final = "reading this file takes longer than it may"
logger = logging.getLogger(__name__)


class ReaderDied(Exception):
    """The reading process ended over a file, without a reason of the file's."""


class ReaderKilled(ReaderDied):
    """Somebody killed the reading process, as the kernel does when memory is short.

    That says nothing about the file: later, it may well be read.
    """


class FileReader:
    """Keeps one reading process, started with the first file and again after it was killed.

    ``seconds``: of CPU for a file; ``most_bytes``: of memory; ``patience``: seconds of the clock
    for each of CPU. While a file is read, ``look`` is called every second or oftener: what it
    raises ends the reading.
    """

    def __init__(self, seconds: int, most_bytes: int, patience: int = PATIENCE) -> None:
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._longest = seconds * patience
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Of the process, if there is one."""
        return self._process.pid if self._process else None

    def read_rides(
        self, data: bytes, received: int, look: Callable[[], None] = lambda: None
    ) -> list[Recording]:
        """The rides of a file that arrived at ``received`` (ms). Raises FileRefused, ReaderDied."""
        replies = self._ask(Request(data, received, is_archive=False), look)
        return [reply.recording for reply in replies if isinstance(reply, Ride)]

    def members(self, data: bytes, look: Callable[[], None] = lambda: None) -> Generator[File]:
        """The files of a zip, one after the other. Raises FileRefused, ReaderDied."""
        for reply in self._ask(Request(data, 0, is_archive=True), look):
            if isinstance(reply, Member):
                yield reply.file

    def close(self) -> None:
        """End the process, whatever it does."""
        process, self._process = self._process, None
        if process:
            process.kill()
            process.communicate()

    def _ask(self, request: Request, look: Callable[[], None]) -> Iterator[Reply]:
        process = self._started()
        done = False
        try:
            assert process.stdin  # noqa: S101 - it is a pipe
            write_frame(process.stdin, request)
            while not isinstance(reply := self._next_reply(process, look), End):
                _raise_refusal(reply)
                yield reply
            done = True
        except FileRefused:
            done = process.poll() is None
            raise
        except (OSError, EOFError, msgspec.DecodeError):
            raise self._end_of(process) from None
        finally:
            if not done:  # also if the caller wants no more: nobody reads what is still to come
                self.close()

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._process is None or self._process.poll() is not None:
            self.close()
            limits = [str(self._seconds), str(self._most_bytes)]
            self._process = subprocess.Popen(
                [sys.executable, "-m", "worker.files.reading", *limits],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=_ROOT,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            )
        return self._process

    def _next_reply(self, process: "subprocess.Popen[bytes]", look: Callable[[], None]) -> Reply:
        assert process.stdout  # noqa: S101 - it is a pipe
        deadline = time.monotonic() + self._longest
        head = _read(process.stdout.fileno(), HEAD, deadline, look)
        return decode_reply(_read(process.stdout.fileno(), length_of(head), deadline, look))

    def _end_of(self, process: "subprocess.Popen[bytes]") -> Exception:
        """What the end of the process says about the file."""
        try:
            ended = process.wait(1)
        except subprocess.TimeoutExpired:
            return UnreadableFile(_TOO_LONG)
        if ended == -signal.SIGXCPU:
            return UnreadableFile(_TOO_LONG)
        kind = ReaderKilled if ended == -signal.SIGKILL else ReaderDied
        return kind(f"the process that reads files ended with {ended}")


def _raise_refusal(reply: Reply) -> None:
    if isinstance(reply, Refusal):
        raise UnreadableFile(reply.reason)
    if isinstance(reply, Fault):
        logger.error("failed to read a file:\n%s", reply.traceback)
        raise UnreadableFile(READER_FAULT)


def _read(descriptor: int, length: int, deadline: float, look: Callable[[], None]) -> bytes:
    """Exactly so many bytes. Raises EOFError at the end, TimeoutError after the deadline."""
    chunks, missing = [], length
    while missing:
        look()
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if not select.select([descriptor], [], [], min(left, _LOOK_EVERY))[0]:
            continue
        chunk = os.read(descriptor, min(missing, 1 << 20))
        if not chunk:
            raise EOFError
        chunks.append(chunk)
        missing -= len(chunk)
    return b"".join(chunks)
