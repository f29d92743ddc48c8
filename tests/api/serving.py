"""API processes with settings of their own."""

import os
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2

from ops.processes import spawn, stop, wait_until
from tests.conftest import ROOT


@contextmanager
def serving(
    urls: Mapping[str, str],
    log: Path,
    *,
    unix: bool = False,
    is_public: bool = False,
    **variables: str,
) -> Iterator[httpx2.Client]:
    """Run one; yields a client of it, which comes by a Unix socket if ``unix``.

    ``is_public``: its PUBLIC_URL is where it is.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as listener,
    ):
        path = f"{folder}/s"
        listener.bind(path if unix else ("127.0.0.1", 0))
        listener.listen()
        fd = listener.fileno()
        url = "http://api" if unix else f"http://127.0.0.1:{listener.getsockname()[1]}"
        own = {"PYTHONPATH": str(ROOT), "LISTEN_FD": str(fd), **variables}
        own |= {"PUBLIC_URL": url} if is_public else {}
        environ = {**os.environ, **urls, **own}
        process = spawn([sys.executable, "-m", "api"], log=log, environ=environ, pass_fds=[fd])
        transport = httpx2.HTTPTransport(uds=path if unix else None)
        with httpx2.Client(base_url=url, transport=transport, timeout=30) as client:
            try:
                wait_until(lambda: lives(client), process, log)
                yield client
            finally:
                stop(process)


def lives(client: httpx2.Client) -> bool:
    """Whether the process answers already."""
    try:
        return client.get("/health/live").is_success
    except httpx2.TransportError:
        return False
