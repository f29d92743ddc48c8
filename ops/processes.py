"""Child processes that end when we do, and in the order we choose."""

import ctypes
import os
import re
import shutil
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
from typing import Final, NoReturn, Self

from ops.private_files import append_private, create_private
from shared.errors import TrackerError

_PR_SET_PDEATHSIG = 1
_RESTART_INTERVAL: Final = 1.0  # seconds
_LONG_LIFE: Final = 30.0  # seconds after which a process that ends is started anew at once
_LONGEST_PAUSE: Final = 30.0  # seconds before another try
MOST_LOG: Final = 16 * 1024 * 1024  # bytes after which a log is begun anew
OLDER_LOGS: Final = 3

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
    with append_private(log) if log else nullcontext() as output:
        process: Process = subprocess.Popen(
            [str(argument) for argument in argv],
            env=None if environ is None else dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=pass_fds,
            umask=0o077,
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
            command, input=typed, capture_output=True, text=True, cwd="/", umask=0o077, **how
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
    log: Path | None
    process: Process
    started_at: float
    pause: float = 0
    restart_at: float | None = None  # once it has ended

    def plan_restart(self, now: float) -> None:
        """At once after a long life; ever later if it ends again and again."""
        long = now > self.started_at + _LONG_LIFE
        self.pause = 0 if long else min(max(2 * self.pause, _RESTART_INTERVAL), _LONGEST_PAUSE)
        self.restart_at = now + self.pause

    def end(self) -> str:
        """One line that says how it ended, why if it said so itself, and when it starts anew."""
        code = self.process.returncode
        why = f" {_complaint(self.log)}" if self.log and code > 0 else ""
        when = f" in {self.pause:.0f} s" if self.pause else ""
        return (
            f"{_name(self.process)} {self.process.pid} ended ({code}){why}; starting another{when}"
        )


class Supervisor:
    """Runs processes, starts anew the ones that end, and stops them all when it is left.

    Their logs are kept from growing without end.
    """

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
        self,
        start: Callable[[], Process],
        stop_signal: signal.Signals = signal.SIGTERM,
        log: Path | None = None,
    ) -> Process:
        """Start a process; ``start`` will be called again whenever it has ended."""
        supervised = _Supervised(start, stop_signal, log, start(), time.monotonic())
        self._supervised.append(supervised)
        return supervised.process

    def watch(self, report: Callable[[str], None]) -> NoReturn:
        """Start anew what ends, until a signal comes."""
        while True:
            self.restart_ended(report)
            time.sleep(_RESTART_INTERVAL)

    def restart_ended(self, report: Callable[[str], None]) -> None:
        """Start anew what has ended, and say so; what ends again and again waits ever longer."""
        now = time.monotonic()
        for each in self._supervised:
            if each.log:
                rotate(each.log)
            if each.process.poll() is None:
                continue
            if each.restart_at is None:
                each.plan_restart(now)
                report(each.end())
            if each.restart_at is not None and now >= each.restart_at:
                _restart(each, report)


def _restart(ended: _Supervised, report: Callable[[str], None]) -> None:
    ended.started_at = time.monotonic()
    try:
        ended.process, ended.restart_at = ended.start(), None
    except ProcessFailed as error:  # as what is left of it has yet to end
        ended.plan_restart(time.monotonic())
        report(f"{error}; trying again in {ended.pause:.0f} s")


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


def rotate(log: Path, most: int = MOST_LOG, older: int = OLDER_LOGS) -> None:
    """Begin a log anew once it is large; of what was before, the newest ``older`` parts are kept.

    Whoever writes it has it open, so it is copied and emptied in place: what is written between
    the two is lost. It must be open for appending, as ``spawn`` opens it.
    """
    if not log.exists() or log.stat().st_size < most:
        return
    for number in range(older, 1, -1):
        part = _part(log, number - 1)
        if part.exists():
            part.rename(_part(log, number))
    with create_private(_part(log, 1)) as copy, log.open("rb") as source:
        shutil.copyfileobj(source, copy)
    os.truncate(log, 0)


def _part(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")


def tail(log: Path, lines: int = 20) -> str:
    """The end of a log."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-lines:])


def _complaint(log: Path) -> str:
    """What a process that gave up said last."""
    lines = tail(log).splitlines() or ["nothing said"]
    fatal = [line for line in lines if re.search("fatal|panic|error", line, re.IGNORECASE)]
    return (fatal or lines)[-1].strip()


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
