"""`make upgrade` where the stack is up, by a docker that only says what it was told."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

NOTED = '#!/bin/sh\necho "${0##*/} $@" >> "$LOG"\ncase "$*" in $FAILS) exit 1 ;; esac\n'


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    for name in ("docker", "compose"):
        (tmp_path / name).write_text(NOTED)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def upgrade(programs: Path, fails: str = "nothing") -> tuple[int, list[str]]:
    """How it ended, and what was run."""
    log = programs / "log"
    environ = {
        "PATH": "/usr/bin:/bin",
        "LOG": str(log),
        "FAILS": fails,
        "DOCKER": str(programs / "docker"),
        "COMPOSE": str(programs / "compose"),
    }
    command = [sys.executable, "-m", "ops.server.stack", "upgrade"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True)
    return done.returncode, log.read_text().splitlines()


UP = "compose up --detach --wait --no-build"
IMAGES = ["bike-power-tracker", "bike-power-tracker-ops", "bike-power-tracker-pgbouncer"]


def test_the_stack_is_built_migrated_and_replaced_service_by_service(programs: Path) -> None:
    one = "compose up --detach --wait --no-deps --no-build"
    assert upgrade(programs) == (
        0,
        [
            *(f"docker tag {image} {image}:before" for image in IMAGES),
            "compose build",
            "compose run --rm --no-deps migrate python -m ops migrate --all-or-none",
            f"{one} worker",
            f"{one} api",
            UP,
        ],
    )


@pytest.mark.parametrize(
    "fails", ["run*migrate*", "*no-build api", "up --detach --wait --no-build"]
)
def test_what_fails_brings_the_images_of_before_back(programs: Path, fails: str) -> None:
    code, run = upgrade(programs, fails)
    assert code == 1
    assert run[-4:] == [*(f"docker tag {image}:before {image}" for image in IMAGES), UP]
