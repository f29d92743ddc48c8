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


def memory_of(pid: int, *, at_most: bool = False) -> float:
    """MB that a process holds, or has ever held (Linux); 0 of one that has ended."""
    name = "VmHWM" if at_most else "VmRSS"
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    held = [line for line in lines if line.startswith(name)]
    return int(held[0].split()[1]) / 1000 if held else 0


def children_of(pid: int) -> list[int]:
    """The processes that a process has started."""
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def _cpu_seconds(pid: int) -> float:
    # After the name, which may hold spaces: the times of ended children are fields 16 and 17.
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, stat[13:15])) / _TICKS + sum(map(_clock, (pid, *children_of(pid))))


def _clock(pid: int) -> float:
    """The CPU time of one process; to the nanosecond, where /proc has hundredths of a second."""
    try:
        return time.clock_gettime(~pid << 3 | 2)  # as clock_getcpuclockid(3) makes the number
    except OSError:  # a child that has ended since: its parent has its time
        return 0
