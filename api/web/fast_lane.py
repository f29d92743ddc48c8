"""The fast lane: requests that are carried out and answered before an ASGI cycle begins.

It refuses nothing. A request that it does not take, for whatever reason, is left to the application
as it has come, and that answers. One that it took and could not carry out is left to the
application, too, with the reason.

A device sends the same head again and again, but for the length of the body. A request that has
come whole and with such a head is not parsed once more.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any, ClassVar, Final, Protocol

from httptools import HttpRequestParser
from msgspec import Struct
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from api.web.body import HELD_FOR

# A scope's name in the state of the process; and its key to why a request was not carried out.
FAST_LANE: Final = "fast_lane"
FAILURE: Final = "failure"
# Seconds for which the lane waits for a body that comes in pieces; the application waits longer.
_PATIENCE: Final = 1.0
_find_length: Final = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: (\d{1,9})\r\n").search


class Answer(Struct, frozen=True):
    """``headers``: lines, each with its end, beside those that every answer has."""

    status: int
    headers: bytes
    body: bytes


Headers = list[tuple[bytes, bytes]]
Client = tuple[str, int] | None
Reply = Callable[[Answer | Exception | None], None]


class Lane(Protocol):
    """What the lane is for."""

    def admit(self, url: bytes, headers: Headers, client: Client, scheme: str) -> Any:
        """What is to be done, for a POST with this head; None for one that it does not take."""

    def remember(self, head: bytes, task: Any) -> None:
        """A head without the length of its body, which is of such a request."""

    def recall(self, head: bytes) -> Any:
        """As ``admit``, of a head that is remembered; None for any other."""

    def hold(self, task: Any, size: int) -> bool:
        """Whether so many bytes of the body may be held until the rest has come."""

    def release(self, task: Any) -> None:
        """Nothing is held any more."""

    def take(self, task: Any, body: bytes, reply: Reply) -> None:
        """Carry it out, and call ``reply``; with None to leave the request alone."""


class FastLaneProtocol(HttpToolsProtocol):
    """Asks the lane before it begins an ASGI cycle.

    One request of a connection is under way at a time: those that came behind it wait for their
    turn as in uvicorn, and the lane is asked about each.
    """

    time_limit = 30.0  # seconds
    _held: "tuple[_Post, Any] | None" = None  # with the task
    _held_since = 0.0
    _hold_ends: asyncio.TimerHandle | None = None
    _reads_head = False
    is_between = True  # two requests, or before the first
    _whole_head = b""  # of a request that came whole, without the length
    _peer = b""
    _head: tuple[Headers, int, bytes] = ([], 0, b"")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        super().connection_made(_of_any_type(transport))
        self.url, self.headers = b"", []
        self._peer = f"{self.client[0] if self.client else ''}\n".encode()

    def data_received(self, data: bytes) -> None:
        """Bytes of a head or a body, or of both."""
        if self.app_state.get(FAST_LANE) and self._is_idle():
            head, end = self._head_of_whole(data)
            if head and (task := self._lane.recall(head)):
                self.begin_known(_Post.of_whole(data[:end], data[end:]), task)
                return
            self._whole_head = head
        self.parse(data)
        self._whole_head = b""

    def _is_idle(self) -> bool:
        """Whether every request that came before is answered, and another one may follow."""
        before = self.cycle
        is_over = before is None or (before.response_complete and before.keep_alive)
        return is_over and self.is_between

    def _head_of_whole(self, data: bytes) -> tuple[bytes, int]:
        """Who sends which head, without its length, if a body of just that follows; and its end."""
        end = data.find(b"\r\n\r\n") + 4
        found = _find_length(data, 0, end)
        if found is None or end + int(found[1]) != len(data):
            return b"", end
        start, stop = found.span(1)
        return b"".join((self._peer, data[:start], data[stop:end])), end

    def begin_known(self, post: "_Post", task: Any) -> None:
        """Take a request without parsing it."""
        self._unset_keepalive_if_required()
        self.cycle = _of_any_type(post)
        self._try(post, task)

    def parse(self, data: bytes) -> None:
        """Have bytes parsed."""
        super().data_received(data)
        if self._held:  # the end of its body was not among them
            self._wait_for_body(*self._held)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        super().connection_lost(exc)
        self._let_go()

    def on_message_begin(self) -> None:
        """The first byte of a request. A scope is made for those that the application gets."""
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self.is_between = False

    def on_headers_complete(self) -> None:
        """The last header of a request."""
        if not self._may_be_taken():
            self.begin_cycle()
            return
        before, post = self.cycle, _of_any_type(_Post.of(self))
        self.cycle = post
        if before is None or before.response_complete:
            self._reads_head = True
            self._start_asgi_task(post, self.app)
            self._reads_head = False
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((post, self.app))

    def _may_be_taken(self) -> bool:
        """Whether the lane is to be asked: about what uvicorn could begin at any later time, too.

        It cannot where the address is such that it answers with 400.
        """
        is_path = self.url.startswith(b"/") and self.url.isascii()
        is_plain = is_path and not (self.expect_100_continue or self.parser.should_upgrade())
        return (
            is_plain and self.parser.get_method() == b"POST" and bool(self.app_state.get(FAST_LANE))
        )

    def begin_cycle(self) -> None:
        """Have uvicorn begin what it begins at the last header."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        self.is_between = True
        super().on_message_complete()
        if held := self._let_go():
            self._try(*held)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """It is the request's turn to be answered."""
        if not isinstance(cycle, _Post):
            super()._start_asgi_task(cycle, app)
            return
        task = self._lane.admit(cycle.url, cycle.headers, self.client, self.scheme or "")
        if task and not cycle.more_body:
            self._try(cycle, task)
        elif task and self._reads_head:
            self._held = cycle, task
        else:
            self._begin_usual(cycle)

    def _begin_usual(self, post: "_Post", **told: Any) -> None:
        """Leave a request to the application, as far as it has come; ``told``: more of its scope.

        Others may have come behind it.
        """
        post.read_head()
        now = self.parser, self.cycle, self.url, self.headers
        expects, self.expect_100_continue = self.expect_100_continue, False
        self.cycle = _of_any_type(None)
        self.parser, self.url, self.headers = _of_any_type(post), post.url, post.headers
        self.begin_cycle()
        cycle = self.cycle
        self.parser, self.cycle, self.url, self.headers = now
        self.expect_100_continue = expects
        if self.cycle is _of_any_type(post):
            self.cycle = cycle
        _scope_of(cycle).update(told)
        cycle.body, cycle.more_body = bytearray(post.body), post.more_body
        cycle.keep_alive, cycle.disconnected = post.keep_alive, post.disconnected
        cycle.message_event.set()

    def _try(self, post: "_Post", task: Any) -> None:
        def reply(answer: Answer | Exception | None) -> None:
            if isinstance(answer, Answer):
                self._write(post, answer)
            else:
                self._begin_usual(post, **({FAILURE: answer} if answer else {}))

        if self._whole_head and post.is_lasting():
            self._lane.remember(self._whole_head, task)
        if self.flow.write_paused:
            self._begin_usual(post)
        else:
            self._lane.take(task, post.body, reply)

    def _write(self, post: "_Post", answer: Answer) -> None:
        post.response_complete = True
        # uvicorn marks only the last request of a connection as disconnected, and uvloop raises an
        # error for a write to one that is closed.
        if post.disconnected or self.transport.is_closing():
            return
        closes = b"" if post.keep_alive else b"connection: close\r\n"
        head = self._head_of(answer.status, self.server_state.default_headers)
        self.transport.write(b"".join((head, answer.headers, closes, b"\r\n", answer.body)))
        if not post.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _head_of(self, status: int, defaults: Headers) -> bytes:
        """The first lines of an answer; uvicorn makes another list each second, with the date."""
        known, known_status, head = FastLaneProtocol._head
        if known is not defaults or known_status != status:
            head = STATUS_LINE[status] + b"".join(b"%s: %s\r\n" % each for each in defaults)
            FastLaneProtocol._head = defaults, status, head
        return head

    def _wait_for_body(self, post: "_Post", task: Any) -> None:
        """Hold what has come, within the bounds, and not for long."""
        if len(post.body) > HIGH_WATER_LIMIT or not self._lane.hold(task, len(post.body)):
            self._leave()
        elif self._hold_ends is None:
            self._held_since = self.loop.time()
            patience = min(_PATIENCE, self.time_limit / 2)
            self._hold_ends = self.loop.call_later(patience, self._leave)

    def _leave(self) -> None:
        """Leave a request whose body is not all there to the application."""
        waited = self.loop.time() - self._held_since if self._hold_ends else 0.0
        if held := self._let_go():
            self._begin_usual(held[0], **{HELD_FOR: waited})

    def _let_go(self) -> "tuple[_Post, Any] | None":
        if not self._held:
            return None
        held, self._held = self._held, None
        if self._hold_ends:
            self._hold_ends.cancel()
            self._hold_ends = None
        self._lane.release(held[1])
        return held

    @property
    def _lane(self) -> Lane:
        lane: Lane = self.app_state[FAST_LANE]
        return lane


class _Nobody:
    """Waits for no event."""

    def set(self) -> None:
        """Nothing follows."""


class _Post(Struct):
    """A request that the lane may take, in place of the cycle that uvicorn would begin.

    To uvicorn it is a cycle and, once the request is left to the application, the parser as it was
    at the last header: by then that may be at another request.
    """

    version: str
    keep_alive: bool
    more_body: bool
    url: bytes = b""
    headers: Headers = []
    body: bytes = b""
    unread: bytes = b""  # the head, where nobody has parsed it
    disconnected: bool = False
    response_complete: bool = False
    message_event: ClassVar[_Nobody] = _Nobody()
    scope: ClassVar[dict[str, Any]] = {}

    @classmethod
    def of(cls, connection: HttpToolsProtocol) -> "_Post":
        """The request of which the last header has come."""
        version = connection.parser.get_http_version()
        keep_alive = version != "1.0" and connection.parser.should_keep_alive()
        return cls(version, keep_alive, True, connection.url, connection.headers)

    @classmethod
    def of_whole(cls, head: bytes, body: bytes) -> "_Post":
        """A request with a head that is like one that was parsed."""
        return cls("1.1", True, False, body=body, unread=head)

    def is_lasting(self) -> bool:
        """Whether another request with such a head may follow, and ends where its length says."""
        is_chunked = any(name == b"transfer-encoding" for name, _ in self.headers)
        return self.keep_alive and self.version == "1.1" and not is_chunked

    def read_head(self) -> None:
        """Parse the head, if nobody has."""
        if self.unread:
            HttpRequestParser(self).feed_data(self.unread)
            self.unread = b""

    def on_url(self, url: bytes) -> None:
        """A part of the address."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """As uvicorn keeps it."""
        self.headers.append((name.lower(), value))

    def get_http_version(self) -> str:
        """As of the parser."""
        return self.version

    def get_method(self) -> bytes:
        """As of the parser."""
        return b"POST"

    def should_upgrade(self) -> bool:
        """As of the parser."""
        return False

    def should_keep_alive(self) -> bool:
        """As of the parser."""
        return self.keep_alive


def _of_any_type(stand_in: object) -> Any:
    """uvicorn names a class where it asks for a few of its members."""
    return stand_in


def _scope_of(cycle: RequestResponseCycle) -> Any:
    """For members of our own."""
    return cycle.scope
