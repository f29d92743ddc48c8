"""The folder of backups: how they are named, their checksums, and how many are kept.

``python -m ops.backups.folder``, which needs nothing but Python, does it for backups of the stack:
``finish FILE`` writes the checksum and keeps the newest ``KEEP``, and ``check FILE`` compares it.
"""

import hashlib
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

NAME: Final = re.compile(r"bpt-(\d{8}T\d{6}Z)\.backup")
_TIME: Final = "%Y%m%dT%H%M%SZ"


class WrongChecksum(ValueError):
    """The file is not what was written: damaged, cut off, or another one."""


def name_at(moment: datetime) -> str:
    """The name of a backup that is begun at that moment, by which backups sort by age."""
    return f"bpt-{moment.astimezone(UTC).strftime(_TIME)}.backup"


def begun_at(backup: Path) -> datetime:
    """When a backup was begun, by its name."""
    named = NAME.fullmatch(backup.name)
    if named is None:
        raise ValueError(f"{backup.name} is not named as backups are")
    return datetime.strptime(named[1], _TIME).replace(tzinfo=UTC)


def backups_in(folder: Path) -> list[Path]:
    """Those that are whole, the oldest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if NAME.fullmatch(path.name)]
    return sorted(path for path in found if checksum_of(path).exists())


def checksum_of(backup: Path) -> Path:
    """The file beside a backup that has its SHA-256, as ``sha256sum --check`` reads it."""
    return backup.with_name(f"{backup.name}.sha256")


def write_checksum(backup: Path) -> None:
    """Write the checksum, last of all: a backup without one is not whole, nor on the disk."""
    with backup.open("rb") as file:
        os.fsync(file.fileno())
    fresh = checksum_of(backup).with_suffix(".sha256.part")  # half of one would condemn it
    fresh.write_text(f"{_sha256(backup)}  {backup.name}\n")
    fresh.chmod(0o600)
    fresh.rename(checksum_of(backup))


def check(backup: Path) -> None:
    """Raises WrongChecksum; what has no checksum beside it is not judged."""
    if checksum_of(backup).exists():
        wanted = checksum_of(backup).read_text().partition(" ")[0]
        if wanted != _sha256(backup):
            raise WrongChecksum(f"{backup} is damaged: its checksum is not {wanted[:12]}…")


def keep_newest(folder: Path, count: int, made: Path | None = None) -> list[Path]:
    """Delete all but the newest ``count`` backups, at least one; those that were deleted.

    The one just ``made`` stays whatever its name says: the clock may have been ahead before.
    """
    old = [path for path in backups_in(folder)[: -max(count, 1)] if path != made]
    for backup in old:
        backup.unlink()
        checksum_of(backup).unlink()
    return old


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    """Do for the stack what needs the folder, which its containers do not see."""
    command, path = sys.argv[1], Path(sys.argv[2])
    if command == "finish":
        _finish(path)
    elif command == "check":
        try:
            check(path)
        except (WrongChecksum, OSError) as error:
            sys.exit(f"failed: {error}")
    else:
        sys.exit(f"no such command: {command}")


def _finish(backup: Path) -> None:
    write_checksum(backup)
    if keep := os.environ.get("KEEP"):
        for old in keep_newest(backup.parent, int(keep), backup):
            print(f"deleted {old}")


if __name__ == "__main__":
    main()
