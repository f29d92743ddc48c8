"""Serves the figures to Prometheus, on a port of their own: nobody outside needs to reach it."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared.monitoring.figures import Figures
from shared.monitoring.system import SystemCollector
from shared.settings import Settings

_INTERVAL: Final = 0.25  # seconds between looks at the plain numbers, and at a port that is taken
# Seconds between a worker's looks: an API process that is started anew is to have the port first,
# as it answers whatever becomes of the workers.
_OF_WORKER: Final = 5.0
logger = logging.getLogger(__name__)


@contextmanager
def monitored(settings: Settings, process: str) -> Iterator[Figures]:
    """Figures of this process, served at METRICS_PORT for as long as the block lasts.

    If another process of this machine serves at that port already, we take over when it ends.
    """
    figures = Figures(settings.metrics_dir, process)
    if not settings.metrics_port:
        yield figures
        return
    figures.registry.register(SystemCollector(settings))
    patience = _OF_WORKER if settings.metrics_dir and process == "worker" else 0
    serving = _Serving(figures, settings, patience)
    serving.start()
    try:
        yield figures
    finally:
        serving.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    timeout = _INTERVAL  # of a wait for a request
    figures: Figures


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10  # seconds in which a request must come

    def do_GET(self) -> None:
        """Answer /metrics with the figures."""
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404, "only /metrics is here")
            return
        self.server.figures.carry_over()
        body = generate_latest(self.server.figures.registry)
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE_LATEST)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing: Prometheus comes every few seconds."""


class _Serving(threading.Thread):
    """Serves when the port is free, and carries the plain numbers over all the while.

    ``patience``: seconds before each try.
    """

    def __init__(self, figures: Figures, settings: Settings, patience: float) -> None:
        super().__init__(name="metrics", daemon=True)
        self._figures = figures
        self._address = (settings.metrics_host, settings.metrics_port)
        self._shared = bool(settings.metrics_dir)
        self._stopped = threading.Event()
        self._has_said = False
        self._patience = patience
        self._try_at = time.monotonic() + patience

    def run(self) -> None:
        """Until ``stop``."""
        while not self._stopped.wait(_INTERVAL):
            self._figures.carry_over()
            if server := self._bind():
                with server:
                    self._serve(server)

    def stop(self) -> None:
        """Let the port go; the numbers are carried over once more."""
        self._stopped.set()
        self.join()
        self._figures.carry_over()

    def _serve(self, server: _Server) -> None:
        while not self._stopped.is_set():
            server.handle_request()
            self._figures.carry_over()

    def _bind(self) -> _Server | None:
        if time.monotonic() < self._try_at:
            return None
        self._try_at = time.monotonic() + self._patience
        try:
            server = _Server(self._address, _Handler)
        except OSError as error:
            if not (self._shared or self._has_said):
                logger.warning("cannot serve figures at METRICS_PORT: %s", error)
            self._has_said = True
            return None
        server.figures = self._figures
        logger.info("serving figures at http://%s:%d/metrics", *server.server_address[:2])
        return server
