"""A database that is lost comes back as it was at a named moment."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from ops.backups.base import bases_in, take_base
from ops.commands import main
from ops.embedded.postgres import superuser_url
from ops.embedded.servers import embedded_servers
from shared.sql import load_queries
from tests.ops.backups.words import words, write


@pytest.fixture
def archive(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where WAL is archived, in a folder whose name a shell would take apart."""
    folder = data_dir.parent / "100% a'b c"
    monkeypatch.setenv("WAL_ARCHIVE", str(folder))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    return folder


def restore_to(data_dir: Path, moment: datetime | str) -> Result:
    arguments = ["--data-dir", str(data_dir), "restore-to", "--time", str(moment)]
    return CliRunner().invoke(main, arguments)


def name_of_changes(url: str) -> str:
    """By which a cursor of changes is known to be of this database."""
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TEMPORARY TABLE changes ()")  # the cluster has no schema
        row = connection.execute(load_queries("changes")["get_log"]).fetchone()
    assert row is not None
    system, _, timeline = str(row[0]).split(".")  # without the number of this table
    return f"{system}.{timeline}"


def test_a_lost_database_comes_back_as_it_was_at_a_named_moment(
    data_dir: Path, archive: Path
) -> None:
    with embedded_servers(data_dir) as urls:
        url = urls["DATABASE_URL"]
        early = write(url, "early")
        base = take_base(url, archive)
        good = write(url, "good")
        write(url, "bad")
        before = name_of_changes(url)
        assert name_of_changes(url) == before
        busy = restore_to(data_dir, good)
        assert "are running: stop `make run`" in str(busy.exception)
    home = (data_dir / "postgres").resolve()
    shutil.rmtree(home / "cluster")

    done = restore_to(data_dir, good.astimezone(UTC).replace(tzinfo=None))
    assert done.exception is None, done.output
    with embedded_servers(data_dir) as urls:
        url = urls["DATABASE_URL"]
        assert words(url) == {"early", "good"}
        assert name_of_changes(url) != before  # so that no cursor leads past what came since
        first = "000000010000000000000001.gz"
        assert (archive / "wal" / first).exists()
        newer = take_base(url, archive, keep=1)
        assert bases_in(archive) == [newer] != [base]
        assert not (archive / "wal" / first).exists()
        (archive / "wal").rename(archive / "aside")
        write(url, "last")
        with psycopg.connect(superuser_url(url), autocommit=True) as connection:
            connection.execute("SELECT pg_switch_wal()")

    # As it was at the end: what its WAL has is all there, archived or not; and so the next time.
    (archive / "aside").rename(archive / "wal")
    for _ in range(2):
        shutil.rmtree(home / "cluster" / "base")
        done = restore_to(data_dir, "latest")
        assert "as it was at the end of its WAL" in done.output
    with embedded_servers(data_dir) as urls:
        assert words(urls["DATABASE_URL"]) == {"early", "good", "last"}
        with psycopg.connect(urls["DATABASE_URL"]) as connection:
            connection.execute("DROP TABLE words")

    # The cluster is there this time, and is moved aside; what it had archived is of a new timeline.
    too_early = restore_to(data_dir, early)
    assert "has no base backup of before" in str(too_early.exception)
    never = restore_to(data_dir, "2999-01-01")
    assert "ended before configured recovery target" in str(never.exception)
    (newer / "base.tar.gz").write_bytes((newer / "base.tar.gz").read_bytes()[:-1000])
    damaged = restore_to(data_dir, "2999-01-01")
    assert f"{newer} is damaged" in str(damaged.exception)
    with embedded_servers(data_dir) as urls, psycopg.connect(urls["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT to_regclass('words')").fetchone() == (None,)


@pytest.mark.usefixtures("archive")
def test_what_is_no_time_is_told(data_dir: Path) -> None:
    assert "is no time: 2026-05-01 12:00" in restore_to(data_dir, "noon").output
