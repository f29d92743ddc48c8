"""docs/operating.md: its commands run, and what it says of settings and of the stack is so."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from docs.settings_table import with_table
from ops.embedded.servers import embedded_servers
from ops.processes import spawn, stop
from tests.conftest import ROOT, reachable_folder, serving

DOCUMENT = (ROOT / "docs" / "operating.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
BLOCK = re.compile(r"(?ms)^(?:<!-- not run: (?P<why>[^\n]+) -->\n)?```sh\n(?P<script>.*?)^```$")
TARGETS = set(re.findall(r"(?m)^([a-z-]+):", MAKEFILE))


@dataclass(frozen=True)
class Block:
    script: str
    why_not: str | None

    @property
    def targets(self) -> set[str]:
        """Of make."""
        return set(re.findall(r"\bmake (?:-\S+ \S+ )?(?:[A-Z]\S* )*([a-z-]+)", self.script))

    def __str__(self) -> str:
        return self.script.splitlines()[0]


BLOCKS = [Block(found["script"], found["why"]) for found in BLOCK.finditer(DOCUMENT)]
RUN = [block for block in BLOCKS if not block.why_not]


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """A service on servers of its own, as each block of commands finds it."""
    log = tmp_path_factory.mktemp("logs")
    with reachable_folder() as folder, embedded_servers(folder / "data") as urls:
        variables = {
            **urls,
            "DATA_DIR": str(folder / "data"),
            "BACKUP_DIR": str(folder / "backups"),
            "MAKEFLAGS": "--no-print-directory -- PYTHON=true COMPOSE=false",
        }
        own = {**os.environ, **variables, "PYTHONPATH": str(ROOT)}
        _run("make migrate\nmake user EMAIL=me@example.com\nmkdir -p $BACKUP_DIR", own)
        worker = spawn([sys.executable, "-m", "worker"], log=log / "worker.log", environ=own)
        try:
            with serving(log / "api.log", **urls) as url:
                yield {**own, "API_URL": url}
        finally:
            stop(worker)


def _run(script: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-eu", "-c", script],
        cwd=ROOT,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.parametrize("block", RUN, ids=str)
def test_the_commands_of_a_block_run(block: Block, environ: Mapping[str, str]) -> None:
    assert block.targets <= TARGETS
    # It ends with 1 where anything is wrong; a folder of the test's has no backup, for instance.
    script = block.script.replace("make doctor\n", "make doctor || [ $? -le 2 ]\n")
    done = _run(script, environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_most_blocks_are_run_and_the_others_say_why_not() -> None:
    assert len(RUN) >= len(BLOCKS) / 2
    reasons = "root|systemd|a Docker engine|until they are stopped"
    assert all(re.search(reasons, block.why_not) for block in BLOCKS if block.why_not)
    assert DOCUMENT.count("```sh") == len(BLOCKS)


def test_the_table_of_settings_is_current() -> None:
    assert with_table(DOCUMENT) == DOCUMENT, "run `make settings`"


def test_every_setting_is_explained() -> None:
    rows = [
        line for line in DOCUMENT.splitlines() if re.match(r"\| `[A-Z_]+` \| .* \| .* \|", line)
    ]
    assert [row for row in rows if row.endswith("|  |")] == []


def test_every_variable_of_the_stack_is_in_its_table() -> None:
    used = set(re.findall(r"\$\{(\w+):-([^}]*)\}", (ROOT / "compose.yaml").read_text()))
    table = DOCUMENT.partition("| variable | default |")[2].partition("\n\n")[0]
    for name, default in used:
        assert f"`{name}`" in table, name
        assert name.endswith("_IMAGE") or f"`{default}`" in table, name


def test_whatever_else_is_said_to_be_made_or_read_is_there() -> None:
    prose = BLOCK.sub("", DOCUMENT)
    assert set(re.findall(r"`make ([a-z-]+)", prose)) <= TARGETS
    for link in re.findall(r"\]\(([^)#]+)\)", prose):
        assert (ROOT / "docs" / link).exists(), link
