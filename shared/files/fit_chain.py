"""Apart and put right: the files of a FIT chain, and what a header or a checksum says wrongly.

A unit whose battery ends leaves a header that says 0 bytes and no checksum; programs that cut or
patch files leave others. The messages are sound then, and the fast decoder reads them as soon as
header and checksums are what they should be.
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from shared.files.fit_encoding import checksum
from shared.files.fit_scan import end_of_messages

_MARK: Final = b".FIT"
_SIZES: Final = (12, 14)  # of a header
_CHECKSUM: Final = 2  # bytes

WRONG_CHECKSUM: Final = "the file's checksum is wrong: some of its readings may be, too"
STRAY_BYTES: Final = "the file holds bytes that are of no FIT file: they are left out"


class File(NamedTuple):
    """The bytes of one file, and whether bytes of none follow it."""

    data: bytes
    stray: bool = False


class Mended(NamedTuple):
    """The file by its messages. ``is_cut``: some are lost; ``is_doubtful``: they may be wrong."""

    data: bytes
    is_cut: bool
    is_doubtful: bool


def files_of(data: bytes) -> Iterator[File]:
    """Each file of the chain, from its header to its end or, where that is untrue, to the next.

    Zeros at the end are no file: some devices fill up the blocks of their memory.
    """
    length = len(data.rstrip(b"\0"))
    at = 0
    while at < length:
        end = _stated_end(data, at)
        if end <= len(data) and (end >= length or _is_header(data, end)):
            yield File(data[at:end])
            at = end
            continue
        following = _next_header(data, at + 1)
        if end < following and _is_sound(data[at:end]):
            yield File(data[at:end], stray=True)
        else:
            yield File(data[at:following])
        at = following


def mended(data: bytes) -> Mended:
    """One file with a header and checksums that agree with the messages that can be followed."""
    head = _head_size(data, 0)
    stated = int.from_bytes(data[4:8], "little")
    is_whole = head + stated + _CHECKSUM == len(data)
    limit = head + stated if is_whole else len(data)
    last = limit if is_whole else len(data.rstrip(b"\0"))
    end = end_of_messages(data, head, last, limit)
    written = _with_sums(data[:head], data[head:end])
    after = data[end : end + _CHECKSUM]
    agrees = after == written[-_CHECKSUM:] or _is_sound(data[: end + _CHECKSUM])
    if is_whole:
        return Mended(written, end < last, end == last and not agrees)
    ends_here = end - head == stated or (stated < end - head and last - end <= _CHECKSUM)
    return Mended(written, not agrees and not ends_here, False)


def _with_sums(head: bytes, body: bytes) -> bytes:
    start = struct.pack("<B3sI4s", 14, head[1:4].ljust(3, b"\0"), len(body), _MARK)
    start += struct.pack("<H", checksum(start))
    return start + body + struct.pack("<H", checksum(body, checksum(start)))


def _is_sound(data: bytes) -> bool:
    """Whether the last two bytes are the checksum of those before: of all together it is 0 then."""
    return checksum(data) == 0


def _stated_end(data: bytes, at: int) -> int:
    size = int.from_bytes(data[at + 4 : at + 8], "little")
    return at + _head_size(data, at) + size + _CHECKSUM


def _head_size(data: bytes, at: int) -> int:
    return data[at] if data[at] in _SIZES else _SIZES[1]


def _is_header(data: bytes, at: int) -> bool:
    return data[at + 8 : at + 12] == _MARK


def _next_header(data: bytes, at: int) -> int:
    """Where the next header begins from here on, or the end of the data."""
    mark = data.find(_MARK, at + 8)
    while mark >= 0 and data[mark - 8] not in _SIZES:
        mark = data.find(_MARK, mark + 1)
    return mark - 8 if mark >= 0 else len(data)
