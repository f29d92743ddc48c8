"""A real PgBouncer in transaction mode, by the file that compose.yaml uses."""

import re
import shutil
import signal
import socket
from pathlib import Path

from ops.embedded.postgres import server_user
from ops.processes import Process, spawn, stop, wait_until
from tests.conftest import ROOT, need
from tests.ops.databases import accepts

CONFIGURATION = (ROOT / "ops" / "pgbouncer" / "pgbouncer.ini").read_text()
# Debian has it where only root's PATH leads.
PROGRAM = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")


def configuration(**values: str) -> str:
    """The file, with these values in place of its own."""
    text = CONFIGURATION
    for name, value in values.items():
        text, count = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value}", text)
        assert count == 1, name
    return text


class Pooler:
    """One in front of the database ``target``, as its file names that; ``folder`` is its own."""

    def __init__(self, folder: Path, target: str, **values: str) -> None:
        need("pgbouncer" if PROGRAM is None else PROGRAM, "pgbouncer")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]
        users, self._file, self._log = (folder / each for each in ("users", "ini", "pooler.log"))
        users.write_text('"tracker" "a password"\n')
        self._file.write_text(
            configuration(
                tracker=target,
                listen_addr="127.0.0.1",
                listen_port=str(self.port),
                auth_file=str(users),
                **values,
            )
        )
        self.url = self.reached_at(self.port)
        self.start()

    @staticmethod
    def reached_at(port: int) -> str:
        """The address of the database by that port."""
        return f"postgresql://tracker:a%20password@127.0.0.1:{port}/tracker"

    def lead_to(self, target: str) -> None:
        """Another server's database from now on, as an operator does after a failover."""
        text = self._file.read_text()
        self._file.write_text(re.sub(r"(?m)^tracker = .*$", f"tracker = {target}", text))
        self.process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """As an orderly restart does."""
        stop(self.process, signal.SIGINT)

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def start(self) -> None:
        """Start it, again."""
        self.process: Process = spawn([str(PROGRAM), self._file], log=self._log, user=server_user())
        wait_until(self._listens, self.process, self._log)

    def _listens(self) -> bool:
        """Whether it takes connections, whatever is behind it."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def accepts(self) -> bool:
        """Whether it leads to a database that answers."""
        return accepts(self.url)
