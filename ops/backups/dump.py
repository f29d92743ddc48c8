"""Dumps of PostgreSQL, checked before they are run, and run in one transaction."""

import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from ops.admin import migrations
from ops.backups.programs import (
    find_dumper,
    find_program,
    first_error,
    reaching,
    run,
    server_version,
)
from ops.processes import ProcessFailed

# A line of `pg_restore --list`: "2761; 0 16404 TABLE DATA public users tracker".
_ENTRY: Final = re.compile(
    r"\d+; \d+ \d+ (TABLE|TABLE DATA|VIEW|TYPE|SEQUENCE|SEQUENCE SET|SEQUENCE OWNED BY|DEFAULT"
    r"|TABLE ATTACH|CONSTRAINT|FK CONSTRAINT|INDEX|INDEX ATTACH|COMMENT) public "
)
# Functions and triggers of ours are not restored: what they do is not for a dump to say. They are
# made anew by the migrations that have made them.
_MAKERS: Final = ["0021_search_words", "0040_access_changes", "0046_webhook_triggers"]
_FUNCTIONS: Final = (
    *("fill_words", "search_words", "search_vector", "search_query"),
    *("note_key_change", "note_user_change", "note_workout_change", "forget_changes_of_user"),
    *("webhook_moment", "webhook_ranges", "webhook_uncropped", "webhook_workout"),
    *("webhook_upload", "is_webhook_for", "tell_webhooks", "tell_of_workout", "tell_of_upload"),
    *("note_change", "note_change_of_workout", "note_change_of_upload", "note_change_of_list"),
    *("note_change_of_share", "note_change_of_user", "note_change_of_records"),
    "forget_log_of_user",
    "copy_channels",  # of `make partition`, whose unfinished copy is in no backup
)
_TRIGGERS: Final = (
    *("workouts workouts_words", "workouts workouts_changed"),
    *("users users_changed", "users users_deleted"),
    *("api_keys api_keys_changed", "api_keys api_keys_deleted"),
    *("workouts workouts_told_completed", "workouts workouts_told_deleted"),
    *("workouts workouts_told_updated", "workouts workouts_noted_new", "workouts workouts_noted"),
    *("uploads uploads_told_failed", "uploads uploads_told_refused"),
    *("uploads uploads_noted", "uploads uploads_noted_too"),
    *("athlete_thresholds athlete_thresholds_noted", "other_thresholds other_thresholds_noted"),
    *("hidden_places hidden_places_noted", "shares shares_noted", "users users_noted"),
    *("sport_records sport_records_noted_new", "sport_records sport_records_noted"),
    *("sport_records sport_records_noted_gone", "users users_log_forgotten"),
    "workout_channels workout_channels_copied",
)
_MADE_ANEW: Final = re.compile(
    rf"\d+; \d+ \d+ (FUNCTION public ({'|'.join(_FUNCTIONS)})\("
    rf"|TRIGGER public ({'|'.join(_TRIGGERS)}) )"
)
# Of whoever runs the server, as pg_stat_statements: neither restored nor dropped.
_LEFT_ALONE: Final = re.compile(r"\d+; \d+ \d+ (EXTENSION|COMMENT) - (EXTENSION )?\w+ ")
# What a newer pg_restore sets first, to its default: servers before 17 refuse it.
_NEWER: Final = b"SET transaction_timeout = 0;"
_END_OF_ROWS: Final = b"\\.\n"
_RELATIONS: Final = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind::text = ANY(%s)
    AND NOT EXISTS (
        SELECT FROM pg_depend
        WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e'
    )
"""
_MAKES: Final = re.compile(
    r"(\s|--.*\n)*(CREATE OR REPLACE (FUNCTION|TRIGGER)|ALTER TABLE \w+ ENABLE ALWAYS TRIGGER) "
)
_UNFINISHED: Final = """
    SELECT relname FROM pg_partition_tree(to_regclass('public.workout_channels_copy'))
    JOIN pg_class ON oid = relid
"""
_APPLIED: Final = "SELECT migration_id FROM public._yoyo_migration"
_TYPES: Final = """
    SELECT typname FROM pg_type
    WHERE typnamespace = 'public'::regnamespace AND typtype = 'e'
"""


def dump_database(connection: psycopg.Connection, database_url: str, path: Path) -> None:
    """Dump what the connection's transaction sees, which must be of REPEATABLE READ.

    Until its end `make partition` puts no other table in the place of the samples'.
    """
    connection.execute("LOCK TABLE public.workout_channels IN ACCESS SHARE MODE")
    row = connection.execute("SELECT pg_export_snapshot()").fetchone()
    program = find_dumper(server_version(connection))
    same = ["--snapshot", str(row[0])] if row else []
    left_out = [f"--exclude-table=public.{name}" for (name,) in connection.execute(_UNFINISHED)]
    database, environ = reaching(database_url)
    how = ["-Fc", "--no-owner", *same, *left_out]
    run([program, *how, "-f", str(path), "-d", database], environ)


def check_dump(dump: Path) -> None:
    """Refuses what no backup of ours has, as other functions; and what a newer version wrote."""
    for line in _entries(dump):
        if not any(each.match(line) for each in (_ENTRY, _MADE_ANEW, _LEFT_ALONE)):
            raise ProcessFailed(f"{dump.name} has what no backup of this service has: {line}")
    with _script(dump, "--data-only", "--table", "_yoyo_migration") as script:
        applied = {line.split(b"\t")[1].decode() for line in script if line.count(b"\t") == 2}
    if not applied:
        raise ProcessFailed(f"{dump.name} is of no database of this service: it names no migration")
    if newer := sorted(applied - migrations.known()):
        raise ProcessFailed(f"the backup is of a newer version, with the migration {newer[-1]}")
    with _script(dump) as script:  # to its end: all of its data can be read
        for _ in script:
            pass


def replace_database(
    database_url: str, dump: Path, inspect: Callable[[psycopg.Connection], None]
) -> None:
    """Replace all there is by a dump, in one transaction: if it breaks off, all is as it was.

    ``inspect`` sees what was restored before anybody else does, and may raise. The statements are
    run by us, not by psql, for which a dump may hold commands of a shell.
    """
    chosen = dump.with_suffix(".list")
    chosen.write_text("\n".join(each for each in _entries(dump) if _ENTRY.match(each)))
    restored = _script(dump, "--use-list", str(chosen))
    try:
        with psycopg.connect(database_url) as connection, restored as script:
            _drop_everything(connection)
            _run_script(connection, script)
            inspect(connection)
            _make_functions_and_triggers(connection)
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        reason = str(error).partition("\n")[0]
        raise ProcessFailed(
            f"{dump.name} cannot be restored, nothing was changed: {reason}"
        ) from error


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
        elif not line.startswith((b"\\", _NEWER)):  # for psql, or more than the server knows
            statements.append(line)
    connection.execute(b"".join(statements))


def _make_functions_and_triggers(connection: psycopg.Connection) -> None:
    """Within the transaction: a key revoked right after it is noted by its trigger already.

    What is of later migrations than the dump is made by these.
    """
    connection.execute("SELECT set_config('search_path', 'public', true)")  # the dump empties it
    applied = {name for (name,) in connection.execute(_APPLIED)}
    for maker in _MAKERS:
        for statement in migrations.statements_of(maker) if maker in applied else ():
            if _MAKES.match(statement):
                connection.execute(statement.encode())


def _drop_everything(connection: psycopg.Connection) -> None:
    """Also what a backup of an older version does not have."""
    for kind, relations in (("VIEW", "v"), ("TABLE", "rp"), ("SEQUENCE", "S"), ("TYPE", "")):
        query = _TYPES if kind == "TYPE" else _RELATIONS
        found = connection.execute(query, None if kind == "TYPE" else [list(relations)])
        if names := [sql.Identifier("public", name) for (name,) in found]:
            drop = sql.SQL(f"DROP {kind} {{}}")
            connection.execute(drop.format(sql.SQL(", ").join(names)))


def _entries(dump: Path) -> list[str]:
    """What pg_restore would restore, a line each."""
    listed = run(_restoring("--list", str(dump))).splitlines()
    return [line for line in listed if line and not line.startswith(";")]


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
            raise ProcessFailed(first_error(command, errors.read().decode(errors="replace")))


def _restoring(*arguments: str) -> list[str]:
    return [find_program("pg_restore"), "--no-owner", "--no-privileges", *arguments]
