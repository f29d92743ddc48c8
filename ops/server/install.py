"""`make install` and `make uninstall`: the service on one machine, by systemd.

Standard library only: nothing is installed yet.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn

from ops.server.layout import NAME, PREFIX, SYSTEMCTL, Layout

ROOT: Final = Path(__file__).resolve().parents[2]
_SYSUSERS: Final = "systemd-sysusers"
# Of the checkout, what a release has.
_CODE: Final = ("api", "docs", "migrations", "ops", "requirements", "shared", "worker")
_COMPILED: Final = ("api", "ops", "shared", "worker")
_FILES: Final = (".env.example", "Makefile", "CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md")
# What an installation says otherwise than a checkout.
_SETTINGS: Final = {
    "BACKUP_DIR": f"/var/backups/{NAME}",
    "DATA_DIR": f"/var/lib/{NAME}",
    "KEEP": "14",
    "METRICS_DIR": f"/run/{NAME}/metrics",
    "METRICS_PORT": "9464",
    "REGISTRATION": "closed",
    "TMPDIR": "/var/tmp",  # noqa: S108 - /tmp is memory on Debian 13, and a backup's parts lie here
    "TRUSTED_PROXIES": "127.0.0.1",
}


@dataclass(frozen=True)
class Wanted:
    """What runs: an API process at each port, and so many workers."""

    ports: tuple[int, ...] = (8001, 8002)
    workers: int = 2

    @property
    def instances(self) -> list[str]:
        """Their units."""
        apis = [f"{NAME}-api@{port}.service" for port in self.ports]
        return apis + [f"{NAME}-worker@{number}.service" for number in range(1, self.workers + 1)]


def install(layout: Layout, wanted: Wanted, release: Path) -> None:
    """Put everything where it belongs but for the user; settings that are there stay.

    ``release``: what ``add_release`` made.
    """
    write_units(layout, wanted.instances, release)
    layout.sysusers.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(release / "ops" / "systemd" / "sysusers.conf", layout.sysusers)
    layout.backups.mkdir(parents=True, exist_ok=True, mode=0o700)
    layout.backups.chmod(0o700)
    if not layout.environment.exists():
        _write_settings(layout.environment, wanted)
    layout.switch(release)


def add_release(layout: Layout, now: datetime, venv: Path | None = None) -> Path:
    """Copy the code of this checkout, and install what it stands on beside it; the folder.

    ``venv``: an environment that has all of that already. What could not be made whole is gone.
    """
    release = layout.releases / f"{now:%Y%m%dT%H%M%SZ}"
    release.mkdir(parents=True, mode=0o755)
    try:
        _fill(release, venv)
    except BaseException:
        shutil.rmtree(release)
        raise
    return release


def _fill(release: Path, venv: Path | None) -> None:
    ignored = shutil.ignore_patterns(".*", "*.pyc.*")  # the latter are being written
    for name in _CODE:
        shutil.copytree(ROOT / name, release / name, ignore=ignored)
    for name in _FILES:
        shutil.copyfile(ROOT / name, release / name)
    (release / ".env").symlink_to(f"/etc/{NAME}/environment")
    if venv:
        (release / ".venv").symlink_to(venv.resolve())
    else:
        subprocess.run([sys.executable, release / "ops" / "setup.py", "embedded"], check=True)
    # The service may write nothing there: it would compile all of it at every start.
    python = release / ".venv" / "bin" / "python"
    subprocess.run([python, "-m", "compileall", "-q", *_COMPILED], cwd=release, check=True)
    _open_to_all(release)


def _open_to_all(release: Path) -> None:
    """Whoever installs may have a umask that shuts the service's own user out."""
    for folder, _, files in os.walk(release):
        for path in [Path(folder), *(Path(folder) / name for name in files)]:
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def write_units(layout: Layout, instances: Sequence[str], release: Path) -> None:
    """A release's units, and the links that start them with the machine, in place of any before."""
    for left in layout.units.glob(f"{NAME}*"):
        if left.is_file():
            left.unlink()
    for source in (release / "ops" / "systemd").glob(f"{NAME}*"):
        text = source.read_text().replace(str(PREFIX), str(layout.prefix))
        target = layout.units / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    wants = layout.units / f"{NAME}.target.wants"
    shutil.rmtree(wants, ignore_errors=True)
    for name in instances:
        _link(wants / name, re.sub(r"@\w+", "@", name))
    _link(layout.units / "multi-user.target.wants" / f"{NAME}.target", f"{NAME}.target")
    timer = f"{NAME}-backup.timer"
    _link(layout.units / "timers.target.wants" / timer, timer)


def _link(link: Path, unit: str) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(f"../{unit}")


def _write_settings(file: Path, wanted: Wanted) -> None:
    """The example of the settings, with what differs here; nobody else may read it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    values = {**_SETTINGS, "API_URL": f"http://127.0.0.1:{wanted.ports[0]}"}
    given = "".join(f"{name}={value}\n" for name, value in values.items())
    text = (ROOT / ".env.example").read_text()
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "w") as settings:
        settings.write(f"# Of this machine.\n{given}\n{text}")


def uninstall(layout: Layout, *, purge: bool) -> list[Path]:
    """Take away what ``install`` brought; settings and backups only if ``purge``. What stays.

    The databases are PostgreSQL's and Redis', and stay in any case.
    """
    for unit in layout.units.glob(f"**/{NAME}*"):
        if unit.is_symlink() or unit.is_file():
            unit.unlink()
    shutil.rmtree(layout.units / f"{NAME}.target.wants", ignore_errors=True)
    layout.sysusers.unlink(missing_ok=True)
    _remove_code(layout)
    kept = [layout.environment.parent, layout.backups]
    if purge:
        for folder in kept:
            shutil.rmtree(folder, ignore_errors=True)
    return [folder for folder in kept if folder.exists()]


def _remove_code(layout: Layout) -> None:
    """What ``install`` made, and its folder if nothing else is in it: PREFIX may be /opt."""
    layout.current.unlink(missing_ok=True)
    shutil.rmtree(layout.releases, ignore_errors=True)
    with suppress(OSError):  # others have something there
        layout.at(layout.prefix).rmdir()


def _is_configured(layout: Layout) -> bool:
    """Whether the settings name the servers."""
    text = layout.environment.read_text()
    return all(
        re.search(rf"(?m)^{name}(_FILE)?=\S", text) for name in ("DATABASE_URL", "REDIS_URL")
    )


def _make_user(layout: Layout) -> None:
    """The user, by whom alone the settings and the backups are read."""
    subprocess.run([_SYSUSERS, layout.sysusers], check=True)
    shutil.chown(layout.environment, "root", NAME)
    shutil.chown(layout.backups, NAME, NAME)


def main(command: str) -> None:
    """``install`` or ``uninstall``, by what the environment says."""
    layout = layout_of(os.environ)
    is_real = layout.root == Path("/")
    if is_real and os.geteuid() != 0:
        sys.exit(f"this writes to {layout.prefix} and /etc: run it as root (sudo make {command})")
    if command == "install":
        _install(layout, is_real=is_real)
    else:
        _uninstall(layout, is_real=is_real)


def hidden_python(program: str) -> str:
    """What is wrong with a Python that the service's user will not reach, else nothing."""
    real = Path(program).resolve()
    if real.parts[1] in ("home", "root"):
        return f"{real} is in a home, which the service may not enter: say PYTHON=/usr/bin/python3"
    return ""


def layout_of(environ: Mapping[str, str]) -> Layout:
    """By DESTDIR and PREFIX."""
    root = Path(environ.get("DESTDIR") or "/").resolve()
    return Layout(root, Path(environ.get("PREFIX") or PREFIX))


def wanted_of(environ: Mapping[str, str]) -> Wanted:
    """By API_PORTS and WORKERS. A wrong one costs a line, and the exit code 2."""
    given = (environ.get("API_PORTS") or "8001 8002").split()
    workers = environ.get("WORKERS") or "2"
    if not all(port.isdecimal() and 0 < int(port) < 2**16 for port in given):
        _refuse(f"API_PORTS must be ports such as 8001 8002, not {' '.join(given)!r}")
    if not workers.isdecimal():
        _refuse(f"WORKERS must be a whole number, not {workers!r}")
    return Wanted(tuple(map(int, given)), int(workers))


def _refuse(wrong: str) -> NoReturn:
    print(wrong, file=sys.stderr)
    sys.exit(2)


def _install(layout: Layout, *, is_real: bool) -> None:
    if layout.current.is_symlink():
        sys.exit(f"{layout.prefix} is there already: run `make upgrade`")
    if is_real and (problem := hidden_python(sys.executable)):
        sys.exit(problem)
    wanted = wanted_of(os.environ)
    venv = os.environ.get("VENV")
    install(layout, wanted, add_release(layout, datetime.now(UTC), Path(venv) if venv else None))
    if is_real:
        _make_user(layout)
        subprocess.run([SYSTEMCTL, "daemon-reload"], check=True)
    if is_real and _is_configured(layout):
        subprocess.run([SYSTEMCTL, "start", f"{NAME}.target", f"{NAME}-backup.timer"], check=True)
        print(f"{NAME} runs; see docs/operating.md for the proxy")
    else:
        print(f"installed; name the servers in {layout.environment}, then")
        print(f"systemctl start {NAME}.target {NAME}-backup.timer")


def _uninstall(layout: Layout, *, is_real: bool) -> None:
    if not layout.current.is_symlink():
        sys.exit(f"there is nothing in {layout.prefix} to uninstall: say PREFIX=…")
    if is_real:
        units = [f"{NAME}.target", f"{NAME}-backup.timer"]
        subprocess.run([SYSTEMCTL, "disable", "--now", *units], check=False)
    for folder in uninstall(layout, purge=os.environ.get("PURGE") == "1"):
        print(f"kept {folder}")
    if is_real:
        subprocess.run([SYSTEMCTL, "daemon-reload"], check=True)
    print("the databases, and the user, are as they were")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        sys.exit(f"failed: {error}")
