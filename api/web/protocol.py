"""HTTP/1.1 and WebSockets by uvicorn, with limits on heads, and without secrets in the log."""

import asyncio
import logging
import socket
from http import HTTPStatus
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Response
from websockets.server import ServerProtocol

from api.web.cors import headers_for
from api.web.fast_lane import FastLaneProtocol
from api.web.security_headers import API_HEADERS, SHARED_PATH, STREAMS_PATH, headers_of
from shared.settings import Settings

_API: Final = "/api/"
_OF_THEIR_OWN: Final = (SHARED_PATH, STREAMS_PATH)  # answers with other headers
# uvicorn logs each handshake with its query, websockets its headers, keys among them, and messages.
_discreet = logging.getLogger("uvicorn.error.websockets")
_discreet.setLevel(logging.WARNING)

# Bytes: of a head, and of what frames a body (sizes of chunks, their extensions, trailers).
MOST_HEAD: Final = 64 * 1024
MOST_FRAMING: Final = 1024 * 1024
# Frames of a WebSocket that end no message: at once, and a second.
MOST_FRAMES: Final = 100
_FRAMES_A_SECOND: Final = 5
_FRAMES_A_MESSAGE: Final = 20.0
_SLICE: Final = 4096  # bytes
# A scope's key to a function that ends its answer: one that would go on after the process stops.
END_AT_STOP: Final = "end_at_stop"
_BODY_HEADERS: Final = (b"content-length", b"transfer-encoding")


def within(protocol: "type[_Deadlines]", seconds: float) -> "type[Any]":
    """The protocol, as uvicorn asks for a class, with so many seconds for a head and a write."""
    return type(protocol.__name__, (protocol,), {"time_limit": seconds})


class _Deadlines(asyncio.Protocol):
    """Aborts a connection whose peer does not take what is written to it.

    Above the transport's high-water mark, the buffer must be down to the low one in time. What is
    below it, as at the end of an answer, the kernel gives up where it can (Linux).
    """

    time_limit = 30.0  # seconds
    transport: asyncio.Transport
    _write_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        if hasattr(socket, "TCP_USER_TIMEOUT") and connection.family != socket.AF_UNIX:
            limit = int(self.time_limit * 1000)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        super().connection_lost(exc)
        self._cancel_write_deadline()

    def pause_writing(self) -> None:
        """The peer takes less than is written."""
        super().pause_writing()
        loop = asyncio.get_running_loop()
        self._write_deadline = loop.call_later(self.time_limit, self.transport.abort)

    def resume_writing(self) -> None:
        """The peer has taken most of it."""
        super().resume_writing()
        self._cancel_write_deadline()

    def _cancel_write_deadline(self) -> None:
        if self._write_deadline:
            self._write_deadline.cancel()
            self._write_deadline = None


class HttpProtocol(_Deadlines, FastLaneProtocol):
    """Closes connections whose head does not arrive in time, or is too large.

    uvicorn would keep the former open for ever, and of the latter hold every header, of trailers as
    well. The application could not count them: it only sees whole requests.
    """

    # From the connection, or the first byte of a further request, to the last header.
    _deadline: asyncio.TimerHandle | None = None
    _awaits_head = True
    _framing = 0  # bytes of this request that were no body, but for those of its first piece

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected, and owes a head."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(self.time_limit, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        super().connection_lost(exc)
        self._disarm()

    def begin_known(self, post: Any, task: Any) -> None:
        """A whole request, with a head that is no larger than another was."""
        self._awaits_head = False
        self._disarm()
        super().begin_known(post, task)

    def parse(self, data: bytes) -> None:
        """Bytes of a head or a body. Most heads arrive whole, and need no timer."""
        self._framing += len(data)
        super().parse(data)
        if self._framing > (MOST_HEAD if self._awaits_head else MOST_FRAMING):
            self._refuse("The head is too large.")
        if not self._owes():
            self._disarm()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.time_limit, self.transport.close)

    def shutdown(self) -> None:
        """The process stops: answers under way are finished, and those without an end are ended."""
        super().shutdown()
        scope: Any = {} if self.cycle is None or self.cycle.response_complete else self.cycle.scope
        if end := scope.get(END_AT_STOP):
            end()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._awaits_head = True
        self._framing = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The last header of a request."""
        self._awaits_head = False
        super().on_headers_complete()
        if self.parser.should_upgrade() and self._should_upgrade() and self._announces_body():
            # The handshake would wait for a body that nobody reads.
            self._refuse("A WebSocket handshake has no body.")
        self.headers = _NoTrailers(self.headers)

    def begin_cycle(self) -> None:
        """Have the application asked. Some paths are answered with headers of their own."""
        before = self.cycle
        super().begin_cycle()
        if self.cycle is before:  # a WebSocket
            return
        path = self.scope["path"]
        if not path.startswith(_API) or path.startswith(_OF_THEIR_OWN):
            date = [each for each in self.cycle.default_headers if each[0] == b"date"]
            own = [
                (name.encode(), value.encode())
                for name, value in headers_of(path, self._tiles_url())
            ]
            self.cycle.default_headers = [*date, *own]
        if self.scope["method"] in ("GET", "HEAD"):
            self.cycle.default_headers = _Defaults(self.cycle.default_headers)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, with the headers of every answer: no application sees it."""
        body = msg.encode("ascii")
        headers = [
            *self.server_state.default_headers,
            *self._allows(),
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        lines = (b"%s: %s\r\n" % each for each in headers)
        self.transport.write(b"".join([STATUS_LINE[400], *lines, b"\r\n", body]))
        self.transport.close()

    def _allows(self) -> list[tuple[bytes, bytes]]:
        """Which pages may read an answer to nobody knows whom."""
        settings: Settings | None = self.app_state.get("settings")
        if not (settings and settings.cors_origins):
            return []
        allowed = headers_for("", settings.cors_origins)
        return [(name.lower().encode(), value.encode()) for name, value in allowed]

    def _tiles_url(self) -> str:
        settings: Settings | None = self.app_state.get("settings")
        return settings.map_tiles_url if settings else ""

    def on_body(self, body: bytes) -> None:
        """A piece of a body: `BodyBudget` counts it."""
        self._framing -= len(body)
        super().on_body(body)

    def _owes(self) -> bool:
        """Whether the peer owes a head, or a body for which nobody waits as it is answered already.

        uvicorn would keep such a connection for ever. A body that is read has its own time limit.
        """
        is_answered = self.cycle is not None and self.cycle.response_complete
        return self._awaits_head or (is_answered and not self.is_between)

    def _announces_body(self) -> bool:
        announced = {name: value for name, value in self.headers if name in _BODY_HEADERS}
        return announced.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in announced

    def _refuse(self, why: str) -> None:
        if not self.transport.is_closing():
            self.send_400_response(why)

    def _disarm(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None


class _Defaults(list[tuple[bytes, bytes]]):
    """The headers of every answer; what the answer says itself, as of its keeping, goes before."""

    def __add__(self, own: Any) -> Any:
        """Those that the answer does not have, and its own."""
        said = {name.lower() for name, _ in own}
        return [each for each in self if each[0].lower() not in said] + own


class _NoTrailers(list[tuple[bytes, bytes]]):
    """The headers of a request. Those that come after its body are dropped: nobody reads them."""

    def append(self, _: tuple[bytes, bytes]) -> None:
        """Drop a header."""


class WebSocketProtocol(_Deadlines, WebSocketsSansIOProtocol):
    """Logs no handshake and no message, and adds the headers of every answer to refusals.

    While the peer does not take its pongs, no further ping is read. Frames that end no message
    (pings, pongs, parts of messages) cost as much as a message and bring nothing: a peer that sends
    very many is hung up on.
    """

    _spare_frames = float(MOST_FRAMES)
    _counted_at = 0.0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.logger = _discreet
        # No extensions: uvicorn inflates and queues before anybody can count.
        self.conn = _Handshake(max_size=self.config.ws_max_size, logger=_discreet)

    def data_received(self, data: bytes) -> None:
        """Bytes of the handshake or of frames, of which a slice is read at a time."""
        for at in range(0, len(data), _SLICE):
            if self.transport.is_closing():
                return
            super().data_received(data[at : at + _SLICE])
            if self.conn.handshake_exc and not self.handshake_initiated:
                self._refuse_handshake()

    def handle_cont(self, event: Frame) -> None:
        """A further part of a message."""
        super().handle_cont(event)
        if not event.fin:
            self._count_frame()

    async def send(self, message: Any) -> None:
        """Send what the application says. A handshake that it has refused is over.

        uvicorn would take it for one that was forgotten, and log an error.
        """
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True

    def send_receive_event_to_app(self) -> None:
        """A message is complete, and may have come in some parts."""
        super().send_receive_event_to_app()
        self._spare_frames = max(self._spare_frames, _FRAMES_A_MESSAGE)

    def handle_pong(self, event: Frame) -> None:
        """An answer to a ping of ours, or what nobody asked for."""
        super().handle_pong(event)
        self._count_frame()

    def handle_ping(self) -> None:
        """Answer with a pong."""
        super().handle_ping()
        self._count_frame()
        if not self.writable.is_set():
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """The peer has taken its pongs."""
        super().resume_writing()
        if not self.read_paused:  # else a message waits for the application
            self.transport.resume_reading()

    def _count_frame(self) -> None:
        """A token bucket: it holds MOST_FRAMES, and some flow in each second."""
        now = self.loop.time()
        gained = (now - self._counted_at) * _FRAMES_A_SECOND
        self._spare_frames = min(self._spare_frames + gained, MOST_FRAMES) - 1
        self._counted_at = now
        if self._spare_frames < 0:
            self.transport.abort()

    def _refuse_handshake(self) -> None:
        """uvicorn would neither send what websockets made of the head, nor hang up."""
        self.conn.data_to_send()
        response = self.conn.reject(HTTPStatus.BAD_REQUEST, "This is no WebSocket handshake.\n")
        _add_headers(response)
        self.transport.write(response.serialize())
        self.transport.close()


def _add_headers(response: Response) -> None:
    """The headers of every answer, but for those that it has."""
    for name, value in API_HEADERS:
        if name not in response.headers:
            response.headers[name] = value


class _Handshake(ServerProtocol):
    def send_response(self, response: Response) -> None:
        _add_headers(response)
        super().send_response(response)
