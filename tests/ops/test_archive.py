"""The archive of the stack's PostgreSQL, by the stack's own command, without its containers."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from pwd import struct_passwd

import psycopg
import pytest

from ops.embedded.postgres import home_and_programs, server_user
from ops.monitoring.database_checks import check_database
from ops.monitoring.findings import Patient
from ops.private_files import private_folder
from ops.processes import run_as, spawn, stop, wait_until
from shared.settings import read_settings
from tests.conftest import ROOT
from tests.ops.backups.words import words, write
from tests.ops.databases import accepts
from tests.ops.test_compose import SERVICES, interpolate
from tests.worker.waiting import eventually


@dataclass(frozen=True)
class Machine:
    """What the containers `postgres` and `bases` have of volumes and programs."""

    user: struct_passwd | None
    programs: Path
    folder: Path
    sockets: Path

    @property
    def cluster(self) -> Path:
        return self.folder / "cluster"

    @property
    def archive(self) -> Path:
        return self.folder / "a wal"

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self.sockets}"

    @property
    def environ(self) -> dict[str, str]:
        path = f"{self.folder}:{self.programs}:{os.environ['PATH']}"
        own = {"PGDATA": str(self.cluster), "PGHOST": str(self.sockets), "PATH": path}
        return {**os.environ, **own, "WAL_ARCHIVE": str(self.archive)}

    @contextmanager
    def running(self) -> Iterator[None]:
        """By the command of compose.yaml, but for the library that the wheel lacks."""
        _, *given = map(interpolate, SERVICES["postgres"]["command"])
        settings = [s for s in given if "=" in s and not s.startswith("shared_preload_libraries")]
        settings += ["listen_addresses=", f"unix_socket_directories={self.sockets}"]
        command = [str(self.programs / "postgres")]
        for setting in settings:
            command += ["-c", setting]
        log = self.folder / "log"
        process = spawn(
            command, log=log, environ=self.environ, user=self.user, stop_signal=signal.SIGINT
        )
        try:
            wait_until(lambda: accepts(self.url), process, log)
            yield
        finally:
            stop(process, signal.SIGINT)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The program of the archive, as a container would."""
        who = {} if self.user is None else {"user": self.user.pw_uid, "group": self.user.pw_gid}
        command = ["archive", *arguments]
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            command, env=self.environ, cwd="/", capture_output=True, text=True, **who
        )


@pytest.fixture
def machine(data_dir: Path) -> Iterator[Machine]:
    user = server_user()
    data_dir.mkdir(exist_ok=True)
    home, programs = home_and_programs(data_dir, user)
    with private_folder(user) as sockets:
        made = Machine(user, programs, home, sockets)
        shutil.copy(ROOT / "ops" / "postgres" / "archive", home)
        how = ["--username", "postgres", "--auth", "trust", "--no-sync", "--wal-segsize", "1"]
        run_as(user, [programs / "initdb", "-D", made.cluster, *how])
        run_as(user, ["mkdir", made.archive])
        yield made


def add(url: str, word: str) -> datetime:
    """A word, in a segment of WAL that is then full; when it was there for good."""
    moment = write(url, word)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_switch_wal()")
    return moment


def bases(machine: Machine) -> list[Path]:
    return sorted(machine.archive.glob("base-*"))


def test_a_lost_database_of_the_stack_comes_back_as_it_was_at_a_named_moment(
    machine: Machine,
) -> None:
    segments = machine.archive / "segments"
    with machine.running():
        early = add(machine.url, "early")
        assert machine.run("base", "1").returncode == 0
        good = add(machine.url, "good")
        add(machine.url, "bad")
        eventually(lambda: len(list(segments.glob("*.gz"))) >= 3)
    never = machine.run("restore", "2999-01-01")
    assert "recovery ended before configured recovery target was reached" in never.stderr
    shutil.rmtree(machine.cluster)

    too_early = machine.run("restore", early.replace(year=2025).isoformat())
    assert f"no copy in {machine.archive} is of before" in too_early.stderr
    done = machine.run("restore", good.isoformat())
    assert done.returncode == 0, done.stderr
    with machine.running():
        assert words(machine.url) == {"early", "good"}
        (old,) = bases(machine)
        old.rename(old.with_name("base-20260501T000000Z"))
        first = min(segments.glob(f"{24 * '?'}.gz"))
        assert machine.run("base", "1").returncode == 0
        assert [base.name > "base-20260501T000000Z" for base in bases(machine)] == [True]
        assert not first.exists()

        segments.rename(machine.archive / "aside")
        segments.touch()
        later = add(machine.url, "later")
        add(machine.url, "too late")
        urls = {"DATABASE_URL": machine.url, "REDIS_URL": "redis://nowhere"}
        patient = Patient(read_settings(urls), machine.folder)
        eventually(lambda: any("cannot archive" in f.wrong for f in check_database(patient)))

    # What was not archived is taken from the cluster that was there.
    segments.unlink()
    (machine.archive / "aside").rename(segments)
    done = machine.run("restore", later.isoformat())
    assert done.returncode == 0, done.stderr
    with machine.running():
        assert words(machine.url) == {"early", "good", "later"}
        write(machine.url, "last")
    done = machine.run("restore", "latest")
    assert done.returncode == 0, done.stderr
    with machine.running():
        assert words(machine.url) == {"early", "good", "later", "last"}
