"""A zip file in pieces, each of which may be sent before the next is made. It does no I/O."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

_PIECE: Final = 64 * 1024  # bytes


class ZipStream:
    """Takes members one after the other, and keeps nothing of them but their names and places.

    Pieces that end early, as by a fault, are no zip file: its list of members is the last piece.
    """

    def __init__(self, now: datetime) -> None:
        self._sink = _Sink()
        self._zip = ZipFile(self._sink, "w")
        self._moment = now.timetuple()[:6]
        self._member: IO[bytes]

    @contextmanager
    def member(self, name: str) -> Iterator[None]:
        """What ``pieces`` is given meanwhile is the content of this member."""
        info = ZipInfo(name, self._moment)
        info.compress_type = ZIP_DEFLATED
        with self._zip.open(info, "w") as self._member:
            yield

    def pieces(self, content: Iterable[bytes]) -> Iterator[bytes]:
        """Write some more of the member; gives the zip file's next pieces as they fill up."""
        for part in content:
            self._member.write(part)
            if self._sink.size >= _PIECE:
                yield self._sink.take()

    def end(self) -> bytes:
        """The last piece, with the list of members."""
        self._zip.close()
        return self._sink.take()


class _Sink:
    """A file that cannot seek, so that ZipFile writes the sizes of a member after it."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size = 0

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        self.size += len(part)
        return len(part)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def take(self) -> bytes:
        """What was written since the last time."""
        piece = b"".join(self._parts)
        self._parts.clear()
        self.size = 0
        return piece
