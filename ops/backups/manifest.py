"""What a backup says of itself: what is in it, by counts and checksums, and what is not."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec
import psycopg
from psycopg import sql

from ops.backups.programs import server_version
from ops.processes import ProcessFailed

SERVICE: Final = "bike-power-tracker"
FORMAT: Final = 1
# Partitions are counted as the table that they are of; an unfinished copy is in no backup.
_TABLES: Final = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
        AND relname <> 'workout_channels_copy'
    ORDER BY relname
"""
# The sum does not depend on the order of rows, and changes with any value of any of them.
_COUNT: Final = """
    SELECT count(*), coalesce(sum(hashtextextended(counted::text, 0)), 0)::text
    FROM public.{} AS counted
"""
_MIGRATIONS: Final = "SELECT migration_id FROM public._yoyo_migration ORDER BY migration_id"
_IN_STORE: Final = """
    SELECT count(*), coalesce(sum(size), 0)::bigint
    FROM public.upload_files JOIN public.uploads ON uploads.id = upload_id
    WHERE object IS NOT NULL
"""
_HAS_STORE: Final = """
    SELECT EXISTS (
        SELECT FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name = 'upload_files' AND column_name = 'object'
    )
"""
_NEVER_IN: Final = [
    "messages of named streams, and what Redis remembers for minutes: sign-ins, throttles, caches",
    "the settings and secrets of the environment (.env), and whatever stands outside of the two "
    "servers",
]


class Table(msgspec.Struct, frozen=True):
    """A table's rows, and the sum of their hashes."""

    rows: int
    checksum: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first file of a backup. ``sha256``: of the files that follow, by their names."""

    service: str
    format: int
    begun_at: datetime
    postgres: int
    migrations: list[str]
    tables: dict[str, Table]
    batches: int
    not_in_backup: list[str]
    sha256: dict[str, str]


def read_manifest(text: bytes) -> Manifest:
    """Raises ProcessFailed for what this version of the service has not written."""
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except msgspec.DecodeError as error:
        raise ProcessFailed(
            f"this is not a backup of ours: its manifest is wrong: {error}"
        ) from None
    if (manifest.service, manifest.format) != (SERVICE, FORMAT):
        named = f"{manifest.service}, format {manifest.format}"
        raise ProcessFailed(f"this is not a backup that this version reads: {named}")
    return manifest


def describe(
    connection: psycopg.Connection,
    begun_at: datetime,
    batches: int,
    sha256: Mapping[str, str],
    originals_url: str,
) -> Manifest:
    """The manifest of what a transaction sees."""
    return Manifest(
        service=SERVICE,
        format=FORMAT,
        begun_at=begun_at,
        postgres=server_version(connection),
        migrations=[each for (each,) in connection.execute(_MIGRATIONS)],
        tables=count_tables(connection),
        batches=batches,
        not_in_backup=[*_elsewhere(connection, originals_url), *_NEVER_IN],
        sha256=dict(sha256),
    )


def count_tables(connection: psycopg.Connection) -> dict[str, Table]:
    """Every table's rows and checksum; the same wherever the same rows are."""
    connection.execute("SELECT set_config('TimeZone', 'UTC', true)")
    names = [name for (name,) in connection.execute(_TABLES).fetchall()]
    return {name: _count(connection, name) for name in names}


def differences(wanted: Mapping[str, Table], found: Mapping[str, Table]) -> list[str]:
    """What is not as the manifest says, a line for each table."""
    return [
        f"{name}: {_said(wanted.get(name))} backed up, {_said(found.get(name))} restored"
        for name in sorted(wanted.keys() | found.keys())
        if wanted.get(name) != found.get(name)
    ]


def _count(connection: psycopg.Connection, name: str) -> Table:
    row = connection.execute(sql.SQL(_COUNT).format(sql.Identifier(name))).fetchone()
    return Table(*row) if row else Table(0, "0")


def _said(table: Table | None) -> str:
    return f"{table.rows} rows ({table.checksum[-8:]})" if table else "no such table"


def _elsewhere(connection: psycopg.Connection, originals_url: str) -> list[str]:
    has_store = connection.execute(_HAS_STORE).fetchone()
    if not (has_store and has_store[0]):  # a schema of before there was a store
        return []
    files, size = connection.execute(_IN_STORE).fetchone() or (0, 0)
    where = originals_url or "the store that ORIGINALS_URL named"
    return [f"originals: {files} files ({size} bytes) in {where}"] if files else []
