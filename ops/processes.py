"""Child processes that end when we do, and in the order we choose."""

import ctypes
import fcntl
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from pwd import struct_passwd
from types import FrameType

from shared.errors import TrackerError

_PR_SET_PDEATHSIG = 1

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


def run_as(user: struct_passwd | None, argv: Sequence[str | Path]) -> str:
    """Run a program to its end, as ``user`` where given; its output. Raises ProcessFailed."""
    identity = {} if user is None else _identity(user)
    command = [str(argument) for argument in argv]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", **identity)  # type: ignore[call-overload]
    except OSError as error:
        raise ProcessFailed(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        raise ProcessFailed(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return str(done.stdout)


def wait_until(
    ready: Callable[[], bool], process: Process, log: Path, *, timeout: float = 60
) -> None:
    """Return once ``ready()``; raise ProcessFailed with the end of the log if it never is."""
    deadline = time.monotonic() + timeout
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise ProcessFailed(f"{_name(process)} did not start:\n{tail(log)}")
        time.sleep(0.02)


@contextmanager
def exclusive(lock: Path, timeout: float = 60) -> Iterator[int]:
    """Hold a lock file; yields its descriptor, to be passed on to a server.

    The server then holds the lock too, until it ends: should we die first, the next run waits
    here for a server that is still stopping, instead of starting a second one on the same data.
    """
    deadline = time.monotonic() + timeout
    with lock.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ProcessFailed(f"{lock.stem} of an earlier run is still up") from None
                time.sleep(0.05)
        yield file.fileno()


class Supervisor:
    """Runs processes, and starts anew the ones that end."""

    def __init__(self) -> None:
        self._starters: list[Callable[[], Process]] = []
        self._running: list[Process] = []

    def start(self, starter: Callable[[], Process]) -> Process:
        """Start a process; ``starter`` will be called again whenever it has ended."""
        process = starter()
        self._starters.append(starter)
        self._running.append(process)
        return process

    def watch(self, report: Callable[[str], None], possible: Callable[[], bool]) -> None:
        """Start anew what ended, at most once a second; for as long as it is ``possible``."""
        while possible():
            time.sleep(1)
            for at, process in enumerate(self._running):
                if (code := process.poll()) is not None:
                    report(f"{_name(process)} {process.pid} ended ({code}); starting another")
                    self._running[at] = self._starters[at]()

    def stop(self) -> None:
        """Ask all of them to end, then see to it."""
        for process in self._running:
            process.terminate()
        for process in self._running:
            stop(process)


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
