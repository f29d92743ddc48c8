"""The supervisor of child processes."""

import sys
import time
from itertools import pairwise
from pathlib import Path

from ops.processes import Process, Supervisor, spawn


def test_what_ends_again_and_again_is_started_ever_later_and_says_why(tmp_path: Path) -> None:
    log, starts, reports = tmp_path / "log", list[float](), list[str]()

    def start() -> Process:
        starts.append(time.monotonic())
        program = "import sys; print('FATAL: no room'); print('a detail'); sys.exit(3)"
        return spawn([sys.executable, "-c", program], log=log)

    with Supervisor() as supervisor:
        supervisor.start(start, log=log)
        while len(starts) < 4:
            supervisor.restart_ended(reports.append)
            time.sleep(0.01)
    pauses = [later - earlier for earlier, later in pairwise(starts)]
    assert all(pause >= least for pause, least in zip(pauses, [1, 2, 4], strict=True))
    assert [line.split("ended ")[1] for line in reports[:3]] == [
        "(3) FATAL: no room; starting another in 1 s",
        "(3) FATAL: no room; starting another in 2 s",
        "(3) FATAL: no room; starting another in 4 s",
    ]
