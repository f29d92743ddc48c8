"""The exports that a process is making: few at a time, for they take long, and uploads go first."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from api.web.problems import TooManyRequests
from shared.errors import ServiceUnavailable

MOST_EXPORTS: Final = 2
_RETRY_AFTER: Final = 10  # seconds


class Exports:
    """The users whose exports are under way: one each, and two in all."""

    def __init__(self) -> None:
        self._users: set[UUID] = set()

    def require_room(self, user_id: UUID) -> None:
        """Raises TooManyRequests, ServiceUnavailable."""
        if user_id in self._users:
            detail = "an export of yours is under way: read it to its end, or close it"
            raise TooManyRequests(detail, headers={"Retry-After": str(_RETRY_AFTER)})
        if len(self._users) >= MOST_EXPORTS:
            raise ServiceUnavailable("too many exports at a time", _RETRY_AFTER)

    @contextmanager
    def making(self, user_id: UUID) -> Iterator[None]:
        """Count as one of the exports under way until the block ends."""
        self._users.add(user_id)
        try:
            yield
        finally:
            self._users.remove(user_id)
