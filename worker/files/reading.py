"""The process that reads files: ``python -m worker.files.reading SECONDS BYTES``.

A worker keeps one, asks it by frames, and kills it when a file takes too long. The limits of CPU
and memory are the kernel's: decoders written in C or Rust cannot overstep them either.
"""

import gc
import io
import os
import resource
import signal
import sys
import traceback
from collections.abc import Iterator
from typing import BinaryIO, Final

from shared.failpoints import failpoint
from shared.files import takeouts
from shared.files.reading import read_rides
from shared.files.recording import FileRefused
from worker.files.frames import (
    End,
    Fault,
    Member,
    Refusal,
    Reply,
    Request,
    Ride,
    read_request,
    write_frame,
)

_TOO_LARGE: Final = "reading this file takes more memory than it may"


def main(seconds: int, most_bytes: int) -> None:
    """Answer requests until there are no more."""
    # The worker's terminal interrupts the whole group: the worker decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a decoder prints is no frame
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit_memory(most_bytes)
    # The messages of a file are many objects and no cycles: looking for some amid the reading only
    # costs. What an exception has left behind is collected between files.
    gc.disable()
    gc.freeze()
    while request := _next_request(replies):
        _limit_time(seconds)
        _answer(request, replies)
        del request
        gc.collect()


def _next_request(replies: BinaryIO) -> Request | None:
    try:
        return read_request(sys.stdin.buffer)
    except MemoryError:  # a part of the file may be read already: nothing more can be
        write_frame(replies, Refusal(_TOO_LARGE))
        sys.exit()


def _limit_memory(most: int) -> None:
    """So many bytes beside those that the program itself takes."""
    try:
        with open("/proc/self/statm") as file:
            taken = int(file.read().split()[0]) * resource.getpagesize()
    except OSError:  # no Linux: what has no such file does not keep to this limit either
        return
    resource.setrlimit(resource.RLIMIT_AS, (taken + most, taken + most))


def _limit_time(seconds: int) -> None:
    """So many seconds of CPU from now on; then the kernel ends the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    until = int(used.ru_utime + used.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (until, hard))


def _answer(request: Request, replies: BinaryIO) -> None:
    try:
        failpoint("while-reading")
        for reply in _members(request) if request.is_archive else _rides(request):
            write_frame(replies, reply)
        end: Reply = End()
    except FileRefused as error:
        end = Refusal(str(error))
    except MemoryError:
        end = Refusal(_TOO_LARGE)
    except BrokenPipeError:
        sys.exit()  # the worker is gone
    except BaseException:  # a decoder may panic; the worker tells the user, and logs this
        end = Fault(traceback.format_exc())
    write_frame(replies, end)


def _rides(request: Request) -> Iterator[Reply]:
    for recording in read_rides(request.data, request.received):
        yield Ride(recording)


def _members(request: Request) -> Iterator[Reply]:
    for file in takeouts.files_of(io.BytesIO(request.data)):
        yield Member(file)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
