"""Slow files: of all workers, one at a time reads on, so that the others are there for the rest."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final
from uuid import UUID

from redis.exceptions import LockError, OutOfMemoryError
from redis.lock import Lock

from shared.connections import Redis
from shared.redis_keys import SLOW_FILE, SLOW_KEPT_FOR, slow_key

_EXPIRY: Final = 60.0  # seconds: for so long a worker that died keeps the place
_RENEWED_EVERY: Final = _EXPIRY / 4


class SlotTaken(Exception):
    """The file is slow, and so is another one that a worker is reading: it has to wait."""


class SlowSlot:
    """The only place for a file that takes longer than ``after`` seconds; Redis has it.

    The clock counts, not the CPU: that is how long a worker is not there for others. A file that
    was slow once is known as slow, and read only by whoever has the place from the beginning.
    """

    def __init__(self, client: Redis, after: float) -> None:
        self._redis = client
        self._after = after

    @contextmanager
    def watch(self, upload_id: UUID) -> Iterator["Watch"]:
        """While the file is imported; the place is free again afterwards. Raises SlotTaken."""
        lock = Lock(self._redis, SLOW_FILE, timeout=_EXPIRY, blocking=False)
        watch = Watch(self._redis, lock, upload_id)
        try:
            watch.begin(0 if self._redis.exists(slow_key(upload_id)) else self._after)
            yield watch
        finally:
            with suppress(LockError):  # there was no need for it, or it is lost
                lock.release()


class Watch:
    """Over one file that is being read."""

    def __init__(self, client: Redis, lock: Lock, upload_id: UUID) -> None:
        self._redis = client
        self._lock = lock
        self._key = slow_key(upload_id)
        self._due = 0.0

    def begin(self, seconds: float) -> None:
        """Read for so many seconds without the place. Raises SlotTaken where that is none."""
        self._due = time.monotonic() + seconds
        self.look()

    def look(self) -> None:
        """Take the place, or keep it, once it is time. To be called every second or so.

        Raises SlotTaken if another file has it, or Redis is too full to say so.
        """
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _RENEWED_EVERY
        try:
            self._redis.set(self._key, b"", ex=SLOW_KEPT_FOR)
            has_it = self._lock.reacquire() if self._lock.owned() else self._lock.acquire()
        except (LockError, OutOfMemoryError) as error:
            raise SlotTaken from error
        if not has_it:
            raise SlotTaken
