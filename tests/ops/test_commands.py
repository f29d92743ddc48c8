"""The commands behind make."""

import os
import subprocess
import sys
from pathlib import Path

from shared.credentials import key_id_of
from tests.conftest import ROOT, run_ops


def test_commands_share_one_database_from_migration_to_reset(data_dir: Path) -> None:
    early = run_ops("user", data_dir=data_dir, EMAIL="me@example.com")
    assert early.returncode != 0
    assert "make migrate" in early.stderr
    assert "applied 0001" in run_ops("migrate", data_dir=data_dir).stdout
    assert "missing" not in run_ops("migrate-status", data_dir=data_dir).stdout
    first = run_ops("user", data_dir=data_dir, EMAIL="me@example.com")
    again = run_ops("user", data_dir=data_dir, EMAIL="Me@Example.com")
    assert key_id_of(first.stdout.strip())
    assert first.stdout != again.stdout
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


def test_an_address_that_is_none_is_refused(data_dir: Path) -> None:
    done = run_ops("user", data_dir=data_dir, EMAIL="nobody")
    assert done.returncode != 0
    assert "no email address" in done.stderr


def test_nothing_is_reset_without_being_asked_twice(data_dir: Path) -> None:
    done = run_ops("reset-db", data_dir=data_dir)
    assert done.returncode != 0
    assert "deletes every user" in done.stdout
