"""The PostgreSQL of a soak: a primary and its replica, a pooler before them, and an archive."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from ops.backups.base import bases_in, take_base
from ops.embedded.postgres import home_and_programs, postgres_server, server_user
from ops.embedded.recovery import recover
from ops.embedded.servers import prepare
from ops.processes import stop
from tests.faults.proxy import Proxy
from tests.faults.standby import Standby, in_sync, promote
from tests.faults.system import Server
from tests.ops.pooler import Pooler


class Database:
    """Commits wait for the replica, which is read from.

    ``url`` leads by the pooler to who is the primary, and ``read_url`` to who is the replica.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._archive, sockets = folder, folder / "archive", folder / "sockets"
        sockets.mkdir()
        sockets.chmod(0o777)
        self._data = folder / "data"  # of the primary
        prepare(self._data)
        self.primary = Server(postgres_server(self._data, sockets))
        self._names = (f"replica-{number}" for number in range(1, 100))
        self._follow()
        self._reads = Proxy(self.replica.socket_path)
        path = urlsplit(self.primary.url).path
        self.read_url = f"postgresql://tracker@127.0.0.1:{self._reads.port}{path}"
        pooler = folder / "pooler"
        pooler.mkdir(mode=0o755)
        self._pooler = Pooler(pooler, self._target())
        self.url = self._pooler.url

    @property
    def pids(self) -> list[int]:
        """Of the servers that run."""
        return [each.process.pid for each in (self.primary, self.replica) if each.is_running]

    def fail_over(self) -> None:
        """The primary dies; the replica takes its place, and gets a replica of its own."""
        self.primary.kill()
        promoted, promoted_data = self.replica, self.folder / self._name
        promote(promoted)
        shutil.rmtree(self._data)
        self.primary, self._data = promoted, promoted_data
        self._pooler.lead_to(self._target())
        self._replace_replica()

    def back_up(self) -> None:
        """Copy the server into the archive, as `make backup` does; only the newest is kept."""
        take_base(self.primary.url, self._archive, keep=1)

    def restore(self) -> None:
        """Both servers are lost; of the primary the WAL is left, which it may not have archived.

        The newest copy, the archive and that lead to the last commit that anybody was told of.
        """
        self.primary.kill()
        self.replica.close()
        shutil.rmtree(self.folder / self._name)
        home, _ = home_and_programs(self._data, server_user())
        for folder in ("base", "global"):
            shutil.rmtree(home / "cluster" / folder)
        lost = recover(self._data, self._archive, bases_in(self._archive)[-1], None, "latest")
        shutil.rmtree(lost)
        self.primary.start()
        self._replace_replica()

    def close(self) -> None:
        stop(self._pooler.process)
        self._reads.close()
        self.replica.close()
        self.primary.stop()

    def _follow(self) -> None:
        self._name = next(self._names)
        self.replica: Standby = in_sync(self.primary, self._name)

    def _replace_replica(self) -> None:
        self._follow()
        self._reads.lead_to(self.replica.socket_path)

    def _target(self) -> str:
        return f"host={Path(self.primary.socket_path).parent} dbname=tracker"


@contextmanager
def running_database(folder: Path) -> Iterator[Database]:
    """With an archive of its WAL."""
    archive = os.environ.get("WAL_ARCHIVE")
    os.environ["WAL_ARCHIVE"] = str(folder / "archive")
    try:
        database = Database(folder)
        try:
            yield database
        finally:
            database.close()
    finally:
        os.environ.pop("WAL_ARCHIVE")
        if archive is not None:
            os.environ["WAL_ARCHIVE"] = archive
