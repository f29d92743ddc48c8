"""Processes of ours that need not start: each is forked from one that has imported everything."""

import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.private_files import append_private
from ops.processes import Process, spawn
from tests.hosts.host import HERE, Host, enter

_ROOT = Path(__file__).resolve().parents[1]
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["api.__main__", "ops.commands", "worker.__main__", __name__])


def become(module: str, arguments: Sequence[str], environ: Mapping[str, str], folder: str) -> None:
    """Be ``python -m module arguments`` from now on, in a process that was forked for it."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv[1:] = arguments
    sys.modules.pop(f"{module}.__main__", None)  # it is to run, for the first time
    runpy.run_module(module, run_name="__main__", alter_sys=True)


@dataclass(frozen=True)
class _Call:
    """``python -m module arguments``; what it writes is appended to files."""

    module: str
    arguments: Sequence[str]
    environ: Mapping[str, str]
    stdout: Path
    stderr: Path
    namespace: str = ""

    def run(self, **more: str) -> None:
        """In the process that was forked."""
        for fd, path in ((1, self.stdout), (2, self.stderr)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), fd)
        become(self.module, self.arguments, {**self.environ, **more}, str(_ROOT))

    def serve(self, listener: socket.socket | None) -> None:
        """Likewise, as ``ops.processes.spawn`` does it, and on that socket."""
        if self.namespace:
            enter(self.namespace)
        os.setsid()
        os.umask(0o077)
        threading.Thread(target=_end_with_the_test, daemon=True).start()
        self.run(**({"LISTEN_FD": str(listener.detach())} if listener else {}))


def _end_with_the_test() -> None:
    """Ask ourselves to end once the process that runs the tests has, even if it was killed."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


class Forked(subprocess.Popen[bytes]):
    """A ``python -m module`` with the ways of ``subprocess.Popen``, and no child of ours."""

    def __init__(
        self,
        module: str,
        *,
        log: Path,
        environ: Mapping[str, str],
        listener: socket.socket | None = None,
        host: Host = HERE,
    ) -> None:
        call = _Call(module, [], dict(environ), log, log, host.namespace)
        append_private(log).close()
        self._process = _FORKS.Process(target=call.serve, args=[listener], daemon=True)
        self._process.start()
        self._child_created = False  # so our end asks the kernel for nothing
        self.args = [sys.executable, "-m", module]
        assert self._process.pid
        self.pid = self._process.pid
        self.poll()

    def poll(self) -> int | None:
        self.returncode = self._process.exitcode
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.poll() is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode


def start(
    module: str,
    *,
    log: Path,
    environ: Mapping[str, str],
    listener: socket.socket | None = None,
    host: Host = HERE,
) -> Process:
    """``python -m module``, which may serve on a socket.

    One with a failpoint starts from nothing: its failpoint is set when modules are imported.
    """
    if "FAILPOINT" not in environ:
        return Forked(module, log=log, environ=environ, listener=listener, host=host)
    fds = [listener.fileno()] if listener else []
    own = {"LISTEN_FD": str(fds[0])} if fds else {}
    argv = host.inside([sys.executable, "-m", module])
    return spawn(argv, log=log, environ={**environ, **own}, pass_fds=fds)


def run_forked(
    module: str, arguments: Sequence[str], environ: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run it to its end, as ``subprocess.run`` does."""
    with tempfile.TemporaryDirectory() as folder:
        call = _Call(module, arguments, dict(environ), Path(folder, "out"), Path(folder, "err"))
        process = _FORKS.Process(target=call.run)
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(list(arguments), timeout)
        said, failed = call.stdout.read_text(), call.stderr.read_text()
        return subprocess.CompletedProcess(list(arguments), process.exitcode, said, failed)
