"""Base backups of the embedded PostgreSQL, from which its archived WAL leads to any later moment.

In the folder that ``WAL_ARCHIVE`` names: ``base-<time>`` of each, by when it was finished, and
``wal`` with the segments.
"""

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg

from ops.backups.programs import find_program, run
from ops.embedded.postgres import superuser_url
from ops.processes import ProcessFailed

_NAME: Final = re.compile(r"base-(\d{8}T\d{6}\.\d{6}Z)")
_TIME: Final = "%Y%m%dT%H%M%S.%fZ"
_SEGMENT_BITS: Final = 24  # 16 MB
_OFF: Final = "the server runs without WAL_ARCHIVE: stop it, and start it with that set"


def take_base(database_url: str, archive: Path, keep: int | None = None) -> Path:
    """Copy the whole server while it runs; then forget what only older copies than those need."""
    with psycopg.connect(database_url) as connection:
        if connection.execute("SHOW archive_mode").fetchone() != ("on",):
            raise ProcessFailed(_OFF)
    unfinished = archive / "base.part"
    shutil.rmtree(unfinished, ignore_errors=True)
    how = ["--format", "tar", "--gzip", "--wal-method", "fetch", "--checkpoint", "fast"]
    how += ["--manifest-checksums", "SHA256"]
    url = superuser_url(database_url)
    run([find_program("pg_basebackup"), "-d", url, "-D", str(unfinished), *how])
    base = archive / f"base-{datetime.now(UTC).strftime(_TIME)}"
    unfinished.rename(base)
    if keep:
        _keep_newest(archive, keep)
    return base


def bases_in(archive: Path) -> list[Path]:
    """Those that are whole, the oldest first."""
    found = archive.iterdir() if archive.is_dir() else ()
    return sorted(path for path in found if _NAME.fullmatch(path.name))


def base_before(archive: Path, moment: datetime) -> Path:
    """The newest that was finished by then. Raises ProcessFailed."""
    bases = bases_in(archive)
    finished = [base for base in bases if _finished_at(base) <= moment]
    if not finished:
        oldest = f": the oldest is of {_finished_at(bases[0])}" if bases else ""
        raise ProcessFailed(f"{archive} has no base backup of before {moment}{oldest}")
    return finished[-1]


def _keep_newest(archive: Path, count: int) -> None:
    bases = bases_in(archive)
    for base in bases[:-count]:
        shutil.rmtree(base)
    first = _first_segment(bases[-count:][0])
    run([find_program("pg_archivecleanup"), "-x", ".gz", str(archive / "wal"), first])


def _first_segment(base: Path) -> str:
    """The name of the segment of WAL from which on the base needs all."""
    manifest: Any = msgspec.json.decode((base / "backup_manifest").read_bytes())
    begun = manifest["WAL-Ranges"][0]
    high, low = (int(half, 16) for half in begun["Start-LSN"].split("/"))
    return f"{begun['Timeline']:08X}{high:08X}{low >> _SEGMENT_BITS:08X}"


def _finished_at(base: Path) -> datetime:
    named = _NAME.fullmatch(base.name)
    return datetime.strptime(named[1] if named else "", _TIME).replace(tzinfo=UTC)
