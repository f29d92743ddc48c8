"""Workers that stop at a step of their work, as a machine that stalls does."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from ops.processes import Process
from tests.faults.system import System
from tests.worker.waiting import eventually


def stalled_worker(system: System, step: str, **variables: str) -> Process:
    """A worker that has stopped at a step, and will again whenever it gets there."""
    worker = system.start_worker(FAILPOINT=f"{step}=stop", **variables)
    eventually(lambda: is_stopped(worker.pid))
    return worker


def is_stopped(pid: int) -> bool:
    """Whether SIGSTOP holds the process."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


def wake(process: Process) -> None:
    """Let it go on."""
    process.send_signal(signal.SIGCONT)


@contextmanager
def kept_awake(process: Process) -> Iterator[None]:
    """Wake a process whenever it stalls, until the end of the block."""
    over = Event()

    def wake_again() -> None:
        while not over.wait(0.01):
            wake(process)

    with ThreadPoolExecutor(1) as threads:
        waking = threads.submit(wake_again)
        try:
            yield
        finally:
            over.set()
            waking.result()
