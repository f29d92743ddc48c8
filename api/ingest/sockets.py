"""The open WebSockets of this process: how many there may be, and when one has to end."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar
from uuid import UUID

from api.identity import store
from api.identity.auth import Authenticator, Caller
from api.ingest.ownership import Ownerships
from api.web.problems import TooManyRequests
from shared.connections import AsyncDatabase
from shared.errors import ServiceUnavailable
from shared.settings import Settings

T = TypeVar("T")
_RETRY_AFTER: Final = 10  # seconds; uvicorn notices a peer that is gone within 40


class SocketPlace:
    """One of the WebSockets there may be: whose it is, and which workout it uploads to."""

    def __init__(self, caller: Caller, workout_id: UUID) -> None:
        self.user_id = caller.user_id
        self.key_id = caller.key_id
        self.workout_id = workout_id
        self._check_requested = False
        self._waiting: asyncio.Timeout | None = None

    async def next_message(self, receive: Callable[[], Awaitable[T]]) -> T | None:
        """The next message; None when key and workout must be checked again."""
        try:
            async with asyncio.timeout(0 if self._check_requested else None) as self._waiting:
                return await receive()
        except TimeoutError:
            self._check_requested = False
            return None
        finally:
            self._waiting = None

    def request_check(self) -> None:
        """Have key and workout checked again: at once if idle, else before the next message."""
        self._check_requested = True
        if self._waiting:
            self._waiting.reschedule(0)


class Sockets:
    """Counts the open WebSockets, and finds those whose key is revoked or workout deleted."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._places = set[SocketPlace]()
        self._of_keys = Counter[str]()
        self._of_users = Counter[UUID]()

    @contextmanager
    def admit(self, caller: Caller, workout_id: UUID) -> Iterator[SocketPlace]:
        """Count one more while the block runs. Raises TooManyRequests, ServiceUnavailable."""
        self._require_room(caller)
        place = SocketPlace(caller, workout_id)
        self._places.add(place)
        self._of_keys[place.key_id] += 1
        self._of_users[place.user_id] += 1
        try:
            yield place
        finally:
            self._places.remove(place)
            _take_one(self._of_keys, place.key_id)
            _take_one(self._of_users, place.user_id)

    async def look_through(
        self, database: AsyncDatabase, authenticator: Authenticator, ownerships: Ownerships
    ) -> None:
        """Have those checked whose key is revoked or whose workout is deleted, idle or not.

        One statement for all of them; the caches forget what it finds.
        """
        pairs = {(place.key_id, place.workout_id) for place in self._places}
        if not pairs:
            return
        ended = await store.find_ended_uploads(database, pairs)
        if ended:
            authenticator.forget_keys({key_id for key_id, _ in ended})
        for place in self._places:
            if (place.key_id, place.workout_id) in ended:
                ownerships.forget(place.workout_id, place.user_id)
                place.request_check()

    def _require_room(self, caller: Caller) -> None:
        limits = self._settings
        wait = {"Retry-After": str(_RETRY_AFTER)}
        if self._of_keys[caller.key_id] >= limits.max_sockets_per_key:
            most = limits.max_sockets_per_key
            raise TooManyRequests(f"this key has {most} WebSockets open already", headers=wait)
        if self._of_users[caller.user_id] >= limits.max_sockets_per_user:
            most = limits.max_sockets_per_user
            raise TooManyRequests(f"your keys have {most} WebSockets open already", headers=wait)
        if len(self._places) >= limits.max_sockets:
            raise ServiceUnavailable("too many WebSockets are open", retry_after=_RETRY_AFTER)


def _take_one(counts: "Counter[T]", of: T) -> None:
    counts[of] -= 1
    if not counts[of]:
        del counts[of]
