"""The embedded PostgreSQL as it was at a moment: a base backup, and the WAL from there on."""

import gzip
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from pwd import struct_passwd
from typing import Any, Final

import psycopg

from ops.embedded.postgres import archiving, home_and_programs, server_user, socket_settings
from ops.private_files import InUse, create_private, locked, make_private, private_folder
from ops.processes import Process, ProcessFailed, spawn, stop, tail, wait_until

_SEGMENT: Final = re.compile(r"[0-9A-F]{24}|[0-9A-F]{8}\.history")
_TOLD: Final = re.compile("FATAL|last completed transaction")
_LONGEST: Final = 24 * 3600.0  # seconds of recovery
_RUNNING: Final = "the embedded servers are running: stop `make run` and all that uses them first"


def recover(
    data_dir: Path, archive: Path, base: Path, moment: datetime | None, timeline: str
) -> Path:
    """Put the cluster as it was at the moment in the place of the one there is.

    Without a moment, as it was at the end of all WAL that there is. The old cluster is moved aside,
    once the new one is whole; returns where it lies, or would lie.

    Raises ProcessFailed while the servers run, and if the archive does not reach the moment.
    """
    try:
        with locked(data_dir / "keeper.lock"), locked(data_dir / "postgres.lock"):
            user = server_user()
            home, programs = home_and_programs(data_dir, user)
            fresh = home / "cluster.recovered"
            _unpack(base, fresh)
            _add_last_segments(home / "cluster" / "pg_wal", fresh / "pg_wal")
            _archive_rest(home / "cluster" / "pg_wal", archive / "wal", user)
            (fresh / "recovery.signal").touch()
            _give(fresh, user)
            _replay(fresh, programs, user, data_dir, _target(archive, moment, timeline))
            return _put_in_place(home, fresh)
    except InUse:
        raise ProcessFailed(_RUNNING) from None


def restore_command(folder: Path) -> str:
    """Fetches a segment that ``archive_command`` has archived."""
    source = f"{shlex.quote(str(folder))}/".replace("%", "%%") + "%f.gz"
    return f"test -e {source} && gzip -dc {source} >%p"


def _unpack(base: Path, fresh: Path) -> None:
    """Unpack a base backup and compare each of its files with its manifest."""
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    try:
        with tarfile.open(base / "base.tar.gz") as archive:
            archive.extractall(fresh, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ProcessFailed(f"{base} is damaged: {error}") from error
    _check_files(base / "backup_manifest", fresh)
    fresh.chmod(0o700)


def _check_files(manifest: Path, fresh: Path) -> None:
    """As ``pg_verifybackup`` does, which the wheel has in a form that crashes."""
    try:
        told: Any = json.loads(manifest.read_bytes())
        wrong = [each["Path"] for each in told["Files"] if not _is_same(fresh, each)]
    except (OSError, ValueError) as error:
        raise ProcessFailed(f"{manifest.parent} is damaged: {error}") from error
    if wrong:
        raise ProcessFailed(f"{manifest.parent} is damaged: {wrong[0]} is not what it was")


def _is_same(fresh: Path, told: Mapping[str, Any]) -> bool:
    with (fresh / told["Path"]).open("rb") as file:
        checksum: str = told["Checksum"]
        return hashlib.file_digest(file, "sha256").hexdigest() == checksum


def _add_last_segments(lost: Path, fresh: Path) -> None:
    """What the cluster that is replaced has written, and had no time to archive."""
    if lost.is_dir():
        for segment in lost.iterdir():
            if _SEGMENT.fullmatch(segment.name) and not (fresh / segment.name).exists():
                shutil.copyfile(segment, fresh / segment.name)


def _archive_rest(lost: Path, archive: Path, user: struct_passwd | None) -> None:
    """Archive the segments that the lost cluster had not.

    The recovered server recycles what it was given: a later recovery would not find them.
    """
    make_private(archive)  # that it was gone may be why they are not there
    for ready in (lost / "archive_status").glob("*.ready"):
        segment, target = lost / ready.stem, archive / f"{ready.stem}.gz"
        if segment.exists() and not target.exists():
            part = target.with_suffix(".part")
            with create_private(part) as file:
                file.write(gzip.compress(segment.read_bytes()))
                file.flush()
                os.fsync(file.fileno())
            _give(part, user)
            part.rename(target)


def _give(fresh: Path, user: struct_passwd | None) -> None:
    if user:
        for path in [fresh, *fresh.rglob("*")]:
            os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)


def _target(archive: Path, moment: datetime | None, timeline: str) -> dict[str, str]:
    target = {
        "restore_command": restore_command(archive.resolve() / "wal"),
        "recovery_target_timeline": timeline,
    }
    if moment:
        target["recovery_target_time"] = moment.astimezone(UTC).isoformat(sep=" ")
        target["recovery_target_action"] = "promote"
    return target


def _replay(
    fresh: Path, programs: Path, user: struct_passwd | None, data_dir: Path, target: dict[str, str]
) -> None:
    """Run the server on it until it has reached its target, and stop it."""
    log = data_dir / "logs" / "recovery.log"
    log.unlink(missing_ok=True)
    chosen = [part for name, value in target.items() for part in ("-c", f"{name}={value}")]
    with private_folder(user) as sockets:
        settings: Sequence[str] = [*socket_settings(sockets), *archiving(user), *chosen]
        process = spawn(
            [programs / "postgres", "-D", fresh, *settings],
            log=log,
            user=user,
            stop_signal=signal.SIGINT,
        )
        try:
            _await_promotion(f"postgresql://postgres@/postgres?host={sockets}", process, log)
        finally:
            stop(process, signal.SIGINT)


def _await_promotion(url: str, process: Process, log: Path) -> None:
    try:
        wait_until(lambda: _is_promoted(url), process, log, timeout=_LONGEST)
    except ProcessFailed:
        said = [line for line in tail(log).splitlines() if _TOLD.search(line)]
        raise ProcessFailed("; ".join(said) or tail(log)) from None


def _is_promoted(url: str) -> bool:
    with suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=2) as connection:
        row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
        return row == (False,)
    return False


def _put_in_place(home: Path, fresh: Path) -> Path:
    cluster = home / "cluster"
    aside = home / f"cluster.before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    if cluster.exists():
        cluster.rename(aside)
    fresh.rename(cluster)
    return aside
