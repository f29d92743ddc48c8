"""A version of before, as it was committed."""

import subprocess
from pathlib import Path

from tests.conftest import ROOT

_PARTS = ["api", "worker", "shared", "migrations", "ops"]


def check_out(commit: str, folder: Path) -> None:
    """What its processes need, unpacked into the folder."""
    command = ["git", "archive", commit, *_PARTS]
    archive = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)


def has(commit: str, path: str) -> bool:
    """Whether it is known here, and has that file."""
    command = ["git", "cat-file", "-e", f"{commit}:{path}"]
    return not subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode
