"""PostgreSQL's client programs: the embedded ones, or those of the machine."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ops.embedded.postgres import programs
from ops.processes import ProcessFailed


def find_program(name: str) -> str:
    """A PostgreSQL client program: the embedded one, else the one on the PATH."""
    found = _installed(name)
    if not found:
        raise ProcessFailed(f"{name} is neither embedded nor on the PATH")
    return found[0]


def find_dumper(server: int) -> str:
    """A ``pg_dump`` that reads a server of that major version: none reads a newer one's."""
    versions = {path: version_of(path) for path in _installed("pg_dump")}
    for path, version in versions.items():
        if version >= server:
            return path
    have = f"the newest here is {max(versions.values())}" if versions else "there is none here"
    raise ProcessFailed(
        f"PostgreSQL {server} needs a pg_dump of version {server} or later, and {have}: "
        f"install postgresql-client-{server}"
    )


def server_version(connection: psycopg.Connection) -> int:
    """The major version of the server."""
    return connection.info.server_version // 10_000


def version_of(program: str) -> int:
    """The major version of a client program."""
    return _version_in(run([program, "--version"]))


def reaching(url: str) -> tuple[str, dict[str, str]]:
    """How to name a database to a program, and the environment that has the password.

    `ps` shows the arguments of all to everybody on the machine.
    """
    known = conninfo_to_dict(url)
    password = known.pop("password", None)
    secret = {} if password is None else {"PGPASSWORD": str(password)}
    return make_conninfo("", **known), {**os.environ, **secret}


def run(command: list[str], environ: Mapping[str, str] | None = None) -> str:
    """What a program writes. Raises ProcessFailed with the first line of its complaint."""
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    if done.returncode:
        raise ProcessFailed(first_error(command, done.stderr))
    return done.stdout


def first_error(command: list[str], said: str) -> str:
    """One line about a program that failed."""
    return f"{Path(command[0]).name} failed: {said.strip().partition(chr(10))[0]}"


def _installed(name: str) -> list[str]:
    found = [shutil.which(name)]
    with suppress(ProcessFailed):  # production runs without embedded servers
        found.insert(0, str(programs() / name))
    return [path for path in found if path]


def _version_in(said: str) -> int:
    """Of ``pg_dump (PostgreSQL) 18.0 (Debian 18.0-1)``, 18."""
    number = re.search(r"\) (\d+)", said)
    return int(number[1]) if number else 0
