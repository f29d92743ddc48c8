"""A disk that is full: a small one in memory, which only the command that is run sees."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_FILL = 'mount -t tmpfs -o size=1m none "$0" && head -c 1m /dev/zero >"$0/filler"; exec "$@"'


def on_full_disk(folder: Path) -> list[str]:
    """What to put before a command, so that the folder is on such a disk."""
    folder.mkdir(exist_ok=True)
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", "--mount", *as_root, "sh", "-c", _FILL, str(folder)]
    is_possible = (
        shutil.which("unshare")
        and not subprocess.run(
            [*command, "test", "-s", str(folder / "filler")], capture_output=True
        ).returncode
    )
    if not is_possible:
        pytest.skip("this machine lets nobody mount a disk for one command")
    return command
