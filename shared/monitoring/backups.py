"""Which backups there are, by their files: ``bpt-<when>.backup`` and, beside it, its checksum."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"bpt-(\d{8}T\d{6}Z)\.backup(\.age|\.gpg)?")


@dataclass(frozen=True)
class Backup:
    """A backup, and when it was begun in Unix seconds."""

    path: Path
    made_at: float

    @property
    def has_checksum(self) -> bool:
        """Whether it was finished: the checksum is written last."""
        return self.path.with_name(f"{self.path.name}.sha256").exists()


def newest_backup(folder: Path) -> Backup | None:
    """The newest that was finished; None without one."""
    found = [backup for backup in backups_in(folder) if backup.has_checksum]
    return max(found, key=lambda backup: backup.made_at, default=None)


def backups_in(folder: Path) -> list[Backup]:
    """All of them, finished or not."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [
        Backup(path, _moment(named[1])) for path in paths if (named := _NAME.fullmatch(path.name))
    ]


def _moment(text: str) -> float:
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
