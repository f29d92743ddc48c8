"""HTTP/1.1 and WebSockets by uvicorn, with limits on heads, and without secrets in the log."""

import asyncio
import logging
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Response
from websockets.server import ServerProtocol

from api.web.security_headers import API_HEADERS, DOCS_HEADERS, DOCS_PATH

_DOCS_URL: Final = DOCS_PATH.encode()
_DOCS_HEADERS: Final = [(name.encode(), value.encode()) for name, value in DOCS_HEADERS]
# uvicorn logs each handshake with its query, websockets its headers, keys among them, and messages.
_discreet = logging.getLogger("uvicorn.error.websockets")
_discreet.setLevel(logging.WARNING)

# Bytes: of a head, and of what frames a body (sizes of chunks, their extensions, trailers).
MOST_HEAD: Final = 64 * 1024
MOST_FRAMING: Final = 1024 * 1024


class HttpProtocol(HttpToolsProtocol):
    """Closes connections whose head does not arrive in time, or is too large.

    uvicorn would keep the former open for ever, and of the latter hold every header, of trailers as
    well. The application could not count them: it only sees whole requests.
    """

    # Seconds from the connection, or the first byte of a further request, to the last header.
    head_timeout = 30.0
    _deadline: asyncio.TimerHandle | None = None
    _awaits_head = True
    _framing = 0  # bytes of this request that were no body, but for those of its first piece

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
        self._framing += len(data)
        super().data_received(data)
        if self._framing > (MOST_HEAD if self._awaits_head else MOST_FRAMING):
            self._refuse()
        if not self._awaits_head:
            self._disarm()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.head_timeout, self.transport.close)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._awaits_head = True
        self._framing = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The last header of a request: what is below /docs is answered with headers of its own."""
        self._awaits_head = False
        super().on_headers_complete()
        if self.cycle and self.url.startswith(_DOCS_URL):
            date = [each for each in self.cycle.default_headers if each[0] == b"date"]
            self.cycle.default_headers = [*date, *_DOCS_HEADERS]
        self.headers = _NoTrailers(self.headers)

    def on_body(self, body: bytes) -> None:
        """A piece of a body: `BodyBudget` counts it."""
        self._framing -= len(body)
        super().on_body(body)

    def _refuse(self) -> None:
        if not self.transport.is_closing():
            self.send_400_response("The head is too large.")

    def _disarm(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None


class _NoTrailers(list[tuple[bytes, bytes]]):
    """The headers of a request. Those that come after its body are dropped: nobody reads them."""

    def append(self, _: tuple[bytes, bytes]) -> None:
        """Drop a header."""


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Logs no handshake and no message, and adds the headers of every answer to refusals."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.logger = _discreet
        # No extensions: uvicorn inflates and queues before anybody can count.
        self.conn = _Handshake(max_size=self.config.ws_max_size, logger=_discreet)


class _Handshake(ServerProtocol):
    def send_response(self, response: Response) -> None:
        for name, value in API_HEADERS:
            if name not in response.headers:
                response.headers[name] = value
        super().send_response(response)
