"""What services hand out as "all my data": their files, each with what their tables say of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import IO

from shared.files import archives, garmin_table, own_export, strava_table
from shared.files.archives import Limits, Member, may_hold_a_ride
from shared.files.garmin_table import GarminTable, read_garmin
from shared.files.own_export import OwnExport, read_own
from shared.files.strava_table import StravaTable, read_strava
from shared.files.words import NO_WORDS, Words, plain


@dataclass(frozen=True)
class File:
    """A file of an archive: its bytes, or why it cannot be had.

    ``is_second``: it is known to record the same ride as another one, and kept nevertheless.
    """

    name: str
    data: bytes
    problem: str | None = None
    words: Words = NO_WORDS
    is_second: bool = False


Table = StravaTable | GarminTable | OwnExport


def is_table(name: str) -> bool:
    """Whether a file of this name may be the table of such an export."""
    last = PurePosixPath(name).name
    return last in (strava_table.NAME, own_export.NAME) or last.lower().endswith(
        garmin_table.SUFFIX
    )


def read_table(found: list[Member]) -> Table | None:
    """The table among the files of those names; None where there is none."""
    for name, data, _ in found:
        match PurePosixPath(name).name:
            case own_export.NAME if own := read_own(name, data):
                return own
            case strava_table.NAME if strava := read_strava(name, data):
                return strava
    garmin = [data for name, data, _ in found if name.lower().endswith(garmin_table.SUFFIX)]
    return read_garmin(garmin) if garmin else None


def files_of(
    archive: IO[bytes],
    limits: Limits = archives.LIMITS,
    table_limits: Limits | None = None,
    table: Table | None = None,
) -> Iterator[File]:
    """The files of a `.zip` that may be rides, one after the other as they are read.

    ``table``: of the folder that the archive lies in, if it has none itself. Raises UnreadableFile
    as ``archives.members`` does.
    """
    tables = list(archives.members(archive, table_limits or limits, is_table))
    table = read_table(tables) or table
    for member in archives.members(archive, limits, wants(table)):
        file = file_of(table, member)
        if file:
            yield file


def wants(table: Table | None) -> Callable[[str], bool]:
    """Whether a file of this name may be a ride."""
    return table.wants if table else may_hold_a_ride


def file_of(table: Table | None, member: Member) -> File | None:
    """The file with what the table says of it; None of what is known to be no ride."""
    file = File(*member)
    if member.problem:
        return file
    match table:
        case OwnExport():
            return _own(table, file)
        case StravaTable():
            return replace(file, words=plain(table.words_of(file.name)))
        case GarminTable():
            words = table.words_of(file.name, file.data)
            return None if words is None else replace(file, words=plain(words))
    return file


def _own(table: OwnExport, file: File) -> File | None:
    try:
        data = table.file_of(file.name, file.data)
    except ValueError:  # of text that is no UTF-8, too
        return replace(file, data=b"", problem="this table of samples is damaged")
    if data is None:
        return None
    name = f"{file.name.removesuffix('.csv')}.json"
    return replace(file, name=name, data=data, is_second=table.is_second(file.name))
