"""Hash passwords in a thread of their own: each takes 0.1 s and 64 MB, and uploads do not wait."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from shared import passwords
from shared.errors import ServiceUnavailable

T = TypeVar("T")
_MOST_WAITING: Final = 16


class Passwords:
    """Hashes and compares one password at a time; at most 16 are under way."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "passwords")
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """What to store of a password. Raises ServiceUnavailable if too many wait."""
        return await self._run(passwords.hash_password, password)

    async def matches(self, stored: str | None, password: str) -> bool:
        """Whether it is the stored password. Raises ServiceUnavailable if too many wait."""
        return await self._run(passwords.matches, stored, password)

    def close(self) -> None:
        """Cancel what waits, and let the thread end."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[..., T], *arguments: object) -> T:
        if self._waiting >= _MOST_WAITING:
            raise ServiceUnavailable("too many passwords wait to be hashed", retry_after=2)
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, work, *arguments)
        finally:
            self._waiting -= 1
