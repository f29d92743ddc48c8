"""`make install` and `make uninstall`, into a folder in place of the machine's /."""

import configparser
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops.server.install import add_release, hidden_python, wanted_of
from ops.server.layout import Layout
from ops.server.upgrade import SystemdServices
from shared.settings import read_settings
from tests.conftest import ROOT, need

NAME = "bike-power-tracker"
UNITS = Path("etc/systemd/system")
SERVICES = [path.name for path in (ROOT / "ops" / "systemd").glob("*.service")]


def make(target: str, root: Path, **variables: str) -> str:
    """What make says, with the tests' own packages in place of a new environment."""
    given = {"DESTDIR": str(root), "VENV": sys.prefix, "PYTHON": sys.executable, **variables}
    done = subprocess.run(
        ["make", "--no-print-directory", target, *(f"{k}={v}" for k, v in given.items())],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("machine")
    said = make("install", root, API_PORTS="8001 8002 8003", WORKERS="4")
    assert f"name the servers in {root}/etc/{NAME}/environment" in said
    return root


@pytest.mark.parametrize("wrong", [{"API_PORTS": "8001 http"}, {"WORKERS": "many"}])
def test_what_is_no_port_or_number_is_refused_in_a_line(
    wrong: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        wanted_of(wrong)
    assert refused.value.code == 2
    ((name, value),) = wrong.items()
    said = capsys.readouterr().err
    assert said.startswith(f"{name} must be ")
    assert said.endswith(f", not {value!r}\n")


def test_each_process_is_started_with_the_machine(installed: Path) -> None:
    wants = installed / UNITS / f"{NAME}.target.wants"
    apis = [f"{NAME}-api@{port}.service" for port in (8001, 8002, 8003)]
    workers = [f"{NAME}-worker@{number}.service" for number in (1, 2, 3, 4)]
    assert sorted(link.name for link in wants.iterdir()) == apis + workers
    links = [
        *wants.iterdir(),
        installed / UNITS / "multi-user.target.wants" / f"{NAME}.target",
        installed / UNITS / "timers.target.wants" / f"{NAME}-backup.timer",
    ]
    assert all(link.is_symlink() and link.resolve().is_file() for link in links)


def test_settings_are_their_owner_s_and_are_those_that_the_code_reads(installed: Path) -> None:
    file = installed / "etc" / NAME / "environment"
    assert file.stat().st_mode & 0o777 == 0o640
    lines = [line for line in file.read_text().splitlines() if re.match("[A-Z]", line)]
    values = dict(line.split("=", 1) for line in lines)
    assert values["REGISTRATION"] == "closed"
    assert values["BACKUP_DIR"] == f"/var/backups/{NAME}"
    assert values["API_URL"] == "http://127.0.0.1:8001"  # where `make doctor` looks
    servers = {"DATABASE_URL": "postgresql:///x", "REDIS_URL": "redis://x"}
    assert read_settings({**values, **servers}).trusted_proxies == ("127.0.0.1",)
    assert (installed / "var" / "backups" / NAME).stat().st_mode & 0o777 == 0o700


def test_a_release_runs_from_where_it_is(installed: Path) -> None:
    current = installed / "opt" / NAME / "current"
    assert current.is_symlink()
    assert (current / ".env").readlink() == Path(f"/etc/{NAME}/environment")
    done = subprocess.run(
        [
            current / ".venv" / "bin" / "python",
            "-c",
            "import api.app, worker, ops; print(ops.__file__)",
        ],
        cwd=current,
        env={},
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith(str(current.resolve())), done.stderr
    assert not list(current.resolve().rglob("tests"))
    assert not [
        p for p in current.resolve().rglob("*") if not p.is_symlink() and p.stat().st_mode & 0o022
    ]


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_unit_starts_is_there(installed: Path, name: str) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(installed / UNITS / name)
    service = unit["Service"]
    words = service["ExecStart"].split()
    python = next(word for word in words if word.endswith("python"))
    assert (installed / python.lstrip("/")).exists()
    assert (installed / service["WorkingDirectory"].lstrip("/")).is_dir()
    assert (installed / service["EnvironmentFile"].lstrip("/")).is_file()
    assert service["User"] == NAME
    assert f"u {NAME} " in (installed / "etc/sysusers.d" / f"{NAME}.conf").read_text()
    module = words[words.index("-m") + 1]
    assert (installed / "opt" / NAME / "current" / module / "__main__.py").is_file()


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_lets_nobody_do_what_it_need_not(name: str) -> None:
    """systemd gives 0 to what may do nothing, and 10 to what may do everything."""
    need("systemd-analyze", "systemd")
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=25"]
    done = subprocess.run(
        [*command, str(ROOT / "ops" / "systemd" / name)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_systemd_finds_nothing_wrong_with_the_units(installed: Path, tmp_path: Path) -> None:
    need("systemd-analyze", "systemd")
    for unit in (installed / UNITS).glob(f"{NAME}*.*"):
        if unit.is_file():
            here = unit.read_text().replace("/opt/", f"{installed}/opt/")
            (tmp_path / unit.name).write_text(here)
    instances = [f"{NAME}-api@8001.service", f"{NAME}-worker@1.service"]
    rest = [f"{NAME}-migrate.service", f"{NAME}-backup.timer", f"{NAME}.target"]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *instances, *rest],
        cwd=tmp_path,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
    )
    assert [line for line in done.stderr.splitlines() if NAME in line] == []


def test_an_installation_keeps_its_data_whatever_becomes_of_it_until_it_is_purged(
    tmp_path: Path,
) -> None:
    make("install", tmp_path)
    settings = tmp_path / "etc" / NAME / "environment"
    settings.write_text("DATABASE_URL=postgresql:///mine\n")
    backup = tmp_path / "var/backups" / NAME / "bpt-20260501T000000Z.backup"
    backup.write_bytes(b"rides")
    assert f"kept {tmp_path}/etc/{NAME}" in make("uninstall", tmp_path)
    assert {p for p in tmp_path.rglob("*") if p.is_file()} == {backup, settings}

    elsewhere = {"PREFIX": "/srv/rides"}
    make("install", tmp_path, **elsewhere)
    assert settings.read_text() == "DATABASE_URL=postgresql:///mine\n"
    for unit in (tmp_path / UNITS).glob(f"{NAME}*.service"):
        assert "/opt/" not in unit.read_text()
        assert "/srv/rides/current/.venv/bin/python" in unit.read_text()
    _enable_more(tmp_path)
    assert "kept" not in make("uninstall", tmp_path, PURGE="1", **elsewhere)
    assert [p for p in tmp_path.rglob("*") if not p.is_dir()] == []


def _enable_more(root: Path) -> None:
    """As the guide says under Scale: the next upgrade restarts them, too."""
    need("systemctl", "systemd")
    more = [f"{NAME}-worker@3.service", f"{NAME}-api@8003.service"]
    done = subprocess.run(
        ["systemctl", f"--root={root}", "enable", *more], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert set(more) <= set(SystemdServices(Layout(root)).names())


def test_uninstalling_leaves_what_others_have_beside_it(tmp_path: Path) -> None:
    """PREFIX=/opt puts the releases among the things of others."""
    theirs = tmp_path / "opt" / "theirs"
    theirs.mkdir(parents=True)
    make("install", tmp_path, PREFIX="/opt")
    make("uninstall", tmp_path, PREFIX="/opt")
    assert list((tmp_path / "opt").iterdir()) == [theirs]


def test_a_python_in_a_home_is_refused_as_the_service_may_not_enter_it() -> None:
    assert "PYTHON=/usr/bin/python3" in hidden_python("/root/.pyenv/versions/3.11/bin/python")
    assert hidden_python("/usr/bin/python3") == ""


def test_a_release_that_cannot_be_made_whole_is_gone(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises((OSError, RuntimeError)):
        add_release(layout, datetime(2026, 5, 1, tzinfo=UTC), tmp_path / "loop")
    assert list(layout.releases.iterdir()) == []
