"""HTTP/1.1 as uvicorn speaks it, with a time limit for a request's head."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class HttpProtocol(HttpToolsProtocol):
    """Closes connections on which a head does not arrive; uvicorn would hold them for ever."""

    # Seconds from the connection, or the first byte of a further request, to the last header.
    head_timeout = 30.0
    _deadline: asyncio.TimerHandle | None = None
    _awaits_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected, and owes a head."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(self.head_timeout, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        super().connection_lost(exc)
        self._disarm()

    def data_received(self, data: bytes) -> None:
        """Bytes of a head or a body. Most heads arrive whole, and need no timer."""
        super().data_received(data)
        if not self._awaits_head:
            self._disarm()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.head_timeout, self.transport.close)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._awaits_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The last header of a request."""
        self._awaits_head = False
        super().on_headers_complete()

    def _disarm(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None
