"""An API process whose event loop stands still, as it would by a bug."""

import socket
import sys
from contextlib import suppress
from pathlib import Path

import httpx2

from ops.processes import spawn, stop
from tests.conftest import ROOT

# The server of the API around a request that never ends, and lets nobody else run.
STUCK = """
import socket, sys
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route
from api.__main__ import configure, watched
from shared.settings import read_settings

async def hang(_):
    while True:
        pass

settings = read_settings({
    "DATABASE_URL": "postgresql:///x", "REDIS_URL": "redis://x",
    "STUCK_AFTER": "1", "SHUTDOWN_GRACE": "1",
})
listener = socket.socket(fileno=int(sys.argv[1]))
app = Starlette(routes=[Route("/hang", hang)])
config = watched(configure(app, settings), settings)
uvicorn.Server(config).run([listener])
"""


def test_an_api_whose_event_loop_stands_still_ends_itself(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    environ = {"PYTHONPATH": str(ROOT)}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        fd = listener.fileno()
        command = [sys.executable, "-c", STUCK, str(fd)]
        api = spawn(command, log=log, environ=environ, pass_fds=[fd])
    try:
        with suppress(httpx2.TransportError):
            httpx2.get(f"{url}/hang", timeout=60)
        assert api.wait(30) == 1
    finally:
        stop(api)
    assert "in hang" in log.read_text()
