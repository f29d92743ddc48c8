"""`make upgrade`, with real releases, processes and servers; systemd alone is not there."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from ops.admin import migrations
from ops.embedded.servers import embedded_servers
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
from tests.ops.ports import free_ports

FIRST = datetime(2026, 5, 1, tzinfo=UTC)
VENV = ROOT / ".venv"


@dataclass
class Processes:
    """An API and a worker of what is current, started as systemd would start them."""

    layout: Layout
    environ: Mapping[str, str]
    port: int
    running: dict[str, Process] = field(default_factory=dict)
    units_of: str = ""  # the release

    def names(self) -> list[str]:
        return ["worker", "api"]

    def take_units(self, release: Path) -> None:
        self.units_of = release.name

    def restart(self, name: str) -> None:
        if name in self.running:
            stop(self.running[name])
        release = self.layout.current.resolve()
        environ = {**self.environ, "PORT": str(self.port), "PYTHONPATH": str(release)}
        command = [str(release / ".venv" / "bin" / "python"), "-P", "-m", name]
        self.running[name] = spawn(command, log=self.layout.root / f"{name}.log", environ=environ)

    def problem(self, name: str) -> str:
        if name == "worker":
            return ""
        return ready_problem(self.port, within=20)

    def release_of(self, name: str) -> str:
        """From which release a process comes."""
        command = Path(f"/proc/{self.running[name].pid}/cmdline").read_bytes().split(b"\0")[0]
        return Path(command.decode()).parents[2].name


@pytest.fixture(scope="module")
def machine() -> Iterator[tuple[Layout, Processes]]:
    """The first version, installed and running."""
    with reachable_folder() as folder, embedded_servers(folder / "data") as urls:
        layout = Layout(folder / "machine")
        install(layout, Wanted(), add_release(layout, FIRST, VENV))
        migrations.apply(urls["DATABASE_URL"])
        environ = {**os.environ, **urls, "BACKUP_DIR": str(folder), "FILE": str(folder / "backup")}
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


def test_a_process_that_systemd_cannot_start_brings_the_version_before_back(
    machine: tuple[Layout, Processes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the newer version's program were not there."""
    layout = Layout(tmp_path / "machine")
    install(layout, Wanted((8001,), 1), add_release(layout, FIRST, VENV))
    (layout.units / "bike-power-tracker.target.wants/bike-power-tracker-api@8001.service").unlink()
    newer = add_release(layout, FIRST + timedelta(days=1), VENV)
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(
        "#!/bin/sh\n"
        f'case "$1 $(readlink {layout.current})" in\n'
        f'    "restart releases/{newer.name}") echo "no such program" >&2; exit 1 ;;\n'
        '    show*) printf "ActiveState=active\\nNRestarts=0\\n" ;;\n'
        "esac\n"
    )
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    _, processes = machine
    with pytest.raises(UpgradeFailed, match=r"no such program\. 20260501T000000Z runs again"):
        upgrade((layout, processes), newer, SystemdServices(layout, settled=0))
    assert layout.current.resolve().name == "20260501T000000Z"


def test_without_a_backup_nothing_is_touched(machine: tuple[Layout, Processes]) -> None:
    layout, _ = machine
    release = add_release(layout, FIRST + timedelta(days=3), VENV)
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
    assert said == ["backing up", "migrating", "restarting worker", "restarting api"]
    assert backup.stat().st_size > 0
    assert "here_to_stay" in tables(processes)
    assert {processes.release_of(name) for name in processes.names()} == {"20260505T000000Z"}
    remove_old(layout, kept=2)
    left = sorted(path.name for path in layout.releases.iterdir())
    assert left == ["20260504T000000Z", "20260505T000000Z"]


def test_systemd_restarts_workers_first_and_tells_which_process_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a systemctl that only says what it was told."""
    layout = Layout(tmp_path)
    install(layout, Wanted((8001,), 1), add_release(layout, FIRST, VENV))
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(
        '#!/bin/sh\necho "$@" >> "$0.log"\n'
        '[ "$1" = restart ] || printf "ActiveState=activating\\nNRestarts=3\\n"\n'
    )
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    services = SystemdServices(layout, settled=0)
    worker, api = services.names()
    assert (worker, api) == (
        "bike-power-tracker-worker@1.service",
        "bike-power-tracker-api@8001.service",
    )
    newer = add_release(layout, FIRST + timedelta(days=1), VENV)
    unit = newer / "ops" / "systemd" / "bike-power-tracker-worker@.service"
    unit.write_text("[Unit]\nDescription=Newer\n")
    services.take_units(newer)
    assert (layout.units / unit.name).read_text() == unit.read_text()
    assert services.names() == [worker, api]
    services.restart(worker)
    assert services.problem(worker) == f"is activating: see journalctl -u {worker}"
    assert (
        Path(f"{systemctl}.log").read_text().startswith(f"daemon-reload\nrestart {worker}\nshow ")
    )
