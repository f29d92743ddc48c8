"""The commands of backups, and the drill that restores one beside the database."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from click.testing import CliRunner, Result

from ops.admin import migrations
from ops.admin.accounts import create_account
from ops.backups.drill import drill
from ops.backups.folder import backups_in
from ops.commands import main
from ops.embedded.postgres import superuser_url
from ops.embedded.servers import embedded_servers
from ops.processes import ProcessFailed
from shared.connections import Database, open_database, open_redis
from shared.settings import read_settings
from tests.conftest import reachable_folder
from tests.ops.backups.test_restore import add_batch
from worker.jobs.fold import fold


@dataclass(frozen=True)
class Riding:
    """Servers with a finished ride of 100 s at 250 W, and one batch of another that waits."""

    urls: dict[str, str]
    database: Database
    ride: UUID

    def execute(self, statement: str, *values: object) -> None:
        with self.database.connection() as connection:
            connection.execute(statement.encode(), values)

    def databases(self) -> set[str]:
        with psycopg.connect(self.urls["DATABASE_URL"]) as connection:
            return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}

    def ops(self, command: str, folder: Path, **variables: str) -> Result:
        """Run a command in this process; a backup goes to the folder."""
        environ = {**self.urls, "BACKUP_DIR": str(folder), **variables}
        return CliRunner().invoke(main, ["--data-dir", str(folder / "data"), command], env=environ)


@pytest.fixture(scope="module")
def riding() -> Iterator[Riding]:
    with reachable_folder() as folder, embedded_servers(folder) as urls:
        migrations.apply(urls["DATABASE_URL"])
        settings = read_settings(urls)
        with open_database(settings) as database, open_redis(settings) as client:
            account = create_account(urls["DATABASE_URL"], "rider@example.com", "test")
            rides = list[UUID]()
            with database.connection() as connection:
                for status in ("PROCESSING", "ACTIVE"):
                    row = connection.execute(
                        "INSERT INTO workouts (user_id, status, completed_at)"
                        " VALUES (%s, %s, now()) RETURNING id",
                        [account.user_id, status],
                    ).fetchone()
                    assert row is not None
                    rides.append(row["id"])
            add_batch(client, rides[0], 0, 100)
            fold(database, client, rides[0])
            add_batch(client, rides[1], 0, 60)
            yield Riding(urls, database, rides[0])


def test_a_backup_is_taken_kept_and_drilled_by_its_commands(riding: Riding, tmp_path: Path) -> None:
    for _ in range(2):
        done = riding.ops("backup", tmp_path, KEEP="1")
    (newest,) = backups_in(tmp_path)
    assert done.output == f"wrote {newest}\n"
    assert newest.stat().st_mode & 0o777 == 0o600
    before = riding.databases()
    done = riding.ops("restore-drill", tmp_path)
    assert "1 batches waiting, 1 rides computed anew\nall of it is the same\n" in done.output
    assert (done.exit_code, riding.databases()) == (0, before)

    damaged = bytearray(newest.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    newest.write_bytes(damaged)
    for command in ("restore-drill", "restore"):
        done = riding.ops(command, tmp_path, FILE=str(newest), FORCE="1")
        assert "is damaged" in str(done.exception)


def test_a_database_with_rides_is_replaced_only_by_force(riding: Riding, tmp_path: Path) -> None:
    backup = back_up(riding, tmp_path)
    refused = riding.ops("restore", tmp_path, FILE=str(backup))
    assert str(refused.exception) == "the database has 2 rides: say FORCE=1 to replace them"
    riding.execute("UPDATE workouts SET title = 'after the backup'")
    done = riding.ops("restore", tmp_path, FILE=str(backup), FORCE="1")
    assert done.output == f"restored {backup}; 1 batches wait to be folded\n"
    with riding.database.connection() as connection:
        titles = connection.execute("SELECT DISTINCT title FROM workouts").fetchall()
    assert titles == [{"title": None}]


def test_without_a_backup_the_drill_says_how_to_make_one(riding: Riding, tmp_path: Path) -> None:
    done = riding.ops("restore-drill", tmp_path)
    assert str(done.exception) == f"there is no backup in {tmp_path}: run `make backup`"


def back_up(riding: Riding, folder: Path) -> Path:
    path = folder / "a.backup"
    done = riding.ops("backup", folder, FILE=str(path))
    assert done.exit_code == 0, done.exception
    return path


def test_figures_that_their_samples_do_not_give_are_told(riding: Riding, tmp_path: Path) -> None:
    lie = "UPDATE workouts SET summary = jsonb_set(summary, '{avgPower}', %s) WHERE id = %s"
    riding.execute(lie, "251", riding.ride)
    backup = back_up(riding, tmp_path)
    riding.execute(lie, "250", riding.ride)
    with backup.open("rb") as source:
        found = drill(riding.urls["DATABASE_URL"], riding.urls["REDIS_URL"], source)
    assert found.wrong == [f"ride {riding.ride}: avgPower is 251, and computed anew 250"]


def test_a_role_that_may_not_create_databases_is_told_what_it_needs(
    riding: Riding, tmp_path: Path
) -> None:
    backup, superuser = back_up(riding, tmp_path), superuser_url(riding.urls["DATABASE_URL"])
    try:
        with psycopg.connect(superuser) as connection:
            connection.execute("ALTER ROLE tracker NOCREATEDB")
        with (
            backup.open("rb") as source,
            pytest.raises(ProcessFailed, match="ALTER ROLE … CREATEDB"),
        ):
            drill(riding.urls["DATABASE_URL"], riding.urls["REDIS_URL"], source)
    finally:
        with psycopg.connect(superuser) as connection:
            connection.execute("ALTER ROLE tracker CREATEDB")
