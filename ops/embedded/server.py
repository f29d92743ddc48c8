"""What the embedded PostgreSQL and Valkey have in common."""

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from pwd import struct_passwd

from ops.private_files import InUse, locked
from ops.processes import Process, ProcessFailed, spawn


@dataclass(frozen=True)
class Server:
    """How a server is run on its data, reached at ``url``, and stopped."""

    argv: Sequence[str | Path]
    url: str
    log: Path
    lock: Path
    answers: Callable[[], bool]
    stop_signal: signal.Signals = signal.SIGTERM
    user: struct_passwd | None = None
    mend: Callable[[], None] | None = None  # what a loss of power has left of its data

    def spawn(self) -> Process:
        """Start the process, once an earlier one on the same data has ended.

        The server and its children hold the lock, not we: what is left of them when one of us
        is killed is waited for, and never meets a second server.
        """
        try:
            with locked(self.lock, timeout=60) as lock:
                if self.mend:
                    self.mend()
                return spawn(
                    self.argv,
                    log=self.log,
                    user=self.user,
                    stop_signal=self.stop_signal,
                    pass_fds=[lock],
                )
        except InUse:
            raise ProcessFailed(f"{self.lock.stem} of an earlier run is still up") from None
