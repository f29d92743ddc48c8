"""The viewers of one process: how many there may be, and what waits for each."""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar
from uuid import UUID

from api.web.problems import TooManyRequests
from shared.errors import ServiceUnavailable
from shared.settings import Settings

T = TypeVar("T")
# What waits for a viewer who reads slowly; the bytes are those of all viewers with the same wish.
MOST_EVENTS: Final = 200
MOST_BYTES: Final = 1024 * 1024
_RETRY_AFTER: Final = 10  # seconds


@dataclass(frozen=True)
class Ticket:
    """By what somebody watches: the ``id`` of an API key (``kind`` "key") or of a link ("share").

    Of who reads an athlete's data ("reader") it is the key's and that of the share with its user.

    ``user_id``: whose ride it is.
    """

    kind: str
    id: str
    user_id: UUID


class Viewer:
    """What waits to be sent to one viewer, until it is dropped or all has been said."""

    def __init__(self, ticket: Ticket) -> None:
        self.ticket = ticket
        self._events = deque[bytes | None]()  # None: some were missed; look what is held
        self._bytes = 0
        self._is_ended = False
        self._something = asyncio.Event()

    def push(self, event: bytes) -> None:
        """Send it after what waits. A viewer for whom too much waits is dropped."""
        if self._is_ended:
            return
        self._events.append(event)
        self._bytes += len(event)
        if len(self._events) > MOST_EVENTS or self._bytes > MOST_BYTES:
            self.drop()
        self._something.set()

    def catch_up(self) -> None:
        """Have it look for what it has missed."""
        if not self._is_ended:
            self._events.append(None)
            self._something.set()

    def end(self) -> None:
        """Send what waits, and nothing more."""
        self._is_ended = True
        self._something.set()

    def drop(self) -> None:
        """Send nothing more, not even what waits: a later stream goes on from what was sent."""
        self._events.clear()
        self.end()

    @property
    def is_silent(self) -> bool:
        """Whether nothing waits for it."""
        return not self._events

    async def next_events(self) -> list[bytes | None]:
        """What waits, as soon as anything does; nothing at the end."""
        await self._something.wait()
        events, self._bytes = list(self._events), 0
        self._events.clear()
        if not self._is_ended:
            self._something.clear()
        return events


class Viewers:
    """Counts the viewers of this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._all = set[Viewer]()
        self._of_tickets = Counter[tuple[str, str]]()
        self._of_users = Counter[UUID]()

    def __iter__(self) -> Iterator[Viewer]:
        return iter(tuple(self._all))

    def __len__(self) -> int:
        return len(self._all)

    @contextmanager
    def admit(self, ticket: Ticket) -> Iterator[Viewer]:
        """Count one more while the block runs. Raises TooManyRequests, ServiceUnavailable."""
        self.require_room(ticket)
        viewer, held = Viewer(ticket), (ticket.kind, ticket.id)
        self._all.add(viewer)
        self._of_tickets[held] += 1
        self._of_users[ticket.user_id] += 1
        try:
            yield viewer
        finally:
            viewer.drop()
            self._all.remove(viewer)
            _take_one(self._of_tickets, held)
            _take_one(self._of_users, ticket.user_id)

    def require_room(self, ticket: Ticket) -> None:
        """Raises TooManyRequests, ServiceUnavailable."""
        limits, wait = self._settings, {"Retry-After": str(_RETRY_AFTER)}
        of_ticket = self._of_tickets[(ticket.kind, ticket.id)]
        if of_ticket >= limits.max_viewers_per_key:
            detail = f"{limits.max_viewers_per_key} watch by this {ticket.kind} already"
            raise TooManyRequests(detail, headers=wait)
        if self._of_users[ticket.user_id] >= limits.max_viewers_per_user:
            detail = f"{limits.max_viewers_per_user} watch this rider already"
            raise TooManyRequests(detail, headers=wait)
        if len(self._all) >= limits.max_viewers:
            raise ServiceUnavailable("too many watch at a time", retry_after=_RETRY_AFTER)


def _take_one(counts: "Counter[T]", of: T) -> None:
    counts[of] -= 1
    if not counts[of]:
        del counts[of]
