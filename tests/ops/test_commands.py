"""The commands behind make."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.credentials import key_id_of
from tests.conftest import ROOT, kept_servers, run_ops


def test_commands_share_one_database_from_migration_to_reset(data_dir: Path) -> None:
    early = run_ops("user", data_dir=data_dir, EMAIL="me@example.com")
    assert early.returncode != 0
    assert "make migrate" in early.stderr
    assert "applied 0001" in run_ops("migrate", data_dir=data_dir).stdout
    assert "missing" not in run_ops("migrate-status", data_dir=data_dir).stdout
    with kept_servers(data_dir):
        first = run_ops("user", data_dir=data_dir, EMAIL="me@example.com")
        again = run_ops("user", data_dir=data_dir, EMAIL="Me@Example.com")
        assert key_id_of(first.stdout.strip())
        assert first.stdout != again.stdout
        assert "exists" not in first.stderr
        assert "exists already; this is a further key" in again.stderr
        keys = run_ops("keys", data_dir=data_dir, EMAIL="me@example.com").stdout.splitlines()
        ids = {line.split()[0] for line in keys}
        assert ids == {key_id_of(made.stdout.strip()) for made in (first, again)}
        assert all("upload,read,admin, never used" in line for line in keys)
        pointless = run_ops("invite", data_dir=data_dir)
        assert "REGISTRATION is open: nobody needs a code" in pointless.stderr
        invited = run_ops("invite", data_dir=data_dir, REGISTRATION="invite", DAYS="3")
        assert invited.stderr.startswith("makes one account, until ")
        log = (data_dir / "logs" / "postgres.log").read_text()
        assert [line for line in log.splitlines() if "ERROR" in line and "yoyo_tmp" in line] == []
        counted = run_ops("psql", "--", "-Atc", "SELECT count(*) FROM users", data_dir=data_dir)
        assert counted.stdout.strip() == "1"
        parts = (
            "INSERT INTO workouts (user_id) SELECT id FROM users;"
            "INSERT INTO workout_channels (workout_id, part, channel, encoding, samples, data)"
            " SELECT id, part, 'power', 'pco1', 1, '' FROM workouts, generate_series(1, 2) AS part"
        )
        assert run_ops("psql", "--", "-c", parts, data_dir=data_dir).returncode == 0
    assert run_ops("reset-db", "--yes", data_dir=data_dir).returncode == 0
    counted = run_ops("psql", "--", "-Atc", "SELECT count(*) FROM users", data_dir=data_dir)
    assert counted.stdout.strip() == "0"


def test_the_redis_prompt_answers_in_the_server_s_words(urls: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ops", "redis-cli"],
        cwd=ROOT,
        env={**os.environ, **urls},
        input="PING\nCONFIG GET maxmemory-policy\n",
        capture_output=True,
        text=True,
    )
    assert done.stdout == "PONG\nmaxmemory-policy\nnoeviction\n", done.stderr


def test_a_missing_package_costs_one_line() -> None:
    script = "import sys, runpy; sys.modules['click'] = None; "
    script += "runpy.run_module('ops', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "make clean setup" in done.stderr


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("user", "say EMAIL=… (the user's address)"),
        ("keys", "say EMAIL=… (the user's address)"),
        ("revoke", "say KEY=… (its id, or the whole key)"),
        ("restore", "say FILE=… (which; - for standard input)"),
        ("migration", "say NAME=… (what it does: add_laps)"),
    ],
)
def test_what_is_missing_is_named_as_make_takes_it(data_dir: Path, command: str, said: str) -> None:
    done = run_ops(command, data_dir=data_dir)
    assert (done.returncode, done.stderr) == (2, said + "\n")


def test_a_folder_that_cannot_be_used_costs_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    done = run_ops("users", data_dir=tmp_path / "data")
    assert done.returncode == 1
    assert done.stderr == f"failed: cannot use {tmp_path / 'data'}: File exists\n"


def test_without_compose_make_up_says_what_is_needed(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\necho "unknown flag: $2" >&2\nexit 1\n')
    docker.chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["make", "up"], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.returncode != 0
    assert "this needs a Docker engine with Compose v2" in done.stdout
    assert "unknown flag" not in done.stderr


def test_an_address_that_is_none_is_refused(data_dir: Path) -> None:
    done = run_ops("user", data_dir=data_dir, EMAIL="nobody")
    assert done.returncode != 0
    assert "no email address" in done.stderr


def test_nothing_is_reset_without_being_asked_twice(data_dir: Path) -> None:
    done = run_ops("reset-db", data_dir=data_dir)
    assert done.returncode != 0
    assert "deletes every user" in done.stdout
