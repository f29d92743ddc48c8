"""Backups: the database, and the samples that were not yet folded into it.

A backup is a tar file of ``database.dump`` (pg_dump's custom format) and ``streams.ndjson``. The
streams are read first: what a worker folds in between is then in both, and folding it once more
after a restore changes nothing.
"""

import base64
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import redis

from ops.admin import migrations
from ops.embedded.postgres import programs
from ops.processes import ProcessFailed
from shared.events import FoldRequest
from shared.redis_keys import BATCH_FIELD, Queue, workout_of

_DUMP, _STREAMS = "database.dump", "streams.ndjson"


def find_program(name: str) -> str:
    """A PostgreSQL client program: the embedded one, else the one on the PATH."""
    try:
        return str(programs() / name)
    except ProcessFailed:
        found = shutil.which(name)
        if found is None:
            raise ProcessFailed(f"{name} is neither embedded nor on the PATH") from None
        return found


def back_up(database_url: str, redis_url: str, target: IO[bytes]) -> None:
    """Write a backup while everything goes on running."""
    with tempfile.TemporaryDirectory() as folder:
        streams, dump = Path(folder, _STREAMS), Path(folder, _DUMP)
        with redis.Redis.from_url(redis_url) as client, streams.open("w") as file:
            file.writelines(json.dumps(batch) + "\n" for batch in _read_batches(client))
        _run([find_program("pg_dump"), "-Fc", "--no-owner", "-f", str(dump), database_url])
        with tarfile.open(fileobj=target, mode="w|") as archive:
            for path in (dump, streams):
                archive.add(path, path.name)


def restore(database_url: str, redis_url: str, source: IO[bytes]) -> int:
    """Replace the database by a backup's, and put its waiting batches back; how many there were.

    Batches that wait in Redis now are kept.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            with tarfile.open(fileobj=source, mode="r|") as archive:
                archive.extractall(folder, filter="data")
        except tarfile.TarError as error:
            raise ProcessFailed(f"this is not a backup: {error}") from error
        dump, streams = Path(folder, _DUMP), Path(folder, _STREAMS)
        if not (dump.exists() and streams.exists()):
            raise ProcessFailed(f"this is not a backup: it lacks {_DUMP} or {_STREAMS}")
        how = ["--clean", "--if-exists", "--no-owner", "--single-transaction"]
        _run([find_program("pg_restore"), *how, "-d", database_url, str(dump)])
        migrations.apply(database_url)
        with redis.Redis.from_url(redis_url) as client, streams.open() as file:
            return _write_batches(client, map(json.loads, file))


def _read_batches(client: redis.Redis) -> Iterator[dict[str, str]]:
    for key in client.scan_iter(match="{w:*}:samples"):
        entries: Any = client.xrange(key)
        for _, fields in entries:
            data = base64.b64encode(fields[BATCH_FIELD]).decode()
            yield {"key": key.decode(), "batch": data}


def _write_batches(client: redis.Redis, batches: Iterator[dict[str, str]]) -> int:
    count, workouts = 0, set()
    for batch in batches:
        client.xadd(batch["key"], {BATCH_FIELD: base64.b64decode(batch["batch"])})
        workouts.add(workout_of(batch["key"]))
        count += 1
    for workout_id in workouts:
        client.xadd(Queue.PROMPT, FoldRequest(workout_id).fields())
    return count


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ProcessFailed(f"{Path(command[0]).name} failed: {done.stderr.strip()}")
