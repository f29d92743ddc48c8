"""``python -m ops`` without the second in which it imports everything.

A server has it imported, and forks for each command: ``python -m tests.ops.quick SOCKET``. Run as a
script, ``quick.py SOCKET COMMAND …``, this gives a command to it, with its environment, folder,
standard streams and exit code.
"""

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

_LONGEST = 200_000  # bytes of a command with its environment


@contextmanager
def quick_ops(folder: Path) -> Iterator[str]:
    """What to say in place of ``python -m ops``."""
    from ops.processes import spawn, stop, wait_until

    path, log = folder / "quick", folder / "quick.log"
    process = spawn([sys.executable, "-m", "tests.ops.quick", path], log=log)
    try:
        wait_until(path.exists, process, log)
        yield f"{sys.executable} -S -E {__file__} {path}"
    finally:
        stop(process)


def serve(path: str) -> None:
    """Run each command in a process of its own, until a signal ends this one."""
    for slow in ("ops.commands", "tests.forking"):
        import_module(slow)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"{path}.new")
        listener.listen()
        os.rename(f"{path}.new", path)
        while True:
            peer, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                os.write(peer.fileno(), bytes([run(peer)]))
                os._exit(0)
            peer.close()
            os.waitpid(-1, os.WNOHANG)


def run(peer: socket.socket) -> int:
    """Run a command as if it had been started where it comes from; its exit code."""
    from tests.forking import become

    message, streams, _, _ = socket.recv_fds(peer, _LONGEST, 3)
    arguments, environ, folder = json.loads(message)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    code: object = None
    try:
        become("ops", arguments, environ, folder)
    except SystemExit as end:
        code = end.code
    if isinstance(code, str):
        sys.stderr.write(f"{code}\n")
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(bool(code))


def ask(path: str, arguments: list[str]) -> int:
    """Have the server run a command; its exit code."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.connect(path)
        message = json.dumps([arguments, dict(os.environ), os.getcwd()]).encode()
        socket.send_fds(server, [message], [0, 1, 2])
        return (server.recv(1) or b"\x01")[0]


if __name__ == "__main__":
    if len(sys.argv) == 2:
        serve(sys.argv[1])
    else:
        sys.exit(ask(sys.argv[1], sys.argv[2:]))
