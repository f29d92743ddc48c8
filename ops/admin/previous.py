"""The version before this one, which runs on while the next one's migrations are applied."""

from pathlib import Path
from typing import NamedTuple

from ops.admin.migrations import FOLDER


class Previous(NamedTuple):
    """Its commit, and the newest migration that it came with."""

    commit: str
    migration: str


def read_previous(file: Path = FOLDER / "PREVIOUS") -> Previous:
    """What `migrations/PREVIOUS` records."""
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    told = dict(line.split(maxsplit=1) for line in lines if line)
    return Previous(told["commit"], told["migration"])


def migrations_since(previous: Previous, folder: Path = FOLDER) -> list[Path]:
    """The files of the migrations that the version before does not know, the oldest first."""
    forward = [path for path in folder.glob("[0-9]*.sql") if ".rollback" not in path.name]
    return sorted(path for path in forward if path.stem > previous.migration)
