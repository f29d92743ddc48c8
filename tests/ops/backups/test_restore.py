"""A backup brings back what was in PostgreSQL and what was still waiting for it."""

import io
import json
import re
import tarfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import numpy as np
import psycopg
import pytest
import redis

from ops.admin import migrations
from ops.admin.accounts import create_account
from ops.backups.backup import back_up, restore, unpacked
from ops.backups.dump import replace_database
from ops.embedded.postgres import superuser_url
from ops.embedded.servers import embedded_servers
from ops.processes import ProcessFailed
from shared.connections import Database, Redis, open_database, open_redis
from shared.redis_keys import BATCH_FIELD, EPOCH, samples_key
from shared.samples import stream_codec
from shared.samples.columns import Samples
from shared.settings import Settings, read_settings
from tests.conftest import reachable_folder
from tests.ops.let_in import LET_IN, let_in
from worker.jobs.fold import fold

T0 = 1_700_000_000_000
MANIFEST = "manifest.json"


@pytest.fixture(scope="module")
def own_settings() -> Iterator[Settings]:
    """Servers that may be emptied."""
    with reachable_folder() as folder, embedded_servers(folder) as urls:
        migrations.apply(urls["DATABASE_URL"])
        yield read_settings(urls)


def add_batch(client: Redis, workout_id: UUID, first: int, count: int) -> None:
    times = T0 + 1000 * np.arange(first, first + count, dtype=np.int64)
    batch = Samples(times, {"power": np.full(count, 250.0)})
    client.xadd(samples_key(workout_id), {BATCH_FIELD: stream_codec.encode(batch)})


def start_workout(database: Database, settings: Settings) -> UUID:
    account = create_account(settings.database_url, "rider@example.com", "test")
    with database.connection() as connection:
        row = connection.execute(
            "INSERT INTO workouts (user_id) VALUES (%s) RETURNING id", [account.user_id]
        ).fetchone()
    assert row is not None
    workout_id: UUID = row["id"]
    return workout_id


def test_archived_and_waiting_samples_come_back(own_settings: Settings) -> None:
    urls = own_settings.database_url, own_settings.redis_url
    with open_database(own_settings) as database, open_redis(own_settings) as client:
        workout_id = start_workout(database, own_settings)
        add_batch(client, workout_id, 0, 60)
        fold(database, client, workout_id)
        add_batch(client, workout_id, 60, 40)
        backup = io.BytesIO()
        back_up(*urls, backup)

        with database.connection() as connection:
            connection.execute("DELETE FROM users")
        client.flushall()
        backup.seek(0)
        assert restore(*urls, backup) == 1
        fold(database, client, workout_id)
        with database.connection() as connection:
            row = connection.execute(
                "SELECT summary FROM workouts WHERE id = %s", [workout_id]
            ).fetchone()
    assert row is not None
    assert row["summary"]["sampleCount"] == 100
    assert row["summary"]["totalEnergy"] == 25  # 250 W for 100 s


def test_who_is_let_in_comes_back(own_settings: Settings) -> None:
    urls = own_settings.database_url, own_settings.redis_url
    with open_database(own_settings) as database:
        with database.connection() as connection:
            connection.execute("DELETE FROM users")
        let_in(own_settings.database_url)
        backup = io.BytesIO()
        back_up(*urls, backup)
        with database.connection() as connection:
            connection.execute("DELETE FROM users")
        backup.seek(0)
        restore(*urls, backup)
        with database.connection() as connection:
            found = connection.execute(LET_IN).fetchone()
    assert found == {"shares": 1, "grants": 1, "refreshable": 1, "opening": 1, "webhooks": 1}


def test_restoring_beside_the_same_samples_counts_nothing_twice(own_settings: Settings) -> None:
    urls = own_settings.database_url, own_settings.redis_url
    with open_database(own_settings) as database, open_redis(own_settings) as client:
        workout_id = start_workout(database, own_settings)
        add_batch(client, workout_id, 0, 60)
        backup = io.BytesIO()
        back_up(*urls, backup)
        backup.seek(0)
        restore(*urls, backup)
        assert client.xlen(samples_key(workout_id)) == 2
        fold(database, client, workout_id)
        with database.connection() as connection:
            row = connection.execute(
                "SELECT summary FROM workouts WHERE id = %s", [workout_id]
            ).fetchone()
    assert row is not None
    assert row["summary"]["sampleCount"] == 60


def back_up_of(settings: Settings, waiting: int = 1) -> dict[str, bytes]:
    """The files of a backup of one rider with so many batches."""
    with open_database(settings) as database, open_redis(settings) as client:
        workout_id = start_workout(database, settings)
        for number in range(waiting):
            add_batch(client, workout_id, 10 * number, 10)
    backup = io.BytesIO()
    back_up(settings.database_url, settings.redis_url, backup)
    backup.seek(0)
    with tarfile.open(fileobj=backup) as archive:
        return {each.name: archive.extractfile(each).read() for each in archive}  # type: ignore[union-attr]


def packed(files: dict[str, bytes]) -> io.BytesIO:
    """A backup of these files, whose manifest has their checksums: whoever forges one can count."""
    told = json.loads(files["manifest.json"])
    told["sha256"] = {
        name: sha256(content).hexdigest() for name, content in files.items() if name != MANIFEST
    }
    return tar_of({**files, MANIFEST: json.dumps(told).encode()})


def tar_of(files: dict[str, bytes]) -> io.BytesIO:
    backup = io.BytesIO()
    with tarfile.open(fileobj=backup, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    backup.seek(0)
    return backup


def changed_manifest(files: dict[str, bytes], **members: object) -> io.BytesIO:
    return tar_of({**files, MANIFEST: json.dumps(json.loads(files[MANIFEST]) | members).encode()})


def state(settings: Settings) -> tuple[object, object]:
    """What a restore would change: a table is new, though its rows are the same.

    Some keys end by themselves meanwhile.
    """
    query = "SELECT 'users'::regclass::oid AS id, (SELECT count(*) FROM workouts) AS workouts"
    with psycopg.connect(settings.database_url) as connection, open_redis(settings) as client:
        lasting = [key for key in client.scan_iter() if client.ttl(key) == -1]
        return connection.execute(query).fetchone(), len(lasting)


KEY = "{w:00000000-0000-7000-8000-000000000000}:samples"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"no json", "malformed"),
        (b"\xff", "malformed|utf-8"),
        (b"{}", "missing required field"),
        (b'{"key": "x", "batch": ""}', "is wrong"),
        (b'{"key": "events", "batch": ""}', "is wrong"),
        (f'{{"key": "{KEY}", "batch": "no base64!"}}'.encode(), "base64"),
        (f'{{"key": "{KEY}", "batch": "AQ=="}}'.encode(), "not a batch of samples"),
        (f'{{"key": "{KEY}", "batch": "Hw=="}}'.encode(), "version 31"),
    ],
)
def test_a_wrong_entry_anywhere_leaves_everything_as_it_was(
    own_settings: Settings, line: bytes, complaint: str
) -> None:
    files, before = back_up_of(own_settings), state(own_settings)
    number = files["streams.ndjson"].count(b"\n") + 1
    files["streams.ndjson"] += line + b"\n"
    with pytest.raises(ProcessFailed, match=complaint) as failure:
        restore(own_settings.database_url, own_settings.redis_url, packed(files))
    assert str(failure.value).startswith(f"line {number} of streams.ndjson is wrong: ")
    assert state(own_settings) == before


def test_what_is_no_backup_is_refused_and_changes_nothing(own_settings: Settings) -> None:
    urls = own_settings.database_url, own_settings.redis_url
    files, before = back_up_of(own_settings), state(own_settings)
    dump = files["database.dump"]
    for wrong in (
        io.BytesIO(b"no tar"),
        io.BytesIO(packed(files).getvalue()[:-12_000]),
        packed({**files, "../../etc/passwd": b""}),
        tar_of({"database.dump": dump}),
        tar_of({**files, "streams.ndjson": files["streams.ndjson"] + b"\n"}),
        tar_of({**files, MANIFEST: b"{}"}),
        changed_manifest(files, service="another"),
        changed_manifest(files, format=2),
        packed({**files, "database.dump": b"no dump"}),
        packed({**files, "database.dump": dump[: len(dump) // 2]}),
    ):
        with pytest.raises(ProcessFailed) as failure:
            restore(*urls, wrong)
        assert "\n" not in str(failure.value)
    assert state(own_settings) == before


@pytest.mark.parametrize(
    ("statement", "undo", "complaint"),
    [
        (
            "CREATE FUNCTION evil() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "DROP FUNCTION evil()",
            "FUNCTION public evil",
        ),
        ("CREATE SCHEMA evil", "DROP SCHEMA evil", "SCHEMA - evil"),
        (
            "INSERT INTO _yoyo_migration VALUES ('x', '9999_newer', now())",
            "DELETE FROM _yoyo_migration WHERE migration_id = '9999_newer'",
            "newer version, with the migration 9999_newer",
        ),
    ],
)
def test_a_dump_with_more_than_a_backup_has_is_refused(
    own_settings: Settings, statement: str, undo: str, complaint: str
) -> None:
    with psycopg.connect(own_settings.database_url, autocommit=True) as connection:
        connection.execute(statement.encode())
        files = back_up_of(own_settings)
        connection.execute(undo.encode())
    before = state(own_settings)
    with pytest.raises(ProcessFailed, match=complaint):
        restore(own_settings.database_url, own_settings.redis_url, packed(files))
    assert state(own_settings) == before


def test_functions_of_ours_are_made_anew_whatever_the_dump_says(own_settings: Settings) -> None:
    lie = "CREATE OR REPLACE FUNCTION search_words(given text) RETURNS text[] IMMUTABLE STRICT"
    with psycopg.connect(own_settings.database_url, autocommit=True) as connection:
        connection.execute(f"{lie} RETURN ARRAY['lie']".encode())
        files = back_up_of(own_settings)
        restore(own_settings.database_url, own_settings.redis_url, packed(files))
        rode = "UPDATE workouts SET title = 'home/work' RETURNING words @@ search_query('work')"
        assert connection.execute(rode.encode()).fetchone() == (True,)


def test_triggers_of_ours_are_there_once_the_transaction_of_a_restore_commits(
    own_settings: Settings,
) -> None:
    query = b"""
        SELECT tgrelid::regclass::text, tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal
    """
    with psycopg.connect(own_settings.database_url, autocommit=True) as connection:
        before = set(connection.execute(query))
        with unpacked(packed(back_up_of(own_settings))) as files:
            replace_database(own_settings.database_url, files.dump, files.inspect)
        assert set(connection.execute(query)) == before
    assert ("api_keys", "api_keys_changed", "A") in before


def test_extensions_of_whoever_runs_the_server_are_left_alone(own_settings: Settings) -> None:
    """As pg_stat_statements with its view, which the tests' server does not have."""
    superuser = superuser_url(own_settings.database_url)
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute("CREATE VIEW of_extension AS SELECT 1 AS one")
        connection.execute("ALTER EXTENSION vector ADD VIEW of_extension")
        restore(own_settings.database_url, own_settings.redis_url, packed(back_up_of(own_settings)))
        assert connection.execute("SELECT * FROM of_extension").fetchall() == [(1,)]
        connection.execute("DROP EXTENSION vector")


def test_a_dump_that_lies_about_what_it_does_runs_no_program(
    own_settings: Settings, tmp_path: Path
) -> None:
    """Its list says TABLE DATA, and its statement runs a program: only a superuser's would."""
    target = tmp_path / "ran"
    files, before = back_up_of(own_settings), state(own_settings)
    # The statement has a length, which must stay: the columns make place for a program. The table
    # is empty, so that no row follows.
    honest = re.search(
        rb"COPY public\.dead_letters \([^)]*\) FROM stdin;\n", files["database.dump"]
    )
    assert honest
    program = f"COPY public.dead_letters FROM PROGRAM 'touch {target}';".encode()
    evil = program.ljust(len(honest[0]) - 1) + b"\n"
    assert len(evil) == len(honest[0])
    files["database.dump"] = files["database.dump"].replace(honest[0], evil)
    with pytest.raises(ProcessFailed, match="permission denied"):
        restore(own_settings.database_url, own_settings.redis_url, packed(files))
    assert not target.exists()
    assert state(own_settings) == before


def test_rows_that_are_not_those_of_the_manifest_change_nothing(own_settings: Settings) -> None:
    files, before = back_up_of(own_settings), state(own_settings)
    tables = json.loads(files[MANIFEST])["tables"]
    rows = tables["users"]["rows"]
    assert rows > 0
    tables["users"]["checksum"] = "1"
    with pytest.raises(ProcessFailed, match=rf"nothing was changed.*users: {rows} rows"):
        restore(
            own_settings.database_url,
            own_settings.redis_url,
            changed_manifest(files, tables=tables),
        )
    assert state(own_settings) == before


def test_a_backup_of_before_there_was_a_manifest_is_restored(own_settings: Settings) -> None:
    files, (users, _) = back_up_of(own_settings), state(own_settings)
    del files[MANIFEST]
    assert restore(own_settings.database_url, own_settings.redis_url, tar_of(files)) > 0
    assert state(own_settings)[0] != users


def test_who_restores_hears_when_only_the_database_is_back(
    own_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = io.BytesIO()
    back_up(own_settings.database_url, own_settings.redis_url, backup)
    backup.seek(0)

    def fail(*_: object) -> int:
        raise redis.OutOfMemoryError("command not allowed")

    monkeypatch.setattr("ops.backups.backup.put_back", fail)
    with pytest.raises(ProcessFailed, match=r"^the database is the backup's, .*not allowed$"):
        restore(own_settings.database_url, own_settings.redis_url, backup)


def test_devices_hear_that_something_was_lost(own_settings: Settings) -> None:
    files = back_up_of(own_settings)
    with open_redis(own_settings) as client:
        client.set(EPOCH, "before")
        restore(own_settings.database_url, own_settings.redis_url, packed(files))
        assert client.get(EPOCH) != b"before"


def test_a_backup_of_an_older_version_is_migrated(own_settings: Settings) -> None:
    newest = migrations.roll_back(own_settings.database_url)
    files = back_up_of(own_settings)
    assert migrations.apply(own_settings.database_url) == newest
    restore(own_settings.database_url, own_settings.redis_url, packed(files))
    assert all(applied for _, applied in migrations.status(own_settings.database_url))
