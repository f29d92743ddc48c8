"""Child processes that end when we do, and in the order we choose."""

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from pwd import struct_passwd
from types import FrameType
from typing import Final, Self

from shared.errors import TrackerError

_PR_SET_PDEATHSIG = 1
_RESTART_INTERVAL: Final = 1.0  # seconds

Process = subprocess.Popen[bytes]


class ProcessFailed(TrackerError):
    """A child process ended, or did not get ready in time."""


def spawn(
    argv: Sequence[str | Path],
    *,
    log: Path | None,
    environ: Mapping[str, str] | None = None,
    user: struct_passwd | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
    pass_fds: Sequence[int] = (),
) -> Process:
    """Start a process in a session of its own, so that Ctrl-C reaches us alone.

    It writes to ``log``, or where we do. Where the kernel can (Linux), it gets ``stop_signal``
    even if we are killed outright.
    """
    identity = {} if user is None else _identity(user)
    with log.open("ab") if log else nullcontext() as output:
        process: Process = subprocess.Popen(
            [str(argument) for argument in argv],
            env=None if environ is None else dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=pass_fds,
            preexec_fn=_die_with_parent(stop_signal),
            **identity,  # type: ignore[call-overload]
        )
    return process


def run_as(user: struct_passwd | None, argv: Sequence[str | Path], typed: str = "") -> None:
    """Run a program to its end, as ``user`` where given. Raises ProcessFailed."""
    how = {} if user is None else _identity(user)
    command = [str(argument) for argument in argv]
    try:
        done = subprocess.run(  # type: ignore[call-overload]
            command, input=typed, capture_output=True, text=True, cwd="/", **how
        )
    except OSError as error:
        raise ProcessFailed(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        raise ProcessFailed(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")


def wait_until(
    ready: Callable[[], bool], process: Process, log: Path, *, timeout: float = 60
) -> None:
    """Return once ``ready()``; raise ProcessFailed with the end of the log if it never is."""
    deadline = time.monotonic() + timeout
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise ProcessFailed(f"{_name(process)} did not start:\n{tail(log)}")
        time.sleep(0.02)


@dataclass
class _Supervised:
    start: Callable[[], Process]
    stop_signal: signal.Signals
    process: Process
    started_at: float


class Supervisor:
    """Runs processes, starts anew the ones that end, and stops them all when it is left."""

    def __init__(self) -> None:
        self._supervised: list[_Supervised] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._supervised:
            if each.process.poll() is None:
                each.process.send_signal(each.stop_signal)
        for each in self._supervised:
            stop(each.process, each.stop_signal)

    @property
    def processes(self) -> list[Process]:
        """Those that run now, in the order in which they were first started."""
        return [each.process for each in self._supervised]

    def start(
        self, start: Callable[[], Process], stop_signal: signal.Signals = signal.SIGTERM
    ) -> Process:
        """Start a process; ``start`` will be called again whenever it has ended."""
        supervised = _Supervised(start, stop_signal, start(), time.monotonic())
        self._supervised.append(supervised)
        return supervised.process

    def watch(self, report: Callable[[str], None], possible: Callable[[], bool]) -> None:
        """Start anew what ends, for as long as it is ``possible``."""
        while possible():
            self.restart_ended(report)
            time.sleep(_RESTART_INTERVAL)

    def restart_ended(self, report: Callable[[str], None]) -> None:
        """Start anew what has ended, each at most once a second."""
        for each in self._supervised:
            code = each.process.poll()
            if code is not None and time.monotonic() > each.started_at + _RESTART_INTERVAL:
                pid = each.process.pid
                report(f"{_name(each.process)} {pid} ended ({code}); starting another")
                each.started_at, each.process = time.monotonic(), each.start()


def stop(process: Process, how: signal.Signals = signal.SIGTERM, grace: float = 30) -> None:
    """Ask a process to end, and kill it if it has not within ``grace`` seconds."""
    if process.poll() is not None:
        return
    process.send_signal(how)
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def tail(log: Path, lines: int = 20) -> str:
    """The end of a log."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-lines:])


def stop_on_signals() -> None:
    """Ctrl-C, a closed terminal or a kill end what we started, in order, and are no failure."""

    def leave(_signal: int, _frame: FrameType | None) -> None:
        sys.exit(0)

    for how in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(how, leave)


def _identity(user: struct_passwd) -> dict[str, object]:
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _die_with_parent(how: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def set_death_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, how)

    return set_death_signal


def _name(process: Process) -> str:
    """The module that a Python process runs, or the program."""
    arguments = [str(argument) for argument in process.args]  # type: ignore[union-attr]
    return arguments[2] if arguments[1:2] == ["-m"] else Path(arguments[0]).name
