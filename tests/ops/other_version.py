"""A PostgreSQL of another version than the embedded one, as a provider hands one out."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.embedded.postgres import programs, server_user, socket_settings
from ops.processes import run_as, spawn, stop, wait_until
from tests.conftest import need, reachable_folder
from tests.ops.databases import accepts

_INSTALLED = Path("/usr/lib/postgresql")
# What a provider gives: a role that may do nothing but use its own database.
_HANDED_OUT = "CREATE ROLE tenant LOGIN\nCREATE DATABASE tracker OWNER tenant\n"


def other_programs() -> Path:
    """The oldest that Debian has installed and we run on, else that of the embedded package."""
    for folder in sorted(_INSTALLED.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])):
        if int(folder.parts[-3]) >= 15:
            return folder.parent
    need("initdb-of-another-version", "postgresql")  # fails on CI, else skips
    return programs()


@contextmanager
def other_postgres() -> Iterator[str]:
    """The address of an empty database on such a server, for who owns that and nothing else."""
    found, user = other_programs(), server_user()
    with reachable_folder() as folder:
        folder.chmod(0o777)
        cluster, log = folder / "cluster", folder / "log"
        how = ["--username", "postgres", "--auth", "trust", "--no-sync"]
        run_as(user, [found / "initdb", "-D", cluster, *how, "--locale", "C.UTF-8"])
        run_as(user, [found / "postgres", "--single", "-D", cluster, "postgres"], _HANDED_OUT)
        quick = ["-c", "fsync=off"]
        command: list[str | Path] = [
            found / "postgres",
            "-D",
            cluster,
            *socket_settings(folder),
            *quick,
        ]
        server = spawn(command, log=log, user=user, stop_signal=signal.SIGINT)
        url = f"postgresql://tenant@/tracker?host={folder}"
        try:
            wait_until(lambda: accepts(url), server, log)
            yield url
        finally:
            stop(server, signal.SIGINT)
