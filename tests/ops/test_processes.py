"""The supervisor of child processes."""

import subprocess
import sys
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

from ops.private_files import append_private
from ops.processes import MOST_LOG, Process, Supervisor, rotate, spawn
from tests.worker.waiting import eventually


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


def has(log: Path, content: bytes) -> bool:
    return log.read_bytes() == content


def test_a_log_that_has_grown_large_is_begun_anew_and_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"
    with (
        append_private(log) as output,
        subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=output
        ) as writer,
    ):
        assert writer.stdin is not None
        for part in (b"a", b"b", b"c", b"d", b"e"):
            line = part * 10 + b"\n"
            writer.stdin.write(line)
            writer.stdin.flush()
            eventually(partial(has, log, line))
            rotate(log, most=12, older=2)  # 11 bytes are not too many yet
            assert has(log, line)
            rotate(log, most=11, older=2)
            assert has(log, b"")
        writer.stdin.close()
    kept = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert kept == {"log": "", "log.1": "e" * 10 + "\n", "log.2": "d" * 10 + "\n"}
    assert (tmp_path / "log.1").stat().st_mode & 0o777 == 0o600


def test_a_supervisor_keeps_the_logs_of_what_it_runs_small(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = f"print('x' * {MOST_LOG}, flush=True); import time; time.sleep(60)"
    with Supervisor() as supervisor:
        process = supervisor.start(lambda: spawn([sys.executable, "-c", program], log=log), log=log)
        eventually(lambda: log.stat().st_size > MOST_LOG)
        supervisor.restart_ended(print)
        assert log.stat().st_size == 0
        assert log.with_name("log.1").stat().st_size == MOST_LOG + 1
        process.kill()
