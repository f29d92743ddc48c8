"""`WATCH=folder`: what is put there is imported, as long as the command runs."""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

_INTERVAL: Final = 2.0  # seconds between two looks
_QUIET: Final = 4.0  # seconds in which a file that is complete has not changed
# What may be a ride, or hold some: neither pictures, nor what browsers have not loaded whole.
_ENDINGS: Final = {"", ".fit", ".tcx", ".gpx", ".csv", ".json", ".ndjson", ".xml", ".gz", ".zip"}


class _State(NamedTuple):
    size: int
    modified: int  # ns

    @classmethod
    def of(cls, path: Path) -> "_State":
        found = path.stat()
        return cls(found.st_size, found.st_mtime_ns)


class Watch:
    """The files that come into a folder, each once it is complete.

    It is complete when nobody has it open to write, where the kernel says so, and it has not
    changed for some seconds by ``clock``.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._taken = dict[Path, _State]()
        self._seen = dict[Path, tuple[_State, float]]()

    def complete(self) -> list[Path]:
        """The files that are complete and have not been taken as they are now."""
        return [path for path in self._candidates() if self._is_complete(path)]

    def _candidates(self) -> Iterator[Path]:
        for path in sorted(self._folder.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(self._folder).parts)
            if path.is_file() and not hidden and path.suffix.lower() in _ENDINGS:
                yield path

    def _is_complete(self, path: Path) -> bool:
        try:
            state = _State.of(path)
        except OSError:  # gone again
            return False
        if self._taken.get(path) == state:
            return False
        known, since = self._seen.get(path, (None, 0.0))
        if state != known:
            self._seen[path] = state, self._clock()
            return False
        if not state.size or self._clock() - since < _QUIET or _is_being_written(path):
            return False
        self._taken[path] = state
        del self._seen[path]
        return True


def watch(folder: Path, take: Callable[[list[Path]], None]) -> None:
    """Give ``take`` what comes into the folder, until Ctrl-C."""
    watching = Watch(folder)
    while True:
        paths = watching.complete()
        if paths:
            take(paths)
        time.sleep(_INTERVAL)


def _is_being_written(path: Path) -> bool:
    """Whether a process has the file open to write. False where the kernel does not say."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False  # reading it says why
    try:
        # A lease for reading is given only while nobody writes; it ends with the descriptor.
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    except AttributeError:  # no Linux
        return False
    finally:
        os.close(descriptor)
    return False
