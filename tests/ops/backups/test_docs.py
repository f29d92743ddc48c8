"""docs/backups.md: its commands are those there are, and do what it says."""

import os
import re
import shlex
import subprocess
from pathlib import Path

from ops.backups.folder import backups_in
from ops.embedded.servers import embedded_servers
from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "backups.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("make ")
]
# What goes on until it is stopped, and what needs servers that are stopped: tests of their own.
ELSEWHERE = {"backup-every", "run", "restore-to"}


def target_of(command: str) -> str:
    return shlex.split(command)[1]


def make(command: str, environ: dict[str, str]) -> str:
    """Run a command of the text, without installing anything."""
    done = subprocess.run(
        [*shlex.split(command), "PYTHON=true"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_command_is_a_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for command in COMMANDS:
        assert re.search(rf"^{target_of(command)}:", makefile, re.MULTILINE), command
    assert {target_of(command) for command in COMMANDS} >= ELSEWHERE


def test_the_commands_run_one_after_the_other(data_dir: Path) -> None:
    with embedded_servers(data_dir) as urls:
        environ = {**os.environ, **urls, "BACKUP_DIR": str(data_dir / "backups")}
        make("make migrate", environ)
        for command in dict.fromkeys(COMMANDS):
            if target_of(command) in ELSEWHERE:
                continue
            newest = backups_in(data_dir / "backups")[-1:]
            named = re.sub(r"FILE=\S+", f"FILE={newest[0]}" if newest else "", command)
            said = make(named, environ)
            if target_of(command) == "restore-drill":
                assert "all of it is the same" in said
        assert len(backups_in(data_dir / "backups")) == 1
