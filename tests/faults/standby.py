"""A streaming replica of a PostgreSQL, made as an operator makes one of a copy or of a primary."""

import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg

from ops.embedded.postgres import home_and_programs, postgres_server, server_user, superuser_url
from ops.embedded.servers import prepare
from ops.processes import run_as
from tests.conftest import ROOT
from tests.faults.proxy import Proxy
from tests.faults.system import Server
from tests.worker.waiting import eventually

_IN_SYNC: Final = "SELECT FROM pg_stat_replication WHERE sync_state = 'sync'"


class Standby(Server):
    """Follows the primary by a proxy, `line`, and is read from by another, `proxy`."""

    def __init__(self, primary: Server, name: str = "standby") -> None:
        folder = Path(primary.socket_path).parents[1]
        data_dir, sockets = folder / name, folder / f"{name}-sockets"
        sockets.mkdir()
        sockets.chmod(0o777)
        prepare(data_dir)
        self.line = Proxy(primary.socket_path)
        user = server_user()
        home, programs = home_and_programs(data_dir, user)
        where = f"host=127.0.0.1 port={self.line.port} user=postgres"
        copy: list[str | Path] = [
            programs / "pg_basebackup",
            "--dbname",
            where,
            "--pgdata",
            home / "cluster",
        ]
        run_as(user, [*copy, "--write-recovery-conf", "--checkpoint", "fast"])
        with (home / "cluster" / "postgresql.auto.conf").open("a") as settings:
            # Else a query of a test holds the replay up for half a minute.
            settings.write("max_standby_streaming_delay = 0\nwal_retrieve_retry_interval = 100\n")
        super().__init__(postgres_server(data_dir, sockets))
        self.proxy = Proxy(self.socket_path)
        parts = urlsplit(self.url)
        self.read_url = f"postgresql://{parts.username}@127.0.0.1:{self.proxy.port}{parts.path}"

    def hold(self) -> None:
        """Replay nothing from now on."""
        _insist(self, "SELECT pg_wal_replay_pause()")

    def go_on(self) -> None:
        """Replay what has come meanwhile, and what comes."""
        _insist(self, "SELECT pg_wal_replay_resume()")

    def close(self) -> None:
        self.stop()
        for proxy in (self.line, self.proxy):
            proxy.close()


def in_sync(primary: Server, name: str, how: str = "on") -> Standby:
    """A new replica, for which commits wait once it follows; ``how``: `synchronous_commit`."""
    as_superuser(primary, "ALTER SYSTEM SET synchronous_standby_names = ''")
    as_superuser(primary, "SELECT pg_reload_conf()")
    standby = Standby(primary, name)
    _wait_for_replica(primary, how)
    return standby


def keep_wal(primary: Server) -> None:
    """Keep what `pg_rewind` needs, here and in each copy that is made from now on."""
    as_superuser(primary, "ALTER SYSTEM SET wal_keep_size = '1GB'")
    as_superuser(primary, "SELECT pg_reload_conf()")


def promote(replica: Server) -> None:
    """Have it follow nobody any more, and take writes."""
    _insist(replica, "SELECT pg_promote()")


def rejoin(former: Server, primary: Server, how: str = "on", by: str = "pg_rewind") -> None:
    """Have a former primary follow who has taken its place, by the commands of docs/scale.md.

    ``by``: the program that makes it the same. Commits wait for it again, once it follows.
    """
    former.stop()
    program, _, cluster, *_ = former.argv
    variables = {
        "PATH": f"{Path(program).parent}:/usr/bin:/bin",
        "PGDATA": cluster,
        "NEW": f"host={Path(primary.socket_path).parent} user=postgres dbname=postgres",
    }
    environ = [f"{name}={value}" for name, value in variables.items()]
    run_as(server_user(), ["env", *environ, "sh", "-eu", "-c", _commands(by)])
    former.start()
    _wait_for_replica(primary, how)


def as_superuser(server: Server, statement: str) -> list[Any]:
    """The rows of a statement, around the proxy."""
    with psycopg.connect(superuser_url(server.url), autocommit=True) as connection:
        done = connection.execute(statement.encode())
        return done.fetchall() if done.description is not None else []


def _wait_for_replica(primary: Server, how: str) -> None:
    as_superuser(primary, "ALTER SYSTEM SET synchronous_standby_names = '*'")
    as_superuser(primary, f"ALTER SYSTEM SET synchronous_commit = {how}")
    as_superuser(primary, "SELECT pg_reload_conf()")
    eventually(lambda: as_superuser(primary, _IN_SYNC) != [])


def _insist(replica: Server, statement: str) -> None:
    """Run a statement as the superuser; again if a conflict cancels it.

    That may be as soon as the connection is opened.
    """
    while True:
        try:
            as_superuser(replica, statement)
            return
        except psycopg.OperationalError as error:
            if "conflict with recovery" not in str(error):
                raise


def _commands(program: str) -> str:
    """The block of docs/scale.md by which an operator calls the program."""
    blocks = re.findall(r"(?ms)^```sh\n(.*?)^```$", (ROOT / "docs" / "scale.md").read_text())
    [found] = [block for block in blocks if program in block]
    return str(found)
