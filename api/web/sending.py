"""Answers on their way: bounds on what they hold, and on the time their readers take."""

import asyncio
from collections import Counter
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Hashable,
    Iterator,
    MutableMapping,
)
from contextlib import contextmanager
from functools import partial
from typing import Any, Final
from uuid import UUID

from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from api.web.problems import TooManyRequests
from shared.errors import ServiceUnavailable

# Rides that a user may be reading the samples of at a time, in one process.
MOST_READS: Final = 3
# Bytes: an answer up to here is in the buffers of its connection, and is not counted.
UNCOUNTED: Final = 64 * 1024
_SHARES: Final = 4
_RETRY_AFTER: Final = 5  # seconds
_HELD: Final = "held_by_answer"


class AnswerBudget:
    """Bounds the bytes that a process holds for answers, each until it was sent.

    A user has at most a quarter of it, so that nobody can keep others from reading by not reading.
    What is larger than that is sent one at a time, and counts as a quarter: in all there is held no
    more than ``limit`` and one such answer. ``patience``: the seconds that a further read waits for
    one of the same user's to end.
    """

    def __init__(self, limit: int, patience: float) -> None:
        self._limit = limit
        self._share = limit // _SHARES
        self._patience = patience
        self._held = 0
        self._held_by: Counter[UUID] = Counter()
        self._is_over_share = False
        self._reads: dict[Hashable, asyncio.Semaphore] = {}
        self._readers: Counter[Hashable] = Counter()  # those who wait, too

    @contextmanager
    def holding(self, scope: MutableMapping[str, Any]) -> Iterator[None]:
        """Release at the end what the request has taken in between."""
        scope[_HELD] = released = list[Callable[[], None]]()
        try:
            yield
        finally:
            for release in released:
                release()

    def take(self, scope: MutableMapping[str, Any], user_id: UUID, count: int) -> None:
        """Hold ``count`` bytes more. Raises TooManyRequests, ServiceUnavailable."""
        own, large = self._held_by[user_id], count > self._share
        if own and own + count > self._share:
            raise _too_many("answers of yours are not read: read them to their end, or close them")
        counted = min(count, self._share)
        if self._held + counted > self._limit or (large and self._is_over_share):
            raise ServiceUnavailable("too many answers are held at a time", _RETRY_AFTER)
        self._held += counted
        self._held_by[user_id] += counted
        self._is_over_share |= large
        scope[_HELD].append(partial(self._release, user_id, counted, large))

    async def begin_read(self, scope: MutableMapping[str, Any], reader: Hashable) -> None:
        """Count as one of the user's reads, or of their receipts, until the answer was sent.

        Waits for another one to end, but not for long. Raises TooManyRequests.
        """
        reads = self._reads.setdefault(reader, asyncio.Semaphore(MOST_READS))
        self._readers[reader] += 1
        try:
            async with asyncio.timeout(self._patience):
                await reads.acquire()
        except BaseException as error:
            self._forget_reader(reader)
            if isinstance(error, TimeoutError):
                detail = f"{MOST_READS} reads of yours are under way: read them to their end"
                raise _too_many(detail) from None
            raise
        scope[_HELD].append(partial(self._end_read, reader))

    def _release(self, user_id: UUID, counted: int, large: bool) -> None:
        self._held -= counted
        self._held_by[user_id] -= counted
        if not self._held_by[user_id]:
            del self._held_by[user_id]
        if large:
            self._is_over_share = False

    def _end_read(self, reader: Hashable) -> None:
        self._reads[reader].release()
        self._forget_reader(reader)

    def _forget_reader(self, reader: Hashable) -> None:
        self._readers[reader] -= 1
        if not self._readers[reader]:
            del self._readers[reader], self._reads[reader]


class TimedStream(StreamingResponse):
    """An answer in pieces, each of which must be taken within ``patience`` seconds."""

    def __init__(self, pieces: AsyncIterable[bytes], patience: float, **options: Any) -> None:
        super().__init__(pieces, **options)
        self._patience = patience

    @classmethod
    def of(cls, response: Response, patience: float) -> "TimedStream":
        """The same answer: written at once, it would be held by its connection, and not counted."""
        stream = cls(_pieces(bytes(response.body)), patience, status_code=response.status_code)
        stream.raw_headers = response.raw_headers
        return stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. Of a HEAD request, the head alone: no piece is made."""

        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(self._patience):
                await send(message)

        if scope["method"] == "HEAD":
            head = {"status": self.status_code, "headers": self.raw_headers}
            await send({"type": "http.response.start", **head})
            await send({"type": "http.response.body"})
        else:
            await super().__call__(scope, receive, send_in_time)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), UNCOUNTED):
        yield body[start : start + UNCOUNTED]


def _too_many(detail: str) -> TooManyRequests:
    return TooManyRequests(detail, headers={"Retry-After": str(_RETRY_AFTER)})
