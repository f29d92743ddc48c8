"""`make upgrade`, with real releases, processes and servers; systemd alone is not there."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from ops.admin import migrations
from ops.processes import Process, spawn, stop
from ops.server.install import Wanted, add_release, install
from ops.server.layout import Layout
from ops.server.upgrade import (
    Services,
    SystemdServices,
    Upgrade,
    UpgradeFailed,
    ready_problem,
    remove_old,
)
from tests.conftest import ROOT, reachable_folder
from tests.ops.databases import own_database
from tests.ops.ports import free_ports

FIRST = datetime(2026, 5, 1, tzinfo=UTC)
VENV = ROOT / ".venv"


@dataclass
class Processes:
    """An API of what is current, started as systemd would start it."""

    layout: Layout
    environ: Mapping[str, str]
    port: int
    running: dict[str, Process] = field(default_factory=dict)

    def names(self) -> list[str]:
        return ["api"]

    def take_units(self, release: Path) -> None:
        """There are none: see the tests of systemd below."""

    def restart(self, name: str) -> None:
        if name in self.running:
            stop(self.running[name])
        release = self.layout.current.resolve()
        environ = {**self.environ, "PORT": str(self.port), "PYTHONPATH": str(release)}
        command = [str(release / ".venv" / "bin" / "python"), "-P", "-m", name]
        self.running[name] = spawn(command, log=self.layout.root / f"{name}.log", environ=environ)

    def problem(self, name: str) -> str:
        while self.running[name].poll() is None:
            if not ready_problem(self.port, within=0.2):
                return ""
        return ready_problem(self.port, within=0)

    def release_of(self, name: str) -> str:
        """From which release a process comes."""
        command = Path(f"/proc/{self.running[name].pid}/cmdline").read_bytes().split(b"\0")[0]
        return Path(command.decode()).parents[2].name


# One machine, one upgrade after the other.
pytestmark = pytest.mark.xdist_group("upgrade")


@pytest.fixture(scope="module")
def machine(urls: Mapping[str, str]) -> Iterator[tuple[Layout, Processes]]:
    """The first version, installed and running, on a database of its own."""
    with reachable_folder() as folder, own_database(urls, "upgrade") as own:
        layout = Layout(folder / "machine")
        install(layout, Wanted(), add_release(layout, FIRST, VENV))
        migrations.apply(own["DATABASE_URL"])
        environ = {**os.environ, **own, "BACKUP_DIR": str(folder), "FILE": str(folder / "backup")}
        processes = Processes(layout, environ, free_ports(1)[0])
        try:
            for name in processes.names():
                processes.restart(name)
            assert processes.problem("api") == ""
            yield layout, processes
        finally:
            for process in processes.running.values():
                stop(process)


def upgrade(
    machine: tuple[Layout, Processes],
    release: Path,
    services: Services | None = None,
    **more: str,
) -> list[str]:
    layout, processes = machine
    said = list[str]()
    environ = {**processes.environ, **more}
    Upgrade(layout, release, services or processes, environ, say=said.append).run()
    return said


def tables(processes: Processes) -> set[str]:
    with psycopg.connect(processes.environ["DATABASE_URL"]) as connection:
        return {
            str(name) for (name,) in connection.execute("SELECT relname FROM pg_class").fetchall()
        }


def add_migration(release: Path, number: int, up: str, down: str) -> None:
    before = sorted(p.stem for p in (release / "migrations").glob("*.sql") if ".roll" not in p.name)
    stem = release / "migrations" / f"{number}_of_a_test"
    stem.with_suffix(".sql").write_text(f"-- depends: {before[-1]}\n{up};\n")
    stem.with_suffix(".rollback.sql").write_text(f"{down};\n")


def test_a_migration_that_fails_takes_those_before_it_back_and_stops_nobody(
    machine: tuple[Layout, Processes],
) -> None:
    layout, processes = machine
    release = add_release(layout, FIRST + timedelta(days=1), VENV)
    add_migration(release, 9001, "CREATE TABLE soon_gone ()", "DROP TABLE soon_gone")
    add_migration(release, 9002, "CREATE TABLE broken (of nothing)", "SELECT 1")
    before = {name: process.pid for name, process in processes.running.items()}
    with pytest.raises(UpgradeFailed, match=r"^migrating failed, and the schema is as it was: .+"):
        upgrade(machine, release)
    assert "soon_gone" not in tables(processes)
    assert layout.current.resolve().name == "20260501T000000Z"
    assert {name: process.pid for name, process in processes.running.items()} == before
    assert processes.problem("api") == ""


def test_a_version_that_does_not_get_ready_gives_way_to_the_one_before(
    machine: tuple[Layout, Processes],
) -> None:
    layout, processes = machine
    release = add_release(layout, FIRST + timedelta(days=2), VENV)
    (release / "api" / "__main__.py").write_text("raise SystemExit('cannot start')\n")
    with pytest.raises(UpgradeFailed, match=r"^api: no answer .* 20260501T000000Z runs again"):
        upgrade(machine, release)
    assert processes.problem("api") == ""
    assert {processes.release_of(name) for name in processes.names()} == {"20260501T000000Z"}


def test_without_a_backup_nothing_is_touched(machine: tuple[Layout, Processes]) -> None:
    layout, _ = machine
    release = layout.releases / "20260504T000000Z"
    with pytest.raises(UpgradeFailed, match=r"^the backup failed, and nothing was changed: "):
        upgrade(machine, release, FILE="/proc/no/such/folder")
    assert layout.current.resolve().name == "20260501T000000Z"


def test_an_upgrade_leaves_a_backup_the_new_schema_and_the_new_version(
    machine: tuple[Layout, Processes],
) -> None:
    layout, processes = machine
    release = add_release(layout, FIRST + timedelta(days=4), VENV)
    add_migration(release, 9001, "CREATE TABLE here_to_stay ()", "DROP TABLE here_to_stay")
    backup = Path(processes.environ["FILE"])
    backup.unlink(missing_ok=True)
    said = upgrade(machine, release)
    assert said == ["backing up", "migrating", "restarting api"]
    assert backup.stat().st_size > 0
    assert "here_to_stay" in tables(processes)
    assert {processes.release_of(name) for name in processes.names()} == {"20260505T000000Z"}
    remove_old(layout, kept=2)
    left = sorted(path.name for path in layout.releases.iterdir())
    assert left == ["20260503T000000Z", "20260505T000000Z"]


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """An API and a worker, installed where systemctl notes what it is told, and by whose units.

    What the releases run succeeds at once. They cannot be restarted as of the day after the first.
    """
    layout = Layout(tmp_path / "machine")
    write(tmp_path / "venv" / "bin" / "python", "exit 0")
    install(layout, Wanted((8001,), 1), add_release(layout, FIRST, tmp_path / "venv"))
    unit = layout.units / "bike-power-tracker-worker@.service"
    write(
        tmp_path / "systemctl",
        f'echo "$@" "by units of $(sed -n s/^Description=//p "{unit}")" >> {tmp_path}/log\n'
        f'case "$1 $(readlink {layout.current})" in\n'
        '    "restart releases/20260502"*) echo "no such program" >&2; exit 1 ;;\n'
        '    show*) printf "ActiveState=activating\\nNRestarts=3\\n" ;;\n'
        "esac",
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return layout


def write(program: Path, text: str) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)


def test_systemd_starts_workers_first_and_the_version_before_by_its_own_units(
    systemd: Layout, tmp_path: Path
) -> None:
    """As if the newer version's program were not there."""
    newer = add_release(systemd, FIRST + timedelta(days=1), tmp_path / "venv")
    unit = newer / "ops" / "systemd" / "bike-power-tracker-worker@.service"
    unit.write_text("[Unit]\nDescription=Newer\n")
    (unit.parent / "bike-power-tracker-newer.service").touch()
    services = SystemdServices(systemd, settled=0)
    worker, api = services.names()
    assert (worker, api) == (
        "bike-power-tracker-worker@1.service",
        "bike-power-tracker-api@8001.service",
    )
    with pytest.raises(UpgradeFailed, match=r"is activating: see journalctl -u .*worker@1"):
        Upgrade(systemd, newer, services, os.environ, say=lambda _: None).run()
    assert (tmp_path / "log").read_text().splitlines() == [
        "daemon-reload by units of Newer",
        f"restart {worker} by units of Newer",
        "daemon-reload by units of Bike Power Tracker worker %i",
        f"restart {worker} by units of Bike Power Tracker worker %i",
        f"show --property=ActiveState,NRestarts {worker} by units of Bike Power Tracker worker %i",
    ]
    assert systemd.current.resolve().name == "20260501T000000Z"
    assert services.names() == [worker, api]
    assert not (systemd.units / "bike-power-tracker-newer.service").exists()


class Stubborn:
    """Three processes; what ``fails`` raises comes from the second of the newer version."""

    def __init__(self, layout: Layout, fails: BaseException) -> None:
        self._layout = layout
        self._fails = fails
        self.runs = dict.fromkeys(("one", "two", "three"), "20260501T000000Z")

    def names(self) -> list[str]:
        return list(self.runs)

    def take_units(self, release: Path) -> None:
        """There are none."""

    def restart(self, name: str) -> None:
        self.runs[name] = self._layout.current.resolve().name
        if name == "two" and self.runs[name] != "20260501T000000Z":
            raise self._fails

    def problem(self, name: str) -> str:
        """The first does not get ready again on the way back either."""
        is_back = self.runs["one"] == "20260501T000000Z"
        return "is ill" if name == "one" and is_back else ""


@pytest.mark.parametrize(
    "fails",
    [
        UpgradeFailed("two: no"),
        subprocess.CalledProcessError(1, "systemctl"),
        KeyboardInterrupt(),
    ],
    ids=["refused", "systemctl", "Ctrl-C"],
)
def test_whatever_fails_every_process_is_given_back_to_the_version_before(
    systemd: Layout, tmp_path: Path, fails: BaseException
) -> None:
    newer = add_release(systemd, FIRST + timedelta(days=3), tmp_path / "venv")
    services = Stubborn(systemd, fails)
    with pytest.raises(UpgradeFailed):
        Upgrade(systemd, newer, services, os.environ, say=lambda _: None).run()
    assert set(services.runs.values()) == {"20260501T000000Z"}
    assert systemd.current.resolve().name == "20260501T000000Z"
