"""Taking backups into their folder, once or again and again."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import psycopg
import redis

from ops.backups.backup import back_up
from ops.backups.encryption import encrypted
from ops.backups.folder import backups_in, begun_at, keep_newest, name_at, write_checksum
from ops.backups.manifest import Manifest
from ops.private_files import create_private, locked, make_private
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

    Of two at a time, one fails. What is cut off leaves a file that ends in ``.part``, which the
    next one deletes.
    """
    make_private(plan.folder)
    with locked(plan.folder / "lock"):
        for left in plan.folder.glob("*.part"):
            left.unlink()
        backup = plan.folder / name_at(moment)
        unfinished = backup.with_name(f"{backup.name}.part")
        with create_private(unfinished) as file, encrypted(file, plan.recipient) as target:
            made = back_up(
                environ["DATABASE_URL"],
                environ["REDIS_URL"],
                target,
                environ.get("ORIGINALS_URL", ""),
            )
        unfinished.rename(backup)
        write_checksum(backup)
        for old in keep_newest(plan.folder, plan.keep) if plan.keep else ():
            logger.info("deleted %s", old)
    return backup, made


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
    return begun_at(whole[-1]) + interval - now if whole else timedelta()
