"""Files in files: `.gz` of one and `.zip` of many, within limits that a bomb breaks.

Nothing is written to disk, and names are shown to people only, so a name can harm nothing.
"""

import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import IO, Final, NamedTuple

from shared.files.recording import UnreadableFile

_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_OTHERS: Final = (
    b"Rar!",
    b"7z\xbc\xaf\x27\x1c",
    b"\xfd7zXZ\0",
    b"BZh",
    b"\x28\xb5\x2f\xfd",
)
_CHUNK: Final = 1 << 16
_ENCRYPTED: Final = 0x1
# What the standard library raises over damaged archives, by the way they are compressed.
_DAMAGED: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(OSError, EOFError, ValueError, RuntimeError),
)
_TABLES: Final = {".csv", ".json", ".txt", ".md", ".pdf", ".html", ".htm"}
_MEDIA: Final = {".jpg", ".jpeg", ".png", ".gif", ".heic", ".mp4", ".mov"}


@dataclass(frozen=True)
class Limits:
    """How much may come out of one archive."""

    member: int = 100 << 20  # bytes of one file
    total: int = 2 << 30  # bytes of all
    members: int = 10_000
    ratio: int = 250  # bytes out of each byte in, past the first megabyte
    levels: int = 0  # of archives within the archive: Garmin's "all my data" has one


LIMITS: Final = Limits()


class ArchiveTooLarge(UnreadableFile):
    """All that an archive holds is more than is taken at once; what came before stays read."""


class Member(NamedTuple):
    """A file of an archive: its bytes, or why it cannot be had."""

    name: str
    data: bytes
    problem: str | None = None


def is_gzip(data: bytes) -> bool:
    """Whether the bytes begin like a `.gz`."""
    return data.startswith(_GZIP)


def is_zip(data: bytes) -> bool:
    """Whether the bytes begin like a `.zip`."""
    return data.startswith(_ZIP)


def may_hold_a_ride(name: str) -> bool:
    """Whether a member's name does not speak against it: tables, pictures and hidden files do."""
    path = PurePosixPath(name)
    hidden = path.name.startswith(".") or "__MACOSX" in path.parts
    return not hidden and path.suffix.lower() not in _TABLES | _MEDIA


class Unpacked(NamedTuple):
    """What a `.gz` holds, and what was wrong with it."""

    data: bytes
    problem: str | None


def gunzip(data: bytes, limits: Limits = LIMITS) -> Unpacked:
    """The file in a `.gz`, as far as it can be unpacked.

    Raises UnreadableFile where nothing can be, or more than the limits allow.
    """
    return _gunzip(data, limits, _Budget(limits.total))


def _gunzip(data: bytes, limits: Limits, budget: "_Budget") -> Unpacked:
    chunks: list[bytes] = []
    problem = None
    try:
        with gzip.open(io.BytesIO(data)) as stream:
            # A piece at a time: what was unpacked before the damage is not thrown away with it.
            chunks.extend(_chunks(stream.read1, _most(len(data), limits), budget))
    except (OSError, EOFError, zlib.error) as error:
        if not chunks:
            raise UnreadableFile("this compressed file is damaged or cut off") from error
        problem = "the compressed file is damaged, cut off or followed by something else"
    plain = b"".join(chunks)
    if is_gzip(plain) or is_archive(plain):
        raise UnreadableFile("this compressed file holds another archive")
    return Unpacked(plain, problem)


def is_archive(data: bytes) -> bool:
    """Whether the bytes begin like an archive of any kind, one read here or not."""
    return is_zip(data) or data.startswith(_OTHERS)


def members(
    archive: IO[bytes],
    limits: Limits = LIMITS,
    wanted: Callable[[str], bool] = may_hold_a_ride,
) -> Iterator[Member]:
    """The wanted files of a `.zip`, one after the other as they are read; those in `.gz` unpacked.

    A file that is damaged, encrypted or an archive itself comes with its problem and no bytes.
    Raises UnreadableFile where the whole is no zip, or more than the limits allow.
    """
    yield from _members(archive, limits, wanted, _Budget(limits.total, limits.members))


@dataclass
class _Budget:
    """What may still come out, over all levels."""

    bytes: int
    members: int = 1

    def begin(self) -> None:
        """One more file."""
        self.members -= 1
        self._require_rest()

    def take(self, count: int) -> None:
        """So many bytes more, whether they are kept or not: unpacking bombs is work, too."""
        self.bytes -= count
        self._require_rest()

    def _require_rest(self) -> None:
        if self.bytes < 0 or self.members < 0:
            raise ArchiveTooLarge("this archive holds more than can be taken at once")


def _members(
    archive: IO[bytes],
    limits: Limits,
    wanted: Callable[[str], bool],
    budget: _Budget,
) -> Iterator[Member]:
    try:
        opened = zipfile.ZipFile(archive)
    except _DAMAGED as error:
        raise UnreadableFile("this archive is damaged or cut off") from error
    with opened:
        for info in opened.infolist():
            if info.is_dir() or not wanted(info.filename):
                continue
            budget.begin()
            if limits.levels and info.filename.lower().endswith(".zip"):
                yield from _nested(opened, info, limits, wanted, budget)
            else:
                member = _member(opened, info, limits, budget)
                yield from _unpacked(member, limits, wanted, budget)


def _nested(
    opened: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    limits: Limits,
    wanted: Callable[[str], bool],
    budget: _Budget,
) -> Iterator[Member]:
    """An archive in the archive, read where it is: Garmin's are larger than memory may be."""
    name = _shown(info.filename)
    if info.file_size > min(budget.bytes, max(1 << 20, info.compress_size * limits.ratio)):
        yield Member(name, b"", "this archive within the archive unpacks to too much")
        return
    inner = replace(limits, levels=limits.levels - 1)
    try:
        with opened.open(info) as archive:
            for each in _members(archive, inner, wanted, budget):
                yield each._replace(name=f"{name}/{each.name}")
    except ArchiveTooLarge:
        raise
    except UnreadableFile as error:
        yield Member(name, b"", str(error))
    except _DAMAGED as error:
        yield Member(name, b"", f"this archive within the archive {_damage(error)}")


def _unpacked(
    member: Member, limits: Limits, wanted: Callable[[str], bool], budget: _Budget
) -> Iterator[Member]:
    if not is_archive(member.data):
        yield member
    elif is_zip(member.data) and limits.levels:
        inner = replace(limits, levels=limits.levels - 1)
        try:
            for each in _members(io.BytesIO(member.data), inner, wanted, budget):
                yield each._replace(name=f"{member.name}/{each.name}")
        except ArchiveTooLarge:
            raise
        except UnreadableFile as error:
            yield Member(member.name, b"", str(error))
    else:
        yield Member(member.name, b"", "an archive within an archive is not opened")


def _member(
    opened: zipfile.ZipFile, info: zipfile.ZipInfo, limits: Limits, budget: _Budget
) -> Member:
    name = _shown(info.filename)
    if info.flag_bits & _ENCRYPTED:
        return Member(name, b"", "this file is encrypted")
    try:
        with opened.open(info) as stream:
            data = b"".join(_chunks(stream.read, _most(info.compress_size, limits), budget))
        return Member(name, _gunzip(data, limits, budget).data if is_gzip(data) else data)
    except ArchiveTooLarge:
        raise
    except UnreadableFile as error:
        return Member(name, b"", str(error))
    except _DAMAGED as error:
        return Member(name, b"", f"this file of the archive {_damage(error)}")


def _damage(error: Exception) -> str:
    """What the standard library means; its own words are for programmers."""
    match error:
        case EOFError():
            return "is damaged: it ends early"
        case NotImplementedError():
            return "is compressed in a way that is not known here"
        case zipfile.BadZipFile():
            return "is damaged: its parts do not fit together"
    return "is damaged: it cannot be unpacked"


def _most(compressed: int, limits: Limits) -> int:
    """What so many bytes may become: a bomb's ratio is a thousand and more, a ride's twenty."""
    return min(limits.member, max(1 << 20, compressed * limits.ratio))


def _chunks(read: Callable[[int], bytes], most: int, budget: _Budget) -> Iterator[bytes]:
    """At most so many bytes: what an archive says of its sizes may be a lie."""
    size = 0
    while chunk := read(_CHUNK):
        size += len(chunk)
        budget.take(len(chunk))
        if size > most:
            raise UnreadableFile(f"this file unpacks to more than {most // (1 << 20)} MB")
        yield chunk


def _shown(name: str) -> str:
    """A name for people: without what would move their cursor, and not endless."""
    return "".join(letter if letter.isprintable() else "�" for letter in name)[:200]
