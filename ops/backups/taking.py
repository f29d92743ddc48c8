"""Taking backups into their folder, once or again and again."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Final

import psycopg
import redis

from ops.backups.backup import back_up
from ops.backups.encryption import encrypted
from ops.backups.folder import backups_in, begun_at, keep_newest, name_at, write_checksum
from ops.backups.manifest import Manifest
from ops.private_files import create_private, locked
from shared.errors import TrackerError

_RETRY_AFTER: Final = timedelta(minutes=10)  # of a failed backup
# What a backup may fail of without the schedule: a server that is away, a disk that is full.
FAILURES: Final = (TrackerError, OSError, psycopg.Error, redis.RedisError)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """Where backups go, encrypted to whom, and how many are kept; None keeps all."""

    folder: Path
    keep: int | None = None
    recipient: str = ""


def take(plan: Plan, environ: Mapping[str, str], moment: datetime) -> tuple[Path, Manifest]:
    """Write one backup, whole or not at all; then delete those that are too many.

    Of two at a time, one fails. What is killed leaves a file that ends in ``.part``, which the
    next one deletes. A folder that was there keeps its mode: it may be /srv, and files are shut.
    """
    plan.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(plan.folder / "lock"):
        for left in plan.folder.glob("bpt-*.part"):
            left.unlink()
        backup = plan.folder / name_at(moment)
        with whole_or_not(backup) as file, encrypted(file, plan.recipient) as target:
            made = back_up(
                environ["DATABASE_URL"],
                environ["REDIS_URL"],
                target,
                environ.get("ORIGINALS_URL", ""),
            )
        write_checksum(backup)
        for old in keep_newest(plan.folder, plan.keep, backup) if plan.keep else ():
            logger.info("deleted %s", old)
    return backup, made


@contextmanager
def whole_or_not(path: Path) -> Iterator[IO[bytes]]:
    """A file that gets its name once all of it is on the disk, and is gone if that fails.

    Then those that are older may go; and what had the name before has it until then.
    """
    unfinished = path.with_name(f"{path.name}.part")
    try:
        with create_private(unfinished) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def take_every(
    interval: timedelta,
    plan: Plan,
    take_one: Callable[[], None],
    wait: Callable[[float], bool],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Take one whenever the newest is older than ``interval``, until ``wait`` says to stop.

    One that fails is logged, and tried again after ten minutes. ``wait`` gets seconds.
    """
    failed = False
    while True:
        pause = _due_in(interval, plan.folder, now())
        if failed:
            pause = max(pause, min(_RETRY_AFTER, interval))
        if wait(max(pause.total_seconds(), 0.0)):
            return
        try:
            take_one()
            failed = False
        except FAILURES as error:
            failed = True
            logger.error("no backup was made: %s: %s", type(error).__name__, error)


def _due_in(interval: timedelta, folder: Path, now: datetime) -> timedelta:
    whole = backups_in(folder)
    if not whole:
        return timedelta()
    return min(begun_at(whole[-1]) + interval - now, interval)  # it may be of a clock ahead
