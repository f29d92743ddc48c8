"""Run one API process: ``python -m api``."""

import gc
import logging
import os
import signal
import socket
import sys

import uvicorn
from starlette.types import ASGIApp

from api.app import create_app
from api.ingest.uploads import MAX_MESSAGE
from api.web.protocol import HttpProtocol, WebSocketProtocol, within
from api.web.security_headers import API_HEADERS
from shared.errors import InvalidSettings
from shared.logs import start_logging
from shared.settings import Settings, read_settings
from shared.tracing import start_tracing
from shared.watchdog import Watchdog

logger = logging.getLogger(__name__)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are finished within the grace time."""
    inherited = [socket.socket(fileno=settings.listen_fd)] if settings.listen_fd >= 0 else None
    uvicorn.Server(watched(configure(create_app(settings), settings), settings)).run(inherited)


def watched(config: uvicorn.Config, settings: Settings) -> uvicorn.Config:
    """The same, for a process that ends itself once its event loop stands still.

    While it stops, nothing beats: the grace of a stop comes on top.
    """
    watchdog = Watchdog(settings.stuck_after + settings.shutdown_grace)

    async def beat() -> None:
        watchdog.beat()

    config.callback_notify, config.timeout_notify = beat, 0
    return config


def configure(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """How uvicorn serves an application of ours."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=within(HttpProtocol, settings.body_timeout),
        ws=within(WebSocketProtocol, settings.body_timeout),
        ws_max_size=MAX_MESSAGE,
        # A phone that reconnects every few seconds leaves few connections behind that count.
        ws_ping_interval=5,
        ws_ping_timeout=10,
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        server_header=False,
        headers=API_HEADERS,
        timeout_graceful_shutdown=settings.shutdown_grace,
    )


def main() -> None:
    """Read the settings, then serve; a wrong setting stops the process at once."""
    try:
        settings = read_settings(os.environ)
        start_tracing(os.environ, "api")
    except InvalidSettings as error:
        sys.exit(f"cannot start: {error}")
    start_logging(settings.log_level, settings.log_format)
    if settings.allow_anonymous:
        logger.warning("ALLOW_ANONYMOUS: whoever reaches this address acts as one local user")
    # uvicorn raises the signal once more when it has shut down; by then all is well.
    for how in (signal.SIGTERM, signal.SIGINT):
        signal.signal(how, lambda *_: sys.exit(0))
    gc.set_threshold(20_000, 20, 20)  # hardly anything here is part of a cycle
    gc.freeze()  # what is imported stays: searching it for garbage held requests up for 20 ms
    serve(settings)


if __name__ == "__main__":
    main()
