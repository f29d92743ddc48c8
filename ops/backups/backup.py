"""Backups: the database, and the samples that were not yet folded into it.

A backup is a tar file of ``manifest.json``, ``database.dump`` (pg_dump's custom format) and
``streams.ndjson``. The streams are read first: what a worker folds in between is then in both, and
folding it once more after a restore changes nothing.
"""

import hashlib
import io
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import msgspec
import psycopg
import redis
from psycopg import IsolationLevel

from ops.admin import migrations
from ops.backups.batches import checked_batches, put_back, save_batches
from ops.backups.dump import check_dump, dump_database, replace_database
from ops.backups.manifest import Manifest, count_tables, describe, differences, read_manifest
from ops.processes import ProcessFailed
from shared.connections import redis_at
from shared.errors import TrackerError

_HALF = (
    "the database is the backup's, and not all of its waiting batches are back: mend this, and"
    " restore it once more with FORCE=1"
)
_MANIFEST, _DUMP, _STREAMS = "manifest.json", "database.dump", "streams.ndjson"


def back_up(
    database_url: str, redis_url: str, target: IO[bytes], originals_url: str = ""
) -> Manifest:
    """Write a backup while everything goes on running; what it says of itself."""
    begun_at = datetime.now(UTC).replace(microsecond=0)
    with tempfile.TemporaryDirectory() as folder, psycopg.connect(database_url) as connection:
        manifest, dump, streams = (Path(folder, name) for name in (_MANIFEST, _DUMP, _STREAMS))
        with redis_at(redis_url) as client:
            batches = save_batches(client, streams)
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        dump_database(connection, database_url, dump)
        sha256 = {path.name: _sha256(path) for path in (dump, streams)}
        made = describe(connection, begun_at, batches, sha256, originals_url)
        manifest.write_bytes(msgspec.json.format(msgspec.json.encode(made)))
        with tarfile.open(fileobj=target, mode="w|") as archive:
            for path in (manifest, dump, streams):
                archive.add(path, path.name)
    return made


@dataclass(frozen=True)
class Unpacked:
    """A backup's files, all of them checked. The oldest backups have no manifest."""

    dump: Path
    streams: Path
    manifest: Manifest | None

    def inspect(self, connection: psycopg.Connection) -> None:
        """Raises ProcessFailed unless the database has what the manifest says."""
        if self.manifest and (wrong := differences(self.manifest.tables, count_tables(connection))):
            raise ProcessFailed(f"nothing was changed, as it does not restore whole: {wrong[0]}")


@contextmanager
def unpacked(source: IO[bytes]) -> Iterator[Unpacked]:
    """The files of a backup for as long as they are needed. Raises ProcessFailed."""
    with tempfile.TemporaryDirectory() as folder:
        files = _unpack(source, Path(folder))
        check_dump(files.dump)
        for _ in checked_batches(files.streams):
            pass
        yield files


def restore(database_url: str, redis_url: str, source: IO[bytes]) -> int:
    """Replace the database by a backup's, and put its waiting batches back; how many there were.

    The whole backup is checked before anything is changed, and the database is replaced in one
    transaction, once its rows are those that were backed up. Batches that wait in Redis now are
    kept. Raises ProcessFailed, which says so if the database was replaced all the same.
    """
    with unpacked(source) as files, redis_at(redis_url) as client:
        client.ping()
        replace_database(database_url, files.dump, files.inspect)
        try:
            migrations.apply(database_url)
            return put_back(client, checked_batches(files.streams))
        except (TrackerError, psycopg.Error, redis.RedisError) as error:
            raise ProcessFailed(f"{_HALF}: {error}") from error


def rides_in(database_url: str) -> int:
    """How many rides a restore would throw away."""
    with psycopg.connect(database_url) as connection:
        exists = connection.execute("SELECT to_regclass('public.workouts')").fetchone()
        if exists is None or exists[0] is None:
            return 0
        row = connection.execute("SELECT count(*) FROM public.workouts").fetchone()
        return int(row[0]) if row else 0


def _unpack(source: IO[bytes], folder: Path) -> Unpacked:
    """The files of a backup, and nothing else that may be in it."""
    paths = {name: folder / name for name in (_MANIFEST, _DUMP, _STREAMS)}
    try:
        with tarfile.open(fileobj=source, mode="r|") as archive:
            for member in archive:
                path = paths.get(member.name)
                if path is None or path.exists() or not member.isreg() or member.issparse():
                    raise ProcessFailed(f"this is not a backup: it has {member.name!r}")
                with path.open("xb") as file:
                    shutil.copyfileobj(archive.extractfile(member) or io.BytesIO(), file)
    except (tarfile.TarError, EOFError) as error:
        raise ProcessFailed(f"this is not a backup, or not all of one: {error}") from error
    return _checked(paths)


def _checked(paths: dict[str, Path]) -> Unpacked:
    dump, streams, told = paths[_DUMP], paths[_STREAMS], paths[_MANIFEST]
    if not (dump.exists() and streams.exists()):
        raise ProcessFailed(f"this is not a backup: it lacks {_DUMP} or {_STREAMS}")
    manifest = read_manifest(told.read_bytes()) if told.exists() else None
    for path in (dump, streams) if manifest else ():
        if manifest and manifest.sha256.get(path.name) != _sha256(path):
            raise ProcessFailed(f"this backup is damaged: {path.name} has another checksum")
    return Unpacked(dump, streams, manifest)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
