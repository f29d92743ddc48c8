"""docs/operating.md and docs/backups.md: their commands run, and what they say else is so.

All of it on one database, one block after the other.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from docs.settings_table import with_table
from ops.processes import spawn, stop
from tests.conftest import ROOT, reachable_folder, serving
from tests.ops.databases import own_database
from tests.ops.quick import quick_ops

DOCUMENT = (ROOT / "docs" / "operating.md").read_text()
BACKUPS = (ROOT / "docs" / "backups.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
BLOCK = re.compile(r"(?ms)^(?:<!-- not run: (?P<why>[^\n]+) -->\n)?```sh\n(?P<script>.*?)^```$")
# Nothing is installed, and no stack is up.
MAKE_FLAGS = "--no-print-directory -- PYTHON=true COMPOSE=false"
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


BLOCKS = [Block(found["script"], found["why"]) for found in BLOCK.finditer(DOCUMENT + BACKUPS)]
RUN = [block for block in BLOCKS if not block.why_not]


@pytest.fixture(scope="module")
def environ(
    urls: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, str]]:
    """A service on databases of its own, as each block of commands finds it."""
    log = Path(tmp_path_factory.mktemp("logs"))
    with (
        reachable_folder() as folder,
        own_database(urls, "operating") as own_urls,
        quick_ops(log) as ops,
    ):
        variables = {
            **own_urls,
            "DATA_DIR": str(folder / "data"),
            "BACKUP_DIR": str(folder / "backups"),
            "MAKEFLAGS": f"{MAKE_FLAGS} OPS={make_word(ops)}",
        }
        own = {**os.environ, **variables, "PYTHONPATH": str(ROOT)}
        _run("make migrate\nmake user EMAIL=me@example.com\nmkdir -p $BACKUP_DIR", own)
        worker = spawn([sys.executable, "-m", "worker"], log=log / "worker.log", environ=own)
        try:
            with serving(log / "api.log", **own_urls) as url:
                yield {**own, "API_URL": url}
        finally:
            stop(worker)


def make_word(text: str) -> str:
    """One word of MAKEFLAGS."""
    return text.replace(" ", "\\ ")


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
    # It ends with 1 where anything is wrong; a folder of the test's has no backup, for instance.
    script = block.script.replace("make doctor\n", "make doctor || [ $? -le 2 ]\n")
    for backup in sorted(Path(environ["BACKUP_DIR"]).glob("*.backup"))[-1:]:
        script = re.sub(r"FILE=\.data\S+", f"FILE={backup}", script)
    done = _run(script, environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert ("make restore-drill" in script) == ("all of it is the same" in done.stdout)


def test_most_blocks_are_run_and_the_others_say_why_not() -> None:
    assert len(RUN) >= len(BLOCKS) / 2
    reasons = "root|systemd|a Docker engine|stopped|is yours"
    assert all(re.search(reasons, block.why_not) for block in BLOCKS if block.why_not)
    assert (DOCUMENT + BACKUPS).count("```sh") == len(BLOCKS)
    assert all(block.targets <= TARGETS for block in RUN)


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
    prose = BLOCK.sub("", DOCUMENT + BACKUPS)
    assert set(re.findall(r"`make ([a-z-]+)", prose)) <= TARGETS
    for link in re.findall(r"\]\(([^)#:]+)\)", prose):
        assert (ROOT / "docs" / link).exists(), link
