"""Hearing what workers have finished, instead of asking PostgreSQL again and again."""

import asyncio
import logging
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar
from uuid import UUID

import redis

from shared.connections import AsyncRedis
from shared.errors import MalformedEntry
from shared.events import Announcement
from shared.redis_keys import ANNOUNCEMENTS

T = TypeVar("T")
_LONGEST_PAUSE: Final = 5.0  # seconds between attempts to subscribe
logger = logging.getLogger(__name__)


class Announcements:
    """The process's one subscription to the channel, and who waits for what is said there.

    The channel may be silent for hours: after ``patience`` seconds Redis is asked whether it is
    still there, and given as many to answer. ``look_every``: the seconds after which whoever waits
    looks all the same, as an announcement may be lost.
    """

    def __init__(
        self, client: AsyncRedis, *, look_every: float = 2.0, patience: float = 10.0
    ) -> None:
        self._redis = client
        self._look_every = look_every
        self._patience = patience
        self._waiting: defaultdict[UUID, set[asyncio.Event]] = defaultdict(set)
        self._failures = 0  # since anything was heard

    @contextmanager
    def waiting(self, subject: UUID) -> Iterator[asyncio.Event]:
        """An event that is set when anything is said of the subject, or may have been missed."""
        event = asyncio.Event()
        self._waiting[subject].add(event)
        try:
            yield event
        finally:
            self._waiting[subject].discard(event)
            if not self._waiting[subject]:
                del self._waiting[subject]

    async def wait(
        self,
        subject: UUID,
        look: Callable[[], Awaitable[T]],
        is_done: Callable[[T], bool],
        seconds: float,
    ) -> T:
        """What ``look`` finds once that is done, or when the time is up.

        It looks after it has begun to listen, so that nothing happens unseen in between; then
        whenever something is said of the subject, and every few seconds.
        """
        deadline = time.monotonic() + seconds
        with self.waiting(subject) as said:
            while True:
                said.clear()
                found = await look()
                left = deadline - time.monotonic()
                if is_done(found) or left <= 0:
                    return found
                await _wait_for(said, min(left, self._look_every))

    async def listen(self) -> None:
        """Hold the subscription, for ever: made anew, after a pause, whenever it breaks."""
        while True:
            try:
                await self._subscribe()
            except Exception as error:  # whatever it was, or everyone waits for the next look
                logger.warning("hear no announcements: %s: %s", type(error).__name__, error)
            longest = min(0.1 * 2 ** min(self._failures, 10), _LONGEST_PAUSE)
            await asyncio.sleep(longest * random.uniform(0.5, 1.0))  # noqa: S311
            self._failures += 1

    async def _subscribe(self) -> None:
        """Hear what is said until Redis does not answer. Raises redis.RedisError."""
        async with self._redis.pubsub() as channel:
            await channel.subscribe(ANNOUNCEMENTS)
            is_asked = False
            while True:
                message = await channel.get_message(timeout=self._patience)
                if message:
                    self._hear(message)
                elif is_asked:
                    raise redis.TimeoutError("Redis does not answer")
                else:
                    await channel.ping()
                is_asked = not message

    def _hear(self, message: dict[str, Any]) -> None:
        self._failures = 0
        if message["type"] == "subscribe":  # what was said before may have been missed
            self._wake(*self._waiting)
        elif message["type"] == "message":
            try:
                self._wake(Announcement.decode(message["data"]).subject)
            except MalformedEntry as error:
                logger.info("ignored %s", error)

    def _wake(self, *subjects: UUID) -> None:
        for subject in subjects:
            for event in self._waiting.get(subject, ()):
                event.set()


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
