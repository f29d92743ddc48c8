"""Migrations: all the way up, all the way down, and up again; from many places at once."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from ops.admin import migrations
from shared.sports import sport_family
from tests.conftest import ROOT
from tests.ops import databases
from tests.ops.let_in import LET_IN, let_in
from tests.shared.test_sports import NAMES

ALL = sorted(path.stem for path in migrations.FOLDER.glob("*.sql") if ".rollback" not in path.name)


@pytest.fixture
def empty_database(database_url: str) -> Iterator[str]:
    """A database of its own, on the server of the tests."""
    with databases.empty_database(database_url, "migrations_test") as url:
        yield url


def schema_of(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Every table, column, index and type that is not the server's or yoyo's own."""
    queries = {
        "columns": """
            SELECT table_name, column_name, data_type, is_nullable, generation_expression
            FROM information_schema.columns
            WHERE table_schema = 'public' AND table_name NOT LIKE '%yoyo%' ORDER BY 1, 2""",
        "indexes": """
            SELECT indexname, indexdef FROM pg_indexes
            WHERE schemaname = 'public' AND tablename NOT LIKE '%yoyo%' ORDER BY 1""",
        "types": """
            SELECT typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
            WHERE nspname = 'public' AND typtype = 'e' ORDER BY 1""",
    }
    with psycopg.connect(url) as connection:
        return {name: connection.execute(query).fetchall() for name, query in queries.items()}


def test_up_down_and_up_again_ends_where_it_was(empty_database: str) -> None:
    nothing = schema_of(empty_database)
    assert migrations.apply(empty_database) == ALL
    everything = schema_of(empty_database)
    assert migrations.roll_back(empty_database, everything=True) == ALL[::-1]
    assert schema_of(empty_database) == nothing
    assert migrations.apply(empty_database) == ALL
    assert schema_of(empty_database) == everything != nothing


def test_without_coaches_and_apps_no_key_of_an_app_opens_and_the_rider_s_own_does(
    empty_database: str,
) -> None:
    migrations.apply(empty_database)
    let_in(empty_database)
    while "0044_webhooks" not in migrations.roll_back(empty_database):
        pass
    with psycopg.connect(empty_database) as connection:
        keys = connection.execute("SELECT name, count(*) FROM open_keys GROUP BY name").fetchall()
    assert keys == [("test", 2)]
    migrations.apply(empty_database)
    with psycopg.connect(empty_database) as connection:
        assert connection.execute(LET_IN).fetchone() == (0, 0, 0, 0, 0)


def test_applying_twice_changes_nothing(empty_database: str) -> None:
    migrations.apply(empty_database)
    assert migrations.apply(empty_database) == []


def test_a_rollback_takes_the_newest_one_only(empty_database: str) -> None:
    migrations.apply(empty_database)
    assert migrations.roll_back(empty_database) == ALL[-1:]
    assert migrations.status(empty_database) == [(each, each != ALL[-1]) for each in ALL]


def test_of_five_migrators_at_once_one_applies(empty_database: str) -> None:
    command = "import sys; from ops.admin import migrations; print(migrations.apply(sys.argv[1]))"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", command, empty_database],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for _ in range(5)
    ]
    answers = sorted(racer.communicate()[0].strip() for racer in racers)
    assert answers == sorted([str(ALL)] + ["[]"] * 4)


def test_a_killed_migrator_does_not_block_the_next(empty_database: str) -> None:
    """yoyo marks its lock in a row, which outlives the process that wrote it."""
    migrations.apply(empty_database)
    migrations.roll_back(empty_database)
    with psycopg.connect(empty_database) as connection:
        connection.execute("INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, now(), 999999)")
    assert migrations.apply(empty_database) == ALL[-1:]


def test_a_migration_that_waits_for_a_lock_lets_others_go_on(
    empty_database: str, tmp_path: Path
) -> None:
    """Whoever asks for a lock behind one that waits would wait, too: riders who only read."""
    (tmp_path / "0001_rides.sql").write_text("CREATE TABLE IF NOT EXISTS rides (id int)")
    migrations.apply(empty_database, tmp_path)
    (tmp_path / "0002_laps.sql").write_text(
        "-- depends: 0001_rides\nALTER TABLE rides ADD COLUMN IF NOT EXISTS laps int"
    )
    waits = list[float]()
    with psycopg.connect(empty_database) as report, psycopg.connect(empty_database) as rider:
        report.execute("SELECT FROM rides")

        def wait(seconds: float) -> None:
            rider.execute("SET lock_timeout = 1000")
            rider.execute("SELECT FROM rides")
            rider.rollback()
            if len(waits) == 1:
                report.rollback()
            waits.append(seconds)

        assert migrations.apply(empty_database, tmp_path, wait) == ["0002_laps"]
    assert len(waits) == 2


def test_a_half_marked_migration_heals(empty_database: str) -> None:
    """yoyo marks in a transaction of its own: a crash between leaves tables without the mark."""
    migrations.apply(empty_database)
    with psycopg.connect(empty_database) as connection:
        connection.execute("DELETE FROM _yoyo_migration WHERE migration_id = %s", [ALL[-1]])
    assert migrations.apply(empty_database) == ALL[-1:]


def test_rides_there_before_are_searched_by_their_words_and_still_the_old_way(
    empty_database: str,
) -> None:
    """More of them than are changed at a time; processes of before ask for `search`."""
    migrations.apply(empty_database)
    while migrations.roll_back(empty_database) != ["0021_search_words"]:
        pass
    with psycopg.connect(empty_database) as connection:
        connection.execute("INSERT INTO users (email) VALUES ('rider@example.com')")
        connection.execute(
            "INSERT INTO workouts (user_id, title) SELECT users.id, 'home/work ' || n"
            " FROM users, generate_series(1, 1201) AS n"
        )
    migrations.apply(empty_database)
    with psycopg.connect(empty_database) as connection:
        found = connection.execute(
            "SELECT count(*) FILTER (WHERE words @@ search_query('work')),"
            " count(*) FILTER (WHERE words @@ search_query('1201')),"
            " count(*) FILTER (WHERE search @@ websearch_to_tsquery('simple', '1201'))"
            " FROM workouts"
        ).fetchone()
    assert found == (1201, 1, 1)


def test_a_new_migration_comes_with_its_way_back(tmp_path: Path) -> None:
    first = migrations.create("Add laps", tmp_path)
    assert [path.name for path in first] == ["0001_add_laps.sql", "0001_add_laps.rollback.sql"]
    second = migrations.create("colours", tmp_path)[0]
    assert second.name == "0002_colours.sql"
    assert second.read_text() == "-- depends: 0001_add_laps\n"


def test_a_nan_can_never_be_a_record(urls: Mapping[str, str]) -> None:
    with psycopg.connect(urls["DATABASE_URL"]) as connection:
        user = connection.execute(
            "INSERT INTO users (email) VALUES ('nan@example.com') RETURNING id"
        ).fetchone()
        workout = connection.execute(
            "INSERT INTO workouts (user_id) VALUES (%s) RETURNING id", user
        ).fetchone()
        assert user
        assert workout
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(
                "INSERT INTO sport_records VALUES (%s, 'cycling', 'power', 60, 'NaN', %s, now())",
                [user[0], workout[0]],
            )
        connection.rollback()


# As the version before wrote them.
BEST = """
    INSERT INTO workout_bests (workout_id, user_id, metric, duration, value, started_at)
    VALUES (%s, %s, 'power', 60, %s, now())"""
RECORD = """
    INSERT INTO personal_records (user_id, metric, duration, value, workout_id, started_at)
    VALUES (%s, 'power', 60, %s, %s, now())
    ON CONFLICT (user_id, metric, duration) DO UPDATE SET value = excluded.value"""
CURVE = """
    INSERT INTO workout_curves (workout_id, user_id, ridden_at, durations, watts)
    VALUES (%s, %s, now(), '{1}', '{200}')"""
THRESHOLD = """
    INSERT INTO athlete_thresholds (user_id, effective_from, ftp) VALUES (%s, '2026-01-01', %s)
    ON CONFLICT (user_id, effective_from) DO UPDATE SET ftp = excluded.ftp"""


def write_as_before(connection: psycopg.Connection[tuple[object, ...]], sport: str) -> object:
    """A user with one ride of that sport, 100 W and more; the user's id."""
    user = connection.execute(
        "INSERT INTO users (email) VALUES (gen_random_uuid() || '@example.com') RETURNING id"
    )
    (user_id,) = user.fetchone() or ()
    ride = connection.execute(
        "INSERT INTO workouts (user_id, sport) VALUES (%s, %s) RETURNING id", [user_id, sport]
    )
    (workout_id,) = ride.fetchone() or ()
    connection.execute(BEST, [workout_id, user_id, 200])
    connection.execute(CURVE, [workout_id, user_id])
    for _ in range(2):
        connection.execute(RECORD, [user_id, 200, workout_id])
        connection.execute(THRESHOLD, [user_id, 250])
    return user_id


def test_rides_of_before_are_of_their_sport_and_the_version_before_goes_on(
    empty_database: str,
) -> None:
    migrations.apply(empty_database)
    while "0019_sports" not in migrations.roll_back(empty_database):
        pass
    names = [name for row in NAMES.values() for name in row.split()] + ["polo"]
    with psycopg.connect(empty_database) as connection:
        before = {write_as_before(connection, name): sport_family(name) for name in names}
    migrations.apply(empty_database)
    with psycopg.connect(empty_database) as connection:
        for table in ("workout_bests", "workout_curves", "sport_records"):
            query = sql.SQL("SELECT user_id, sport FROM {}").format(sql.Identifier(table))
            assert dict(connection.execute(query).fetchall()) == before
        held = connection.execute("SELECT sport, ftp FROM dated_thresholds").fetchall()
        assert held == [("cycling", 250)] * len(names)
        write_as_before(connection, "by the version before")
    while "0019_sports" not in migrations.roll_back(empty_database):
        pass
    with psycopg.connect(empty_database) as connection:
        held = connection.execute("SELECT value FROM personal_records").fetchall()
    assert held == [(200,)] * (len(names) + 1)
