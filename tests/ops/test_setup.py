"""ops/setup.py: .venv from a lock file, here from one that names no packages."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "ops").mkdir()
    shutil.copy(ROOT / "ops" / "setup.py", tmp_path / "ops")
    (tmp_path / "requirements").mkdir()
    for name in ("embedded", "dev"):
        (tmp_path / "requirements" / f"{name}.txt").write_text(f"# {name}\n")
    return tmp_path


def start(checkout: Path, wanted: str) -> subprocess.Popen[str]:
    """As on Debian without python3-venv, which takes a tenth of the time."""
    script = "import runpy, sys; sys.modules['ensurepip'] = None; "
    script += "runpy.run_path('ops/setup.py', run_name='__main__')"
    return subprocess.Popen(
        [sys.executable, "-c", script, wanted],
        cwd=checkout,
        env={**os.environ, "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def set_up(checkout: Path, wanted: str) -> list[str]:
    """What it said that it did."""
    process = start(checkout, wanted)
    said, complaint = process.communicate()
    assert process.returncode == 0, complaint
    return said.split(" …\n")[:-1]


def test_what_is_installed_is_installed_once_until_its_lock_file_changes(checkout: Path) -> None:
    assert set_up(checkout, "embedded") == ["Creating .venv", "Installing packages"]
    assert set_up(checkout, "embedded") == []
    assert set_up(checkout, "dev") == ["Installing packages"]
    assert set_up(checkout, "embedded") == []  # dev contains it
    assert (checkout / ".venv.lock").stat().st_mode & 0o077 == 0  # nobody else may hold it
    (checkout / "requirements" / "dev.txt").write_text("# another\n")
    assert set_up(checkout, "dev") == ["Installing packages"]


def test_a_virtual_environment_has_a_pip_of_its_own_where_python_brings_one(
    checkout: Path,
) -> None:
    subprocess.run([sys.executable, "ops/setup.py", "embedded"], cwd=checkout, check=True)
    assert list(checkout.glob(".venv/lib/*/site-packages/pip"))


def test_a_set_up_that_was_broken_off_starts_anew(checkout: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").symlink_to(sys.executable)
    assert set_up(checkout, "embedded") == ["Creating .venv", "Installing packages"]


def test_a_python_that_was_replaced_gets_packages_of_its_own(checkout: Path) -> None:
    set_up(checkout, "embedded")
    python = checkout / ".venv" / "bin" / "python"
    python.unlink()
    python.write_text("#!/bin/sh\necho '(3, 99)'\n")
    python.chmod(0o755)
    assert set_up(checkout, "embedded") == ["Creating .venv", "Installing packages"]
    python.unlink()
    assert set_up(checkout, "embedded") == ["Creating .venv", "Installing packages"]


def test_two_at_once_install_once(checkout: Path) -> None:
    both = [start(checkout, "embedded") for _ in range(2)]
    said = [process.communicate()[0].split(" …\n")[:-1] for process in both]
    assert sorted(said) == [[], ["Creating .venv", "Installing packages"]]


def test_a_package_that_cannot_be_had_costs_one_line(checkout: Path) -> None:
    set_up(checkout, "embedded")
    lock = checkout / "requirements" / "embedded.txt"
    before = lock.read_text()
    lock.write_text(f"no-such-package==1 --hash=sha256:{'0' * 64}\n")
    process = start(checkout, "embedded")
    _, complaint = process.communicate()
    assert process.returncode == 1
    assert len(complaint.splitlines()) == 1
    assert "No matching distribution found for no-such-package==1" in complaint
    assert "It takes a network" in complaint
    lock.write_text(before)  # but who knows what .venv has by now
    assert set_up(checkout, "embedded") == ["Creating .venv", "Installing packages"]


def test_a_folder_that_cannot_be_written_costs_one_line(checkout: Path) -> None:
    (checkout / ".venv.lock").mkdir()
    process = start(checkout, "embedded")
    _, complaint = process.communicate()
    assert process.returncode == 1
    assert complaint.startswith("cannot set up .venv: ")
    assert ".venv.lock" in complaint
    assert len(complaint.splitlines()) == 1


def test_an_old_python_is_told_which_one_is_needed() -> None:
    """Whatever it cannot parse or import would come before the message."""
    script = "import sys; sys.version_info = (3, 8, 1); sys.argv = ['setup.py', 'dev']; "
    script += "import runpy; runpy.run_path('ops/setup.py', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "Python 3.11 or later is needed: make PYTHON=python3.x …\n"


def test_a_linked_environment_of_somebody_else_is_left_alone(checkout: Path) -> None:
    """``venv --clear`` empties what the link leads to."""
    theirs = checkout / "theirs"
    theirs.mkdir()
    (theirs / "kept").touch()
    (checkout / ".venv").symlink_to(theirs)
    process = start(checkout, "dev")
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert ".venv is a link to" in error
    assert (theirs / "kept").exists()
