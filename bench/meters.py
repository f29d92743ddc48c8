"""What work costs: clocks and counters, read before it and after it."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from ops.processes import Process

T = TypeVar("T")
Meter = Callable[[], float]

_TICKS: Final = os.sysconf("SC_CLK_TCK")


def spent(work: Callable[[], T], *meters: Meter) -> tuple[T, list[float]]:
    """Do it; its result, and how far each meter has moved.

    The first is read first and last: what reading the others costs, it counts.
    """
    before = [read() for read in meters]
    result = work()
    after = [read() for read in reversed(meters)]
    return result, [now - then for now, then in zip(reversed(after), before, strict=True)]


def cpu_of(*processes: Process) -> Meter:
    """CPU seconds of processes and their children, those that have ended included."""
    return lambda: sum(_cpu_seconds(process.pid) for process in processes)


def _cpu_seconds(pid: int) -> float:
    # After the name, which may hold spaces: the times of ended children are fields 16 and 17.
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(map(int, stat[13:15])) / _TICKS + sum(map(_clock, (pid, *map(int, children))))


def _clock(pid: int) -> float:
    """The CPU time of one process; to the nanosecond, where /proc has hundredths of a second."""
    try:
        return time.clock_gettime(~pid << 3 | 2)  # as clock_getcpuclockid(3) makes the number
    except OSError:  # a child that has ended since: its parent has its time
        return 0
