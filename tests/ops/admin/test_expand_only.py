"""Migrations only add, for as long as the version before them may still run."""

import os
import subprocess
from pathlib import Path

import pytest

from ops.admin.expand_only import complaints
from ops.admin.migrations import FOLDER
from ops.admin.previous import migrations_since, read_previous
from tests.conftest import ROOT


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else ""


def require_history() -> None:
    """Skip without git's history; on CI, where all is tested, fail."""
    if not git("cat-file", "-t", read_previous().commit):
        lack = pytest.fail if os.environ.get("CI") else pytest.skip
        lack("the commit of migrations/PREVIOUS is not here: clone with the whole history")


def test_what_is_newer_than_the_version_before_only_adds() -> None:
    newer = migrations_since(read_previous())
    assert [(path.stem, told) for path in newer for told in complaints(path.read_text())] == []


def test_the_recorded_version_is_part_of_the_history_and_has_the_recorded_migration() -> None:
    require_history()
    commit, migration = read_previous()
    assert git("merge-base", commit, "HEAD").strip() == commit
    names = git("ls-tree", "--name-only", commit, "migrations/").split()
    assert max(Path(name).stem for name in names if ".rollback" not in name) == migration
    assert (FOLDER / f"{migration}.sql").exists()


def test_a_release_records_itself() -> None:
    """The newest tag is what runs out there."""
    require_history()
    newest = git("describe", "--tags", "--abbrev=0", "HEAD^").strip()
    if newest:
        assert git("rev-list", "-1", newest).strip() == read_previous().commit


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("DROP TABLE laps", "may use it"),
        ("ALTER TABLE workouts DROP COLUMN IF EXISTS title", "may use it"),
        ("DROP VIEW visible_workouts", "may use it"),
        ("ALTER TABLE workouts RENAME COLUMN title TO name", "may use it"),
        ("ALTER TABLE workouts ALTER COLUMN duration TYPE bigint", "rewrites"),
        ("ALTER TABLE workouts ALTER COLUMN title SET NOT NULL", "may write null"),
        ("ALTER TABLE workouts ADD COLUMN laps int NOT NULL", "writes no such column"),
        ("ALTER TABLE workouts ADD COLUMN a uuid DEFAULT gen_random_uuid()", "rewrites"),
        ("ALTER TABLE workouts ADD COLUMN a int GENERATED ALWAYS AS (1) STORED", "rewrites"),
        ("ALTER TABLE workouts ADD CONSTRAINT a CHECK (duration > 0)", "NOT VALID"),
        ("ALTER TABLE workouts ADD CONSTRAINT a UNIQUE (title)", "build it before"),
        ("CREATE INDEX IF NOT EXISTS a ON workouts (title)", "CONCURRENTLY"),
        ("ALTER TABLE workouts VALIDATE CONSTRAINT a", "apart from others"),
        ("LOCK TABLE workouts", "keeps everybody else out"),
        ("update workouts set title = ''", "in portions"),
    ],
)
def test_what_would_hurt_the_version_before_is_told(statement: str, complaint: str) -> None:
    (told,) = complaints(f"-- depends: 0001\n-- A title.\n{statement};\n")
    assert complaint in told


@pytest.mark.parametrize(
    "migration",
    [
        "ALTER TABLE workouts ADD COLUMN IF NOT EXISTS laps jsonb NOT NULL DEFAULT '[]'",
        "ALTER TABLE workouts ADD COLUMN a timestamptz DEFAULT now()",
        "ALTER TABLE workouts ADD CONSTRAINT a CHECK (duration > 0) NOT VALID",
        "-- transactional: false\nALTER TABLE workouts VALIDATE CONSTRAINT a",
        "-- transactional: false\nCREATE INDEX CONCURRENTLY a ON workouts (title)",
        "CREATE TABLE IF NOT EXISTS laps (id int); CREATE INDEX a ON laps (id)",
        "CREATE OR REPLACE VIEW visible_workouts AS SELECT 'DROP TABLE a; LOCK'",
        "-- We do not DROP TABLE laps here.\nSELECT 1",
        "-- expand-only: nobody has read it since the version before\nDROP TABLE laps",
    ],
)
def test_what_the_version_before_does_not_notice_passes(migration: str) -> None:
    assert list(complaints(migration)) == []
