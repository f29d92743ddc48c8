"""The first five minutes of the README, line by line, as a reader would type them."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.conftest import ROOT, Rider, need
from tests.examples.rides import rows

# A refusal fails, and the interpreter is the one that runs the tests.
SHELL = f"""set -eu
curl() {{ command curl --fail-with-body "$@"; }}
.venv/bin/python() {{ {shlex.quote(sys.executable)} "$@" --file "$FOLDER/rides.db"; }}
"""


def commands() -> Iterator[str]:
    """What stands in the section's blocks of shell, a command each."""
    section = (ROOT / "README.md").read_text().partition("## Five minutes with curl")[2]
    blocks = re.findall(r"```sh\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    command = ""
    for line in "\n".join(blocks).splitlines():
        command += f"{line}\n"
        if is_whole(command):
            if shlex.split(command, comments=True):
                yield command
            command = ""
    assert command == ""


def is_whole(command: str) -> bool:
    if command.endswith("\\\n"):
        return False
    try:
        shlex.split(command, comments=True)
    except ValueError:  # within quotes
        return False
    return True


def fill_in(name: str, answer: Any, service: str, rider: Rider) -> str:
    """What a reader would put for a placeholder: from the last answer, from `make run`, or new."""
    if name == "URL":
        return service
    if name == "ID":
        return str(uuid4())
    return str(answer["secret"]) if answer else rider.account.api_key


def test_the_first_five_minutes_are_as_the_readme_says(
    service: str, rider: Rider, unthrottled: None, tmp_path: Path
) -> None:
    need("curl")
    (tmp_path / "ride.ndjson").write_text("\n".join(map(json.dumps, rows(60))))
    environ = {**os.environ, "FOLDER": str(tmp_path)}
    ran, answer = 0, None
    for command in commands():
        if re.fullmatch(r"([A-Z]+=\S+\s*)+", command):
            for name in re.findall(r"([A-Z]+)=", command):
                environ[name] = fill_in(name, answer, service, rider)
        else:
            printed = run(command, tmp_path, environ)
            answer = json.loads(printed) if printed.startswith("{") else answer
            ran += 1
    assert ran >= 11


def run(command: str, folder: Path, environ: dict[str, str]) -> str:
    text = SHELL + command.replace("examples/", f"{ROOT}/examples/")
    done = subprocess.run(
        ["bash", "-c", text], cwd=folder, env=environ, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{command}{done.stdout}{done.stderr}"
    return done.stdout
