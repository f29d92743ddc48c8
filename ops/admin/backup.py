"""Backups: the database, and the samples that were not yet folded into it.

A backup is a tar file of ``database.dump`` (pg_dump's custom format) and ``streams.ndjson``. The
streams are read first: what a worker folds in between is then in both, and folding it once more
after a restore changes nothing.
"""

import io
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import psycopg
import redis
from psycopg import sql

from ops.admin import migrations
from ops.embedded.postgres import programs
from ops.processes import ProcessFailed
from shared.errors import LeaveToNewer, MalformedEntry
from shared.events import FoldRequest
from shared.redis_keys import BATCH_FIELD, Queue, samples_key, workout_of
from shared.samples import stream_codec

_DUMP, _STREAMS = "database.dump", "streams.ndjson"
# A line of `pg_restore --list`: "2761; 0 16404 TABLE DATA public users tracker".
_ENTRY: Final = re.compile(
    r"\d+; \d+ \d+ (TABLE|TABLE DATA|VIEW|TYPE|SEQUENCE|SEQUENCE SET|SEQUENCE OWNED BY|DEFAULT"
    r"|CONSTRAINT|FK CONSTRAINT|INDEX|COMMENT) public "
)
# Functions and triggers of ours are not restored: what they do is not for a dump to say. The
# migrations that make them are applied anew, and may be repeated.
_MADE_ANEW: Final = re.compile(
    r"\d+; \d+ \d+ (FUNCTION public (fill_words|search_words|search_vector|search_query)\("
    r"|TRIGGER public workouts workouts_words )"
)
_MAKERS: Final = ["0021_search_words"]
_END_OF_ROWS: Final = b"\\.\n"
_RELATIONS: Final = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind::text = ANY(%s)
"""
_FORGET_MAKERS: Final = "DELETE FROM public._yoyo_migration WHERE migration_id = ANY(%s)"
_TYPES: Final = """
    SELECT typname FROM pg_type
    WHERE typnamespace = 'public'::regnamespace AND typtype = 'e'
"""


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
        with redis.Redis.from_url(redis_url) as client, streams.open("wb") as file:
            for batch in _read_batches(client):
                file.write(msgspec.json.encode(batch) + b"\n")
        _run([find_program("pg_dump"), "-Fc", "--no-owner", "-f", str(dump), database_url])
        with tarfile.open(fileobj=target, mode="w|") as archive:
            for path in (dump, streams):
                archive.add(path, path.name)


def restore(database_url: str, redis_url: str, source: IO[bytes]) -> int:
    """Replace the database by a backup's, and put its waiting batches back; how many there were.

    The whole backup is checked before anything is changed, and the database is replaced in one
    transaction. Batches that wait in Redis now are kept. Raises ProcessFailed.
    """
    with tempfile.TemporaryDirectory() as folder:
        dump, streams = _unpack(source, Path(folder))
        _check_dump(dump)
        for _ in _checked_batches(streams):
            pass
        with redis.Redis.from_url(redis_url) as client:
            client.ping()
            _replace_database(database_url, dump)
            migrations.apply(database_url)
            return _write_batches(client, _checked_batches(streams))


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    batch: bytes  # base64 in JSON


def _read_batches(client: redis.Redis) -> Iterator[_Batch]:
    for key in client.scan_iter(match="{w:*}:samples"):
        entries: Any = client.xrange(key)
        for _, fields in entries:
            yield _Batch(key.decode(), fields[BATCH_FIELD])


def _write_batches(client: redis.Redis, batches: Iterator[_Batch]) -> int:
    count, workouts = 0, set()
    for batch in batches:
        client.xadd(batch.key, {BATCH_FIELD: batch.batch})
        workouts.add(workout_of(batch.key))
        count += 1
    for workout_id in workouts:
        client.xadd(Queue.PROMPT, FoldRequest(workout_id).fields())
    return count


def _unpack(source: IO[bytes], folder: Path) -> tuple[Path, Path]:
    """The two files of a backup, and nothing else that may be in it."""
    paths = {name: folder / name for name in (_DUMP, _STREAMS)}
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
    if not all(path.exists() for path in paths.values()):
        raise ProcessFailed(f"this is not a backup: it lacks {_DUMP} or {_STREAMS}")
    return paths[_DUMP], paths[_STREAMS]


def _check_dump(dump: Path) -> None:
    """Refuses what no backup of ours has, as other functions; and what a newer version wrote."""
    for line in _entries(dump):
        if not (_ENTRY.match(line) or _MADE_ANEW.match(line)):
            raise ProcessFailed(f"{_DUMP} has what no backup of this service has: {line}")
    with _script(dump, "--data-only", "--table", "_yoyo_migration") as script:
        applied = {line.split(b"\t")[1].decode() for line in script if line.count(b"\t") == 2}
    if not applied:
        raise ProcessFailed(f"{_DUMP} is of no database of this service: it names no migration")
    if newer := sorted(applied - migrations.known()):
        raise ProcessFailed(f"the backup is of a newer version, with the migration {newer[-1]}")
    with _script(dump) as script:  # to its end: all of its data can be read
        for _ in script:
            pass


def _entries(dump: Path) -> list[str]:
    """What pg_restore would restore, a line each."""
    listed = _run(_restoring("--list", str(dump))).splitlines()
    return [line for line in listed if line and not line.startswith(";")]


def _checked_batches(streams: Path) -> Iterator[_Batch]:
    with streams.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield _checked_batch(line)
            except (msgspec.DecodeError, ValueError, MalformedEntry, LeaveToNewer) as error:
                raise ProcessFailed(f"line {number} of {_STREAMS} is wrong: {error}") from error


def _checked_batch(line: bytes) -> _Batch:
    batch = msgspec.json.decode(line, type=_Batch)
    if batch.key != samples_key(workout_of(batch.key)):
        raise ValueError(f"{batch.key!r} is no key of samples")
    stream_codec.decode([batch.batch])
    return batch


def _replace_database(database_url: str, dump: Path) -> None:
    """In one transaction: if it is broken off, everything is as it was.

    The statements are run by us, not by psql, for which a dump may hold commands of a shell.
    """
    chosen = dump.with_suffix(".list")
    chosen.write_text("\n".join(each for each in _entries(dump) if _ENTRY.match(each)))
    restored = _script(dump, "--use-list", str(chosen))
    try:
        with psycopg.connect(database_url) as connection, restored as script:
            _drop_everything(connection)
            _run_script(connection, script)
            connection.execute(_FORGET_MAKERS, [_MAKERS])
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        reason = str(error).partition("\n")[0]
        raise ProcessFailed(f"{_DUMP} cannot be restored, nothing was changed: {reason}") from error


def _run_script(connection: psycopg.Connection, script: Iterator[bytes]) -> None:
    """Run what pg_restore wrote: statements, and rows between COPY and ``\\.``."""
    statements = list[bytes]()
    for line in script:
        if line.startswith(b"COPY ") and line.endswith(b" FROM stdin;\n"):
            connection.execute(b"".join(statements))
            statements.clear()
            with connection.cursor() as cursor, cursor.copy(line) as copy:
                for row in iter(lambda: next(script), _END_OF_ROWS):
                    copy.write(row)
        elif not line.startswith(b"\\"):  # for psql
            statements.append(line)
    connection.execute(b"".join(statements))


def _drop_everything(connection: psycopg.Connection) -> None:
    """Also what a backup of an older version does not have."""
    for kind, relations in (("VIEW", "v"), ("TABLE", "rp"), ("SEQUENCE", "S"), ("TYPE", "")):
        query = _TYPES if kind == "TYPE" else _RELATIONS
        found = connection.execute(query, None if kind == "TYPE" else [list(relations)])
        if names := [sql.Identifier("public", name) for (name,) in found]:
            drop = sql.SQL(f"DROP {kind} {{}}")
            connection.execute(drop.format(sql.SQL(", ").join(names)))


@contextmanager
def _script(dump: Path, *arguments: str) -> Iterator[Iterator[bytes]]:
    """What pg_restore would run, line by line. Raises ProcessFailed if it cannot read the dump."""
    command = _restoring("--file", "-", *arguments, str(dump))
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        yield process.stdout or iter(())
        if process.wait():
            errors.seek(0)
            raise ProcessFailed(_first_error(command, errors.read().decode(errors="replace")))


def _restoring(*arguments: str) -> list[str]:
    return [find_program("pg_restore"), "--no-owner", "--no-privileges", *arguments]


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ProcessFailed(_first_error(command, done.stderr))
    return done.stdout


def _first_error(command: list[str], said: str) -> str:
    return f"{Path(command[0]).name} failed: {said.strip().partition(chr(10))[0]}"
