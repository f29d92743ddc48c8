"""Which of PostgreSQL's programs is taken, by version."""

from pathlib import Path

import pytest

from ops.backups.programs import find_dumper, find_program, reaching, version_of
from ops.processes import ProcessFailed


def test_the_embedded_programs_are_taken_first() -> None:
    assert "pginstall" in find_program("psql")
    assert version_of(find_program("pg_dump")) == 18
    assert find_dumper(15) == find_program("pg_dump")


def test_a_newer_server_is_dumped_by_a_newer_program_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = tmp_path / "pg_dump"
    newer.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 19.1 (Debian 19.1-1)'\n")
    newer.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert find_dumper(19) == str(newer)
    with pytest.raises(ProcessFailed, match=r"PostgreSQL 20 needs .* the newest here is 19"):
        find_dumper(20)


def test_a_password_is_no_argument_which_everybody_sees() -> None:
    database, environ = reaching("postgresql://rider:s%40fe@db.example:5433/rides?sslmode=require")
    assert "fe" not in database
    assert environ["PGPASSWORD"] == "s@fe"
    assert "host=db.example" in database
    assert "port=5433" in database
    assert "sslmode=require" in database
