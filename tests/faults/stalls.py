"""Workers that stop at a step of their work, as a machine that stalls does."""

import signal
from pathlib import Path

from ops.processes import Process
from tests.faults.invariants import is_idle
from tests.faults.system import System
from tests.worker.waiting import eventually


def stalled_worker(system: System, step: str, **variables: str) -> Process:
    """A worker that has stopped at a step, and will again whenever it gets there."""
    worker = system.start_worker(FAILPOINT=f"{step}=stop", **variables)
    eventually(lambda: is_stopped(worker))
    return worker


def is_stopped(process: Process) -> bool:
    """Whether SIGSTOP holds it."""
    stat = Path(f"/proc/{process.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


def wake(process: Process) -> None:
    """Let it go on."""
    process.send_signal(signal.SIGCONT)


def keep_awake(process: Process, system: System) -> None:
    """Wake a process whenever it stalls again, until all is done."""

    def is_idle_while_awake() -> bool:
        wake(process)
        return is_idle(system)

    eventually(is_idle_while_awake)
