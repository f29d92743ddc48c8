"""How many bytes of files a process holds, so that they take no memory that samples need."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from api.web.problems import TooManyRequests
from shared.errors import ServiceUnavailable

Take = Callable[[int], None]
_SHARES: Final = 4
_RETRY_AFTER: Final = 5  # seconds


class FileBudget:
    """Bounds the bytes of files that are being received or stored. A user has a quarter of it.

    Apart from the budget of bodies: a file may arrive slowly, and rides go on meanwhile.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = Counter[UUID]()

    @contextmanager
    def holding(self, user_id: UUID) -> Iterator[Take]:
        """What is yielded takes bytes, and raises TooManyRequests or ServiceUnavailable.

        At the end of the block they are released.
        """
        taken = 0

        def take(count: int) -> None:
            nonlocal taken
            self._require_room(user_id, count)
            self._held[user_id] += count
            taken += count

        try:
            yield take
        finally:
            self._held[user_id] -= taken
            if not self._held[user_id]:
                del self._held[user_id]

    def _require_room(self, user_id: UUID, count: int) -> None:
        own = self._held[user_id]
        if own and own + count > self._limit // _SHARES:
            wait = {"Retry-After": str(_RETRY_AFTER)}
            raise TooManyRequests(
                "files of yours are still arriving: send fewer at a time", [], wait
            )
        if self._held.total() + count > self._limit:
            raise ServiceUnavailable("too many files arrive at a time", _RETRY_AFTER)
