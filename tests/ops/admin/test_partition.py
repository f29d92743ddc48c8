"""Samples in partitions: of new installations, and of those that `make partition` has changed."""

import io
import os
import random
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import IsolationLevel, sql

from ops.admin import migrations, partition
from ops.admin.partition import abandon
from ops.backups.backup import back_up, restore
from ops.backups.dump import dump_database
from ops.backups.manifest import Table, count_tables
from ops.backups.programs import find_dumper, reaching, run, server_version
from ops.embedded.postgres import superuser_url
from ops.processes import ProcessFailed
from shared.sql import load_queries
from tests.conftest import ROOT
from tests.ops import databases
from tests.worker.waiting import eventually

RIDES = 1000
OURS = "0052_partitioned_channels"
# Each has two parts of two channels, some of which are kept out of line.
WRITE = """
    WITH rider AS (INSERT INTO users (email) VALUES (gen_random_uuid() || '@x') RETURNING id),
    rides AS (
        INSERT INTO workouts (user_id) SELECT id FROM rider, generate_series(1, %s) RETURNING id
    )
    INSERT INTO workout_channels (workout_id, part, channel, encoding, samples, data)
    SELECT id, part, channel, 'pco1', 60, decode(repeat(md5(id::text), 1 + part * 100), 'hex')
    FROM rides, generate_series(0, 1) AS part, unnest('{timestamp,power}'::text[]) AS channel
"""


@pytest.fixture
def empty_database(database_url: str) -> Iterator[str]:
    """A database of its own, on the server of the tests."""
    with databases.empty_database(database_url, "partition_test") as url:
        yield url


@pytest.fixture(scope="module")
def template(database_url: str) -> Iterator[str]:
    """The name of a database that had rows when the migration came."""
    name = "partition_template"
    with databases.empty_database(database_url, name) as url:
        make_plain(url)
        write(url)
        migrations.apply(url)
        assert not is_partitioned(url)
        yield name


@pytest.fixture
def filled(template: str, database_url: str) -> Iterator[str]:
    """A database like it."""
    name = sql.Identifier("partition_filled")
    copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, sql.Identifier(template))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(copy)
    yield database_url.replace("/tracker?", "/partition_filled?")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {}").format(name))


def make_plain(url: str) -> None:
    migrations.apply(url)
    while OURS not in migrations.roll_back(url):
        pass


def write(url: str, rides: int = RIDES) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(WRITE, [rides])


def is_partitioned(url: str) -> bool:
    asked = "SELECT relkind FROM pg_class WHERE oid = 'workout_channels'::regclass"
    with psycopg.connect(url) as connection:
        return connection.execute(asked).fetchone() == ("p",)


def rows_of(url: str) -> dict[str, Table]:
    """The counts and checksums of all tables but yoyo's, which tell the hour."""
    with psycopg.connect(url) as connection:
        return {k: v for k, v in count_tables(connection).items() if "yoyo" not in k}


def remains_of(url: str) -> list[tuple[object, ...]]:
    """What an attempt has made."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT relname FROM pg_class WHERE relname ~ '^workout_channels_(copy|[0-9])'"
            " UNION ALL SELECT tgname FROM pg_trigger WHERE tgname = 'workout_channels_copied'"
            " UNION ALL SELECT proname FROM pg_proc WHERE proname = 'copy_channels'"
        ).fetchall()


def schema_of(url: str) -> list[str]:
    """As pg_dump writes it, with rights; without the keys of a dump of today."""
    with psycopg.connect(url) as connection:
        program = find_dumper(server_version(connection))
    database, environ = reaching(url)
    told = run([program, "--schema-only", "--no-owner", "-d", database], environ)
    return [line for line in told.splitlines() if not line.startswith("\\")]


@contextmanager
def another_role(url: str) -> Iterator[str]:
    """Its name; it owns nothing, as one for reports."""
    name = f"role_{uuid4().hex}"
    role = sql.Identifier(name)
    with psycopg.connect(superuser_url(url), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {}").format(role))
        try:
            yield name
        finally:
            connection.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(role))


def let_read(url: str, role: str) -> None:
    grant = sql.SQL("GRANT SELECT ON workout_channels TO {}, PUBLIC").format(sql.Identifier(role))
    with psycopg.connect(url) as connection:
        connection.execute(grant)


def test_both_ways_end_in_the_same_schema_and_the_way_back_where_they_began(
    empty_database: str, database_url: str
) -> None:
    with (
        another_role(empty_database) as role,
        databases.empty_database(database_url, "partition_test_filled") as filled,
    ):
        for url in (empty_database, filled):
            make_plain(url)
            let_read(url, role)
        plain = schema_of(empty_database)
        write(filled)
        for url in (empty_database, filled):
            migrations.apply(url)
        list(partition.partition(filled))
        assert schema_of(filled) == schema_of(empty_database) != plain
        assert f"GRANT SELECT ON TABLE public.workout_channels TO {role};" in schema_of(filled)
        before = rows_of(filled)
        for url in (empty_database, filled):
            while OURS not in migrations.roll_back(url):
                pass
            assert schema_of(url) == plain
        assert rows_of(filled) == before
        assert before["workout_channels"].rows == 4 * RIDES


def test_rides_of_a_new_installation_are_spread_over_sixteen(empty_database: str) -> None:
    migrations.apply(empty_database)
    write(empty_database)
    with psycopg.connect(empty_database) as connection:
        found = connection.execute(
            "SELECT count(DISTINCT workout_id) FROM workout_channels GROUP BY tableoid"
        ).fetchall()
    assert len(found) == 16
    assert sum(rides for (rides,) in found) == RIDES
    assert all(RIDES / 32 < rides < RIDES / 8 for (rides,) in found)
    assert list(partition.partition(empty_database)) == ["already partitioned"]


QUERIES = {
    "workouts": ("read_own_channels", "read_channels"),
    "folds": ("lock_workout", "note_arrival", "delete_archive"),
    "ingest": ("get_ownership",),
}
TYPES = {"id": "uuid", "workout_id": "uuid", "user_id": "uuid", "channels": "text[]"}
TYPES |= {"parts": "int[]", "overwritten": "int", "received_at": "timestamptz"}


@pytest.mark.parametrize("prepared", [False, True])
def test_a_ride_is_looked_for_in_one_partition(empty_database: str, prepared: bool) -> None:
    """Also by a plan that is made before it is known which ride it is for."""
    migrations.apply(empty_database)
    write(empty_database, 1)
    seen = dict[str, set[str]]()
    kind = psycopg.ClientCursor if prepared else psycopg.Cursor
    with psycopg.connect(empty_database, cursor_factory=kind) as connection:
        row = connection.execute("SELECT id, user_id FROM workouts").fetchone()
        assert row
        ids = {"id": row[0], "workout_id": row[0], "user_id": row[1]}
        connection.execute("SET plan_cache_mode = force_generic_plan")
        for topic, names in QUERIES.items():
            for name in names:
                query = load_queries(topic)[name]
                asked = dict.fromkeys(re.findall(r"%\((\w+)\)s", query)) | ids
                if prepared:
                    query = prepare(connection, name, query)
                plan = connection.execute(f"EXPLAIN {query}".encode(), asked).fetchall()
                seen[name] = set(re.findall(r" workout_channels_\d\d ", str(plan)))
                assert ("Subplans Removed: 15" in str(plan)) == prepared
    assert {name: len(partitions) for name, partitions in seen.items()} == dict.fromkeys(seen, 1)


def prepare(connection: psycopg.Connection, name: str, query: str) -> str:
    """The statement that runs it."""
    parameters = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", query)))
    for number, parameter in enumerate(parameters, 1):
        query = query.replace(f"%({parameter})s", f"${number}")
    types = ", ".join(TYPES[each] for each in parameters)
    connection.execute(f"PREPARE {name} ({types}) AS {query}".encode())
    given = ", ".join(f"%({each})s::{TYPES[each]}" for each in parameters)
    return f"EXECUTE {name} ({given})"


CHANGES_OF_SAMPLES = """
    UPDATE workout_channels SET samples = samples + 1, data = data || 'x'
        WHERE workout_id IN (SELECT id FROM {chosen} LIMIT 20);
    DELETE FROM workout_channels WHERE workout_id IN (SELECT id FROM {chosen} LIMIT 10);
    INSERT INTO workout_channels (workout_id, part, channel, encoding, samples, data)
        SELECT id, 7, 'power', 'pco1', 1, '' FROM {chosen} LIMIT 15 ON CONFLICT DO NOTHING;
"""
CHANGES = "DELETE FROM workouts WHERE id IN (SELECT id FROM {chosen} LIMIT 20);"
CHANGES += CHANGES_OF_SAMPLES
FIRST = "(SELECT id FROM workouts ORDER BY id)"
LAST = "(SELECT id FROM workouts ORDER BY id DESC)"


def change(url: str) -> None:
    """Add rides, and change and delete some among those that are copied first and last."""
    write(url, 50)
    with psycopg.connect(url) as connection:
        for chosen in (FIRST, LAST):
            connection.execute(CHANGES.format(chosen=chosen + " AS chosen").encode())


def test_what_is_written_meanwhile_is_in_the_partitions(filled: str) -> None:
    lines = partition.partition(filled)
    said = next(lines)
    assert said == f"copied 10 %: 100 of {RIDES} rides"
    change(filled)
    for said in lines:
        if said.startswith("compared 1"):
            change(filled)
            break
    before = rows_of(filled)
    said = list(lines)[-1]
    assert said == "workout_channels has 16 partitions"
    assert rows_of(filled) == before
    assert is_partitioned(filled)


def test_who_may_write_and_owns_nothing_goes_on_meanwhile(filled: str) -> None:
    """Also where a superuser does it: what is made is the owner's."""
    superuser = superuser_url(filled)
    with another_role(filled) as role:
        with psycopg.connect(superuser) as connection:
            granted = sql.SQL("GRANT ALL ON workouts, workout_channels TO {}")
            connection.execute(granted.format(sql.Identifier(role)))
        lines = partition.partition(superuser)
        next(lines)
        for _ in range(2):
            with psycopg.connect(superuser) as connection:
                connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
                connection.execute(CHANGES_OF_SAMPLES.format(chosen=FIRST + " AS chosen").encode())
            before = rows_of(filled)
            list(lines)
            assert rows_of(filled) == before
    assert is_partitioned(filled)
    with psycopg.connect(filled) as connection:
        owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE tablename ~ '^workout'"
        assert connection.execute(owners).fetchall() == [("tracker",)]


FIRST_RIDE = "SELECT id FROM workouts ORDER BY id LIMIT 1"


def test_a_ride_that_is_written_to_is_copied_when_that_is_over(filled: str) -> None:
    """It keeps nobody else's waiting, nor its copier the writers of others."""
    next(lines := partition.partition(filled))
    lines.close()  # the locks of its beginning have to wait for writers
    with psycopg.connect(filled) as fold:
        fold.execute("DELETE FROM workout_channels_copy")
        fold.commit()
        fold.execute(f"{FIRST_RIDE} FOR NO KEY UPDATE")
        fold.execute(f"DELETE FROM workout_channels WHERE workout_id = ({FIRST_RIDE}) AND part = 0")
        said = list[str]()
        thread = threading.Thread(target=lambda: said.extend(partition.partition(filled)))
        thread.start()
        copied = "SELECT count(DISTINCT workout_id) = 99 FROM workout_channels_copy"
        with psycopg.connect(filled, autocommit=True) as other:
            eventually(lambda: other.execute(copied).fetchone() == (True,))
            other.execute("SET lock_timeout = 1000")
            other.execute(f"UPDATE workouts SET title = '' WHERE id <> ({FIRST_RIDE})")
        fold.commit()
    thread.join(60)
    assert said[-1] == "workout_channels has 16 partitions"
    assert rows_of(filled)["workout_channels"].rows == 4 * RIDES - 2


def test_a_copy_that_differs_is_put_in_place_of_nothing(filled: str) -> None:
    before, remains = rows_of(filled), remains_of(filled)
    for damage in (
        "UPDATE workout_channels_copy SET data = data || 'x'",
        "INSERT INTO workout_channels_copy SELECT id, 'x', 'x', 1, '', 9 FROM workouts",
    ):
        lines = partition.partition(filled)
        assert [next(lines) for _ in range(10)][-1].startswith("copied 100 %")
        with psycopg.connect(filled) as connection:
            connection.execute(damage.encode())
        with pytest.raises(ProcessFailed, match="make partition ABANDON=1"):
            list(lines)
        assert not is_partitioned(filled)
        assert rows_of(filled) == before
        abandon(filled)
        assert remains_of(filled) == remains == []
    write(filled, 1)  # no trigger is left that would write to no copy
    assert len(list(partition.partition(filled))) > 20


def test_a_copy_of_columns_that_have_changed_is_made_anew(filled: str) -> None:
    """By a migration after it was killed; meanwhile folds go on."""
    next(lines := partition.partition(filled))
    lines.close()
    with psycopg.connect(filled) as connection:
        connection.execute("ALTER TABLE workout_channels ADD COLUMN device text DEFAULT 'none'")
    write(filled, 10)
    before = rows_of(filled)
    assert list(partition.partition(filled))[-1] == "workout_channels has 16 partitions"
    assert rows_of(filled) == before


def test_a_view_of_the_operator_s_is_named(filled: str) -> None:
    with psycopg.connect(filled) as connection:
        connection.execute("CREATE VIEW report AS SELECT count(*) FROM workout_channels")
    with pytest.raises(ProcessFailed, match="view report depends on table workout_channels"):
        list(partition.partition(filled))
    with psycopg.connect(filled) as connection:
        connection.execute("DROP VIEW report")
    assert list(partition.partition(filled))[-1] == "workout_channels has 16 partitions"


def test_settings_of_storage_go_to_the_partitions(filled: str) -> None:
    settings = "autovacuum_vacuum_scale_factor = 0.03, toast.autovacuum_vacuum_threshold = 77"
    with psycopg.connect(filled) as connection:
        connection.execute(f"ALTER TABLE workout_channels SET ({settings})".encode())
    list(partition.partition(filled))
    with psycopg.connect(filled) as connection:
        found = connection.execute(
            """SELECT partition.reloptions, toast.reloptions, attstorage
            FROM pg_class AS partition JOIN pg_class AS toast ON toast.oid = partition.reltoastrelid
            JOIN pg_attribute ON attrelid = partition.oid AND attname = 'data'
            WHERE partition.relispartition"""
        ).fetchall()
    each = (["autovacuum_vacuum_scale_factor=0.03"], ["autovacuum_vacuum_threshold=77"], "e")
    assert found == [each] * 16


def test_a_backup_under_way_sees_one_table_to_its_end(filled: str, tmp_path: Path) -> None:
    """Its manifest counts by a snapshot, for which the partitions would have been empty."""
    with psycopg.connect(filled) as backup:
        backup.isolation_level = IsolationLevel.REPEATABLE_READ
        dump_database(backup, filled, tmp_path / "dump")
        said = list[str]()
        thread = threading.Thread(target=lambda: said.extend(partition.partition(filled)))
        thread.start()
        eventually(lambda: said[-1:] == [f"compared 100 %: {RIDES} of {RIDES} rides"])
        thread.join(1)
        assert thread.is_alive()
        assert count_tables(backup)["workout_channels"].rows == 4 * RIDES
    thread.join(60)
    assert said[-1] == "workout_channels has 16 partitions"


@pytest.mark.parametrize("kind", ["plain", "unfinished", "partitioned"])
def test_backups_of_either_kind_are_restored_over_the_other(
    filled: str, urls: Mapping[str, str], database_url: str, kind: str
) -> None:
    redis = f"{urls['REDIS_URL']}?db=8"
    lines = partition.partition(filled)
    if kind == "unfinished":
        next(lines)
    elif kind == "partitioned":
        list(lines)
    before, backup = rows_of(filled), io.BytesIO()
    made = back_up(filled, redis, backup)
    lines.close()
    assert made.tables["workout_channels"].rows == 4 * RIDES
    assert [name for name in made.tables if "workout_channels_" in name] == []
    with databases.empty_database(database_url, "partition_test_other") as other:
        if kind == "partitioned":
            make_plain(other)
        else:
            migrations.apply(other)
        for target in (other, filled):
            backup.seek(0)
            restore(target, redis, backup)
            assert rows_of(target) == before
            assert is_partitioned(target) == (kind == "partitioned")
            list(partition.partition(target))
            assert rows_of(target) == before
            assert is_partitioned(target)


class Writer(threading.Thread):
    """Writes and deletes parts of rides, as folds do, and rides; knows what must be there."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url, self.ended, self.known = url, threading.Event(), dict[UUID, dict[int, bytes]]()

    def run(self) -> None:
        chance = random.Random(1)
        with psycopg.connect(self.url, autocommit=True) as connection:
            rides = [ride for (ride,) in connection.execute("SELECT id FROM workouts ORDER BY id")]
            while not self.ended.wait(0.002):
                ride, part = chance.choice(rides), chance.randint(0, 3)
                with connection.transaction():
                    connection.execute(LOCK, [ride])
                    self._change(connection, ride, part, chance.randint(0, 9))

    def _change(self, connection: psycopg.Connection, ride: UUID, part: int, what: int) -> None:
        there = self.known.get(ride)
        if there is None:
            connection.execute("DELETE FROM workout_channels WHERE workout_id = %s", [ride])
            there = self.known[ride] = {}
        if what == 0:
            connection.execute("DELETE FROM workouts WHERE id = %s", [ride])
            there.clear()
        elif what < 3:
            part_of = "DELETE FROM workout_channels WHERE workout_id = %s AND part = %s"
            connection.execute(part_of, [ride, part])
            there.pop(part, None)
        elif connection.execute(LOCK, [ride]).fetchone():
            there[part] = secrets.token_bytes(50)
            connection.execute(UPSERT, [ride, part, there[part]])


LOCK = "SELECT id FROM workouts WHERE id = %s FOR NO KEY UPDATE"
UPSERT = """
    INSERT INTO workout_channels (workout_id, part, channel, encoding, samples, data)
    VALUES (%s, %s, 'power', 'pco1', 60, %s)
    ON CONFLICT (workout_id, part, channel) DO UPDATE SET data = excluded.data
"""


def test_killed_attempts_under_writers_lose_nothing_and_go_on(
    filled: str, urls: Mapping[str, str]
) -> None:
    """What is copied is not copied again: most rows are of the transactions they were of."""
    write(filled, 3000)
    writer, copied = Writer(filled), set[tuple[object, ...]]()
    writer.start()
    try:
        for percent in (10, 40, 70):
            attempt(filled, urls, until=f"copied {percent} ")
            with psycopg.connect(filled) as connection:
                query = "SELECT workout_id, part, channel, xmin::text FROM workout_channels_copy"
                found = set(connection.execute(query).fetchall())
            assert len(copied & found) >= len(copied) / 2
            assert len(found - copied) > 1000
            copied = found
            assert not is_partitioned(filled)
        assert attempt(filled, urls, until="never") == "workout_channels has 16 partitions\n"
    finally:
        writer.ended.set()
        writer.join()
    assert is_partitioned(filled)
    assert len(writer.known) > 300
    with psycopg.connect(filled) as connection:
        there = {ride: dict[int, bytes]() for ride in writer.known}
        rows = "SELECT workout_id, part, data FROM workout_channels WHERE workout_id = ANY(%s)"
        for ride, part, data in connection.execute(rows, [list(there)]):
            there[ride][part] = data
        left = connection.execute(
            "SELECT count(*) FROM workout_channels WHERE NOT workout_id = ANY(%s)", [list(there)]
        ).fetchone()
    assert there == writer.known
    assert left == (4 * (RIDES + 3000 - len(there)),)


def attempt(url: str, urls: Mapping[str, str], until: str) -> str:
    """Run `make partition`, and kill it once it says so; the last line."""
    command = [sys.executable, "-m", "ops", "partition"]
    environ = {**os.environ, **urls, "DATABASE_URL": url, "PYTHONUNBUFFERED": "1"}
    line = ""
    with subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout or ():
            if line.startswith(until):
                process.kill()
                break
    return line
