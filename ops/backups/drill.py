"""The drill: a backup is restored beside the database, and compared with what was backed up."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from secrets import token_hex
from typing import IO, Final
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from ops.admin import migrations
from ops.backups.backup import unpacked
from ops.backups.dump import replace_database
from ops.backups.manifest import count_tables, differences
from ops.processes import ProcessFailed

_GRANT: Final = "the role may not create a database: ALTER ROLE … CREATEDB, as its superuser"
_RECHECKED: Final = 20  # rides


@dataclass
class Drill:
    """What a drill has compared, and what was not the same."""

    tables: int = 0
    rows: int = 0
    batches: int = 0
    rides: int = 0
    wrong: list[str] = field(default_factory=list)


def drill(database_url: str, redis_url: str, source: IO[bytes], rides: int = _RECHECKED) -> Drill:
    """Restore a backup into a database that is dropped afterwards, and compare.

    Each table's rows and checksum with the manifest's; and the figures of so many rides with those
    that the workers' code computes from their samples. The service goes on meanwhile.
    """
    found = Drill()
    with unpacked(source) as files, _scratch_database(database_url) as scratch:
        if files.manifest is None:
            raise ProcessFailed("this backup is of before there were manifests to compare with")
        wanted = files.manifest.tables
        found.batches = files.manifest.batches
        found.tables, found.rows = len(wanted), sum(each.rows for each in wanted.values())

        def compare(connection: psycopg.Connection) -> None:
            found.wrong += differences(wanted, count_tables(connection))

        replace_database(scratch, files.dump, compare)
        migrations.apply(scratch)
        _recheck(scratch, redis_url, rides, found)
    return found


def _recheck(scratch: str, redis_url: str, rides: int, found: Drill) -> None:
    """Have the workers' code compute some rides anew: ``worker.recheck`` writes a line for each."""
    environ = {**os.environ, "DATABASE_URL": scratch, "REDIS_URL": redis_url}
    command = [sys.executable, "-m", "worker.recheck", str(rides)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    if done.returncode:
        raise ProcessFailed(f"worker.recheck failed: {done.stderr.strip().splitlines()[-1]}")
    for line in done.stdout.splitlines():
        workout_id, _, wrong = line.partition(" ")
        found.rides += 1
        if wrong:
            found.wrong.append(f"ride {workout_id}: {wrong}")


@contextmanager
def _scratch_database(database_url: str) -> Iterator[str]:
    """The URL of a new database on the same server, which is dropped at the end."""
    name = f"bpt_drill_{token_hex(4)}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        try:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except psycopg.errors.InsufficientPrivilege:
            raise ProcessFailed(_GRANT) from None
    try:
        yield with_database(database_url, name)
    finally:
        with psycopg.connect(database_url, autocommit=True) as connection:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
            connection.execute(drop.format(sql.Identifier(name)))


def with_database(url: str, name: str) -> str:
    """The same server's URL for another database."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{name}"))
