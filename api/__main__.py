"""Run one API process: ``python -m api``."""

import gc
import os
import signal
import socket
import sys

import uvicorn

from api.app import create_app
from api.protocol import HttpProtocol
from api.uploads import MAX_MESSAGE
from shared.errors import InvalidSettings
from shared.logs import start_logging
from shared.settings import Settings, read_settings


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are finished within the grace time."""
    config = uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=type("HttpProtocol", (HttpProtocol,), {"head_timeout": settings.body_timeout}),
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE,
        ws_per_message_deflate=False,  # uvicorn inflates and queues before anybody can count
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # nothing here asks where a request came from
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_grace,
    )
    inherited = [socket.socket(fileno=settings.listen_fd)] if settings.listen_fd >= 0 else None
    uvicorn.Server(config).run(sockets=inherited)


def main() -> None:
    """Read the settings, then serve; a wrong setting stops the process at once."""
    try:
        settings = read_settings(os.environ)
    except InvalidSettings as error:
        sys.exit(f"cannot start: {error}")
    start_logging(settings.log_level)
    # uvicorn raises the signal once more when it has shut down; by then all is well.
    for how in (signal.SIGTERM, signal.SIGINT):
        signal.signal(how, lambda *_: sys.exit(0))
    gc.freeze()  # what is imported stays: searching it for garbage held requests up for 20 ms
    serve(settings)


if __name__ == "__main__":
    main()
