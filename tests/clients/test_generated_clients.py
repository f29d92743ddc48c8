"""Clients that generators make of the document, without a warning, and rides that go through them.

`make setup-dev` installs the generators; those of TypeScript take npm.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.conftest import ROOT, Rider, need

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"
MODULES = HERE / "node_modules"
CONFIG = ROOT / "examples" / "openapi-python-client.yaml"
# Two minutes at 200 W, one reading a second: every full window of 30 s has a mean of 200 W.
RIDDEN = {
    "accepted": 120,
    "status": "COMPLETED",
    "normalizedPower": 200,
    "firstPower": 200,
    "columnOfPower": 120,
    "listed": [True],
}
# The errors of the program: what the generator writes is not ours to judge.
CHECKED = ["--strict", "--config-file=", "--follow-imports=silent"]
COMPILED = ["--target", "es2022", "--module", "commonjs", "--moduleResolution", "node10"]


def run(folder: Path, *command: object, **variables: str) -> str:
    """What a program says, colours left out; it ends well."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [str(each) for each in command],
        cwd=folder,
        env={**os.environ, "PATH": path, "NO_COLOR": "1", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


def node(folder: Path, script: str, *arguments: object, **variables: str) -> str:
    """Run what npm has installed; without npx, which would ask a registry."""
    return run(folder, "node", MODULES / script, *arguments, **variables)


@pytest.fixture(scope="module")
def workshop(service: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the document as it is served."""
    folder = tmp_path_factory.mktemp("clients")
    (folder / "openapi.json").write_bytes(httpx2.get(f"{service}/openapi.json").content)
    return folder


@pytest.fixture(scope="module")
def typescript() -> None:
    need("npm")
    if not MODULES.exists():
        lack = pytest.fail if os.environ.get("CI") else pytest.skip
        lack("the generators of TypeScript are not installed: run npm ci in tests/clients")


@pytest.mark.xdist_group("clients")
def test_a_ride_goes_through_a_python_client(workshop: Path, service: str, rider: Rider) -> None:
    options = ["--meta", "none", "--output-path", "tracker", "--config", CONFIG]
    generator = [sys.executable, "-m", "openapi_python_client", "generate"]
    said = run(workshop, *generator, "--path", "openapi.json", *options)
    assert said == "Generating tracker\n"
    shutil.copy(PROGRAMS / "ride.py", workshop)
    variables = {"URL": service, "API_KEY": rider.account.api_key}
    assert json.loads(run(workshop, sys.executable, "ride.py", **variables)) == RIDDEN


@pytest.mark.xdist_group("clients")
def test_a_python_program_is_checked_against_its_client(workshop: Path) -> None:
    """The types are there: without them, mypy would know no member of a summary."""
    assert (workshop / "tracker").exists(), "the client is made by the test before"
    said = run(workshop, sys.executable, "-m", "mypy", *CHECKED, "ride.py")
    assert said.startswith("Success")


@pytest.mark.xdist_group("clients")
@pytest.mark.usefixtures("typescript")
def test_a_ride_goes_through_a_typescript_client_and_its_types(
    workshop: Path, service: str, rider: Rider
) -> None:
    types = node(workshop, "openapi-typescript/bin/cli.js", "openapi.json", "--output", "types.ts")
    assert re.fullmatch(
        r"✨ openapi-typescript [\d.]+\n🚀 openapi.json → types.ts \[.*\]\n+", types
    )
    made = node(workshop, "@hey-api/openapi-ts/bin/index.cjs", "-i", "openapi.json", "-o", "client")
    assert "✅ Done!" in made
    assert not re.search("warn|error|⚠", made, re.IGNORECASE), made
    shutil.copy(PROGRAMS / "ride.ts", workshop)
    node(workshop, "typescript/bin/tsc", "--strict", "--skipLibCheck", *COMPILED, "ride.ts")
    variables = {"URL": service, "API_KEY": rider.account.api_key}
    assert json.loads(run(workshop, "node", "ride.js", **variables)) == RIDDEN
