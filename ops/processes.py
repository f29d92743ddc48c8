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

from shared.errors import TrackerError

_PR_SET_PDEATHSIG = 1


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
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, so that Ctrl-C reaches us alone.

    It writes to ``log``, or where we do. Where the kernel can (Linux), it gets ``stop_signal``
    even if we are killed outright.
    """
    identity = {} if user is None else _identity(user)
    with log.open("ab") if log else nullcontext() as output:
        process: subprocess.Popen[bytes] = subprocess.Popen(
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
    ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, *, timeout: float = 60
) -> None:
    """Return once ``ready()``; raise ProcessFailed with the end of the log if it never is."""
    deadline = time.monotonic() + timeout
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise ProcessFailed(f"{_name(process)} did not start:\n{_tail(log)}")
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


def stop(
    process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM, grace: float = 30
) -> None:
    """Ask a process to end, and kill it if it has not within ``grace`` seconds."""
    if process.poll() is not None:
        return
    process.send_signal(how)
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def stop_all(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask all of them to end, then see to it."""
    for process in processes:
        process.terminate()
    for process in processes:
        stop(process)


def _identity(user: struct_passwd) -> dict[str, object]:
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _die_with_parent(how: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def set_death_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, how)

    return set_death_signal


def _name(process: subprocess.Popen[bytes]) -> str:
    program = process.args[0] if isinstance(process.args, list) else process.args
    return Path(str(program)).name


def _tail(log: Path, lines: int = 20) -> str:
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-lines:])
