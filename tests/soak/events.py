"""What is done to the service during a soak, while riders ride."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster.nodes import Cluster
from tests.conftest import ROOT
from tests.soak.database import Database
from tests.soak.fleet import Fleet, migrate
from tests.worker.waiting import eventually

_AWAY: Final = 5.0  # seconds for which a killed Redis is missing
_TO_BE_REPLACED: Final = 60.0


@dataclass
class Ground:
    """All the servers, and the processes of the service on them."""

    cluster: Cluster
    database: Database
    fleet: Fleet


def upgrade(ground: Ground) -> None:
    """Migrate; then all processes are replaced by those of this version, one after another."""
    migrate(ground.fleet.environ, ROOT, ground.database.primary.url)
    ground.fleet.replace_all(ROOT)


def kill_redis(ground: Ground) -> None:
    """A primary dies, its replica takes its place, and it comes back as a replica."""
    lost = ground.cluster.primaries()[0]
    replica = ground.cluster.replica_of(lost)
    lost.kill()
    eventually(lambda: replica in ground.cluster.primaries(), _TO_BE_REPLACED)
    time.sleep(_AWAY)
    ground.cluster.mend()


def fail_over(ground: Ground) -> None:
    """PostgreSQL's primary dies, its replica takes its place."""
    ground.database.fail_over()


def back_up(ground: Ground) -> None:
    """As `make backup` does: a dump with what waits in Redis, and a copy of the whole server."""
    target = ground.database.folder / "backup"
    urls = {"DATABASE_URL": ground.database.primary.url, "REDIS_URL": ground.cluster.url}
    command = [sys.executable, "-m", "ops", "backup", "--file", str(target)]
    environ = {**os.environ, **urls, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, env=environ, check=True, capture_output=True)
    _delete(target)
    ground.database.back_up()


def restore(ground: Ground) -> None:
    """PostgreSQL and its replica are lost, and come back as of their last commit."""
    ground.database.restore()


def _delete(file: Path) -> None:
    for each in file.parent.glob(f"{file.name}*"):
        shutil.rmtree(each) if each.is_dir() else each.unlink()


# Each by the part of the time after which it begins.
EVENTS: Final[Mapping[str, tuple[float, Callable[[Ground], None]]]] = {
    "upgrade": (0.20, upgrade),
    "Redis primary killed": (0.35, kill_redis),
    "PostgreSQL failed over": (0.50, fail_over),
    "backup": (0.62, back_up),
    "PostgreSQL lost, restored": (0.70, restore),
    "second upgrade": (0.85, upgrade),
}
