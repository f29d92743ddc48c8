"""What others have said, remembered: for speed, and for uploads while PostgreSQL is silent."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

import psycopg
import psycopg_pool

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
# Seconds that a caller waits for PostgreSQL when what is remembered would do.
_PATIENCE: Final = 1.0
_SILENT: Final = (psycopg.OperationalError, psycopg_pool.PoolTimeout)


class Memory(Generic[K, V]):
    """Answers by key: ``fresh_for`` seconds as good as new, then asked again.

    For up to ``kept_for`` seconds an answer outlasts PostgreSQL's silence, where a caller says so:
    nobody can have committed a different one there meanwhile.
    """

    def __init__(self, size: int, fresh_for: float, kept_for: float) -> None:
        self._size = size
        self._fresh_for = fresh_for
        self._kept_for = kept_for
        self._known: dict[K, tuple[V, float]] = {}  # in the order of being told
        self._asking: dict[K, asyncio.Task[V]] = {}
        self._silent = False  # whether PostgreSQL left the last question unanswered

    async def recall(self, key: K, ask: Callable[[], Awaitable[V]], *, outlast: bool) -> V:
        """The answer, asked for unless fresh. Raises what ``ask`` raises."""
        known = self._known.get(key)
        if known is None:
            return await asyncio.shield(self._ask(key, ask))
        value, told_at = known
        age = time.monotonic() - told_at
        if age < self._fresh_for:
            return value
        if not outlast or age >= self._kept_for:
            return await asyncio.shield(self._ask(key, ask))
        if self._silent and self._asking:
            return value  # one question at a time finds out when PostgreSQL is back
        question = self._ask(key, ask)
        await asyncio.wait({question}, timeout=0 if self._silent else _PATIENCE)
        if not question.done() or isinstance(question.exception(), _SILENT):
            return value
        return question.result()

    def note(self, key: K, value: V, told_at: float | None = None) -> None:
        """Remember what was just learned or done; the oldest is forgotten for it if need be."""
        self._known.pop(key, None)
        if len(self._known) >= self._size:
            del self._known[next(iter(self._known))]
        self._known[key] = (value, time.monotonic() if told_at is None else told_at)

    def forget(self, key: K) -> None:
        """Ask again next time."""
        self._known.pop(key, None)

    def forget_where(self, holds: Callable[[V], bool]) -> None:
        """Ask again for everything of which that holds."""
        for key in [key for key, (value, _) in self._known.items() if holds(value)]:
            del self._known[key]

    def _ask(self, key: K, ask: Callable[[], Awaitable[V]]) -> "asyncio.Task[V]":
        """The question under way, or a new one; nobody who stops waiting for it stops it."""
        if key not in self._asking:
            question = asyncio.create_task(self._put(key, ask))
            self._asking[key] = question
            question.add_done_callback(lambda done: self._answered(key, done))
        return self._asking[key]

    async def _put(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        asked_at = time.monotonic()  # what is answered slowly may be old already
        value = await ask()
        self.note(key, value, asked_at)
        return value

    def _answered(self, key: K, question: "asyncio.Task[V]") -> None:
        del self._asking[key]
        error = None if question.cancelled() else question.exception()
        self._silent = isinstance(error, _SILENT)
        if error and not self._silent:
            self.forget(key)
