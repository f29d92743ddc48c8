"""The fast lane: requests that are carried out and answered before an ASGI cycle begins.

It refuses nothing. A request that it does not take, for whatever reason, is left to the application
as it has come, and that answers. One that it took and could not carry out is left to the
application, too, with the reason.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

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


class Answer(NamedTuple):
    """``headers``: lines, each with its end, beside those that every answer has."""

    status: int
    headers: bytes
    body: bytes


Reply = Callable[[Answer | Exception], None]


class Lane(Protocol):
    """What the lane is for."""

    def admit(self, scope: Any) -> Any:
        """What is to be done, for a request of this head; None for one that it does not take."""

    def hold(self, task: Any, size: int) -> bool:
        """Whether so many bytes of the body may be held until the rest has come."""

    def release(self, task: Any) -> None:
        """Nothing is held any more."""

    def take(self, task: Any, body: bytes, reply: Reply) -> bool:
        """Begin, and call ``reply`` once it is done; False to leave the request alone."""


class FastLaneProtocol(HttpToolsProtocol):
    """Asks the lane before it begins an ASGI cycle.

    One request of a connection is under way at a time: those that came behind it wait for their
    turn as in uvicorn, and the lane is asked about each.
    """

    time_limit = 30.0  # seconds
    _held: tuple[RequestResponseCycle, Any, Any] | None = None  # with application and task
    _held_since = 0.0
    _hold_ends: asyncio.TimerHandle | None = None
    _reads_head = False
    _head: tuple[list[tuple[bytes, bytes]], int, bytes] = ([], 0, b"")

    def data_received(self, data: bytes) -> None:
        """Bytes of a head or a body."""
        super().data_received(data)
        if self._held:  # the end of its body was not among them
            self._wait_for_body(self._held[0], self._held[2])

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        super().connection_lost(exc)
        self._let_go()

    def on_headers_complete(self) -> None:
        """The last header of a request."""
        self._reads_head = True
        super().on_headers_complete()
        self._reads_head = False

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        super().on_message_complete()
        if held := self._let_go():
            self._try(*held)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """It is the request's turn to be answered."""
        lane: Lane | None = self.app_state.get(FAST_LANE)
        task = lane and not cycle.waiting_for_100_continue and lane.admit(cycle.scope)
        if task and not cycle.more_body:
            self._try(cycle, app, task)
        elif task and self._reads_head:
            self._held = cycle, app, task
        else:
            super()._start_asgi_task(cycle, app)

    def _try(self, cycle: RequestResponseCycle, app: Any, task: Any) -> None:
        def reply(answer: Answer | Exception) -> None:
            if isinstance(answer, Answer):
                self._write(cycle, answer)
            else:
                _scope_of(cycle)[FAILURE] = answer
                start(cycle, app)

        start = super()._start_asgi_task
        if self.flow.write_paused or not self._lane.take(task, bytes(cycle.body), reply):
            start(cycle, app)

    def _write(self, cycle: RequestResponseCycle, answer: Answer) -> None:
        cycle.response_started = cycle.response_complete = True
        if cycle.disconnected:
            return
        closes = b"" if cycle.keep_alive else b"connection: close\r\n"
        head = self._head_of(answer.status, cycle.default_headers)
        self.transport.write(b"".join((head, answer.headers, closes, b"\r\n", answer.body)))
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _head_of(self, status: int, defaults: list[tuple[bytes, bytes]]) -> bytes:
        """The first lines of an answer; uvicorn makes another list each second, with the date."""
        known, known_status, head = FastLaneProtocol._head
        if known is not defaults or known_status != status:
            head = STATUS_LINE[status] + b"".join(b"%s: %s\r\n" % each for each in defaults)
            FastLaneProtocol._head = defaults, status, head
        return head

    def _wait_for_body(self, cycle: RequestResponseCycle, task: Any) -> None:
        """Hold what has come, within the bounds, and not for long."""
        if len(cycle.body) > HIGH_WATER_LIMIT or not self._lane.hold(task, len(cycle.body)):
            self._leave()
        elif self._hold_ends is None:
            self._held_since = self.loop.time()
            patience = min(_PATIENCE, self.time_limit / 2)
            self._hold_ends = self.loop.call_later(patience, self._leave)

    def _leave(self) -> None:
        """Leave a request whose body is not all there to the application."""
        waited = self.loop.time() - self._held_since if self._hold_ends else 0.0
        if held := self._let_go():
            cycle, app, _ = held
            _scope_of(cycle)[HELD_FOR] = waited
            super()._start_asgi_task(cycle, app)

    def _let_go(self) -> tuple[RequestResponseCycle, Any, Any] | None:
        held, self._held = self._held, None
        if self._hold_ends:
            self._hold_ends.cancel()
            self._hold_ends = None
        if held:
            self._lane.release(held[2])
        return held

    @property
    def _lane(self) -> Lane:
        lane: Lane = self.app_state[FAST_LANE]
        return lane


def _scope_of(cycle: RequestResponseCycle) -> Any:
    """For members of our own."""
    return cycle.scope
