"""The files that are to be imported: named one by one, by patterns, in folders and in zips."""

import shlex
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from glob import glob
from pathlib import Path
from typing import Final
from zipfile import BadZipFile, ZipFile

from shared.files import archives
from shared.files.archives import Limits, Member
from shared.files.own_export import OwnExport
from shared.files.recording import UnreadableFile
from shared.files.strava_table import StravaTable
from shared.files.takeouts import File, Table, file_of, files_of, is_table, read_table, wants

# Ten years of everything that a watch has ever sent; and a table of a hundred megabytes.
LIMITS: Final = Limits(total=64 << 30, members=1_000_000, levels=1)
_TABLES: Final = Limits(member=1 << 30, total=2 << 30, members=1000)
_THRESHOLDS: Final = "thresholds.json"


@dataclass(frozen=True)
class Found:
    """A file, or why it cannot be had; ``is_ours``: for a reason of this machine."""

    file: File
    is_ours: bool = False


def paths_of(patterns: str) -> list[Path]:
    """The files and folders that are named, by shell patterns too; ``**`` is any folders."""
    if Path(patterns).expanduser().exists():
        return [Path(patterns).expanduser()]
    found = dict[Path, None]()
    for pattern in shlex.split(patterns):
        path = Path(pattern).expanduser()
        matching = [path] if path.exists() else map(Path, sorted(glob(str(path), recursive=True)))
        found |= dict.fromkeys(matching)
    return list(found)


def count_files(paths: Sequence[Path]) -> int:
    """About how many files there are: a zip within a zip counts as one, until it is opened."""
    return sum(_count(path) for path in paths)


def _count(path: Path) -> int:
    if path.is_dir():
        wanted = wants(read_table(_members(path, is_table)))
        return sum(wanted(each.relative_to(path).as_posix()) for each in _files_below(path))
    if not _is_zip(path):
        return 1
    wanted = wants(read_table(_members(path, is_table)))
    try:
        with ZipFile(path) as archive:
            return sum(not name.endswith("/") and wanted(name) for name in archive.namelist())
    except (BadZipFile, OSError):
        return 1


def files_at(paths: Sequence[Path]) -> Iterator[Found]:
    """Each file, as it is read."""
    for path in paths:
        if path.is_dir():
            yield from _in_folder(path)
        else:
            yield from _at(path)


def thresholds_at(path: Path) -> bytes | None:
    """The dated thresholds, if the path is an export of ours."""
    found = _members(path, lambda name: is_table(name) or name.endswith(_THRESHOLDS))
    if not isinstance(read_table(found), OwnExport):
        return None
    return next((data for name, data, _ in found if name.endswith(_THRESHOLDS)), None)


def _in_folder(folder: Path) -> Iterator[Found]:
    table = read_table(_members(folder, is_table))
    for path in _files_below(folder):
        name = path.relative_to(folder).as_posix()
        if _is_zip(path):
            yield from _in_zip(path, table)
        elif wants(table)(name):
            yield from _read(path, name, table)
    there = {path.relative_to(folder).as_posix() for path in _files_below(folder)}
    yield from _missing(table, there)


def _at(path: Path) -> Iterator[Found]:
    return _in_zip(path, None) if _is_zip(path) else _read(path, path.name, None)


def _in_zip(path: Path, table: Table | None) -> Iterator[Found]:
    try:
        with path.open("rb") as archive:
            for file in files_of(archive, LIMITS, _TABLES, table):
                yield Found(replace(file, name=f"{path.name}/{file.name}"))
        with ZipFile(path) as listed:
            yield from _missing(read_table(_members(path, is_table)), set(listed.namelist()))
    except (UnreadableFile, BadZipFile) as error:
        yield Found(File(path.name, b"", str(error)))
    except OSError as error:
        yield Found(File(path.name, b"", f"cannot be read: {error.strerror}"), is_ours=True)


def _missing(table: Table | None, there: Collection[str]) -> Iterator[Found]:
    """The rides of Strava's table whose files are not there."""
    for name in table.missing(there) if isinstance(table, StravaTable) else ():
        yield Found(File(name, b"", "the table names this file, but it is not there"))


def _read(path: Path, name: str, table: Table | None) -> Iterator[Found]:
    try:
        if path.stat().st_size > LIMITS.member:
            problem = f"is larger than {LIMITS.member >> 20} MB"
            yield Found(File(name, b"", problem))
            return
        data = path.read_bytes()
    except OSError as error:
        yield Found(File(name, b"", f"cannot be read: {error.strerror}"), is_ours=True)
        return
    file = file_of(table, Member(name, data))
    if file:
        yield Found(file)


def _members(path: Path, wanted: Callable[[str], bool]) -> list[Member]:
    """The files of these names in a folder or a zip; none of what cannot be read."""
    try:
        if not path.is_dir():
            with path.open("rb") as archive:
                return list(archives.members(archive, _TABLES, wanted)) if _is_zip(path) else []
        found = ((each.relative_to(path).as_posix(), each) for each in _files_below(path))
        return [Member(name, each.read_bytes()) for name, each in found if wanted(name)]
    except (OSError, UnreadableFile):
        return []  # told when its files are read


def _files_below(folder: Path) -> list[Path]:
    return sorted(each for each in folder.rglob("*") if each.is_file())


def _is_zip(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return archives.is_zip(file.read(4))
    except OSError:
        return False
