"""A cache that serves stale values while PostgreSQL is down."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

import psycopg
import psycopg_pool

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
_OUTAGE: Final = (psycopg.OperationalError, psycopg_pool.PoolTimeout)


class Entry(Generic[V]):
    """A cached value, for those who keep it at hand: ``Cache.is_fresh`` says whether it holds."""

    __slots__ = ("is_dropped", "loaded_at", "value")

    def __init__(self, value: V, loaded_at: float) -> None:
        self.value = value
        self.loaded_at = loaded_at
        self.is_dropped = False


class Cache(Generic[K, V]):
    """Values by key, loaded when they are asked for and fresh for ``fresh_for`` seconds.

    A stale value is loaded again by the next caller. Where PostgreSQL does not answer, callers that
    allow it get the stale one until it is ``kept_for`` seconds old: nobody can have committed
    another meanwhile. The first of them waits ``patience`` seconds; once PostgreSQL is known to be
    down nobody waits, and one load at a time finds out when it is back.

    Whoever hears of all changes may ``confirm`` what is cached: then ages count from that moment.

    The cache holds ``size`` values, those used last. ``clock`` gives the seconds by which it
    measures ages.
    """

    def __init__(
        self,
        size: int,
        fresh_for: float,
        kept_for: float,
        *,
        patience: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._size = size
        self._fresh_for = fresh_for
        self._kept_for = kept_for
        self._patience = patience
        self._clock = clock
        self._entries = OrderedDict[K, Entry[V]]()  # the one used last is the last
        self._confirmed_at = -math.inf
        self._loads: dict[K, asyncio.Task[V]] = {}
        self._down = False  # whether PostgreSQL left the last load without an answer

    async def get(
        self, key: K, load: Callable[[], Awaitable[V]], *, allow_stale: bool = False
    ) -> V:
        """The value of a key, by ``load`` unless it is fresh. Raises what ``load`` raises."""
        entry = self._entries.get(key)
        if entry is None:
            return await asyncio.shield(self._load(key, load))
        if self.is_fresh(entry):
            self._entries.move_to_end(key)
            return entry.value
        if not allow_stale or self._clock() - self._true_at(entry) >= self._kept_for:
            return await asyncio.shield(self._load(key, load))
        return await self._refresh(key, load, entry.value)

    def fresh(self, key: K) -> Entry[V] | None:
        """The entry of a key, if ``get`` would give its value without a load."""
        entry = self._entries.get(key)
        if entry is None or not self.is_fresh(entry):
            return None
        self._entries.move_to_end(key)
        return entry

    def is_fresh(self, entry: Entry[V]) -> bool:
        """Whether ``get`` would give the value of an entry of this cache without a load."""
        return self._clock() < self.fresh_until(entry)

    def fresh_until(self, entry: Entry[V]) -> float:
        """When that ends by the clock, unless the entry is dropped or confirmed before."""
        return -math.inf if entry.is_dropped else self._true_at(entry) + self._fresh_for

    def confirm(self, at: float) -> None:
        """Every value loaded before this moment of the clock was true then: others are dropped."""
        self._confirmed_at = at

    def put(self, key: K, value: V, loaded_at: float | None = None) -> None:
        """Store a value that is known without loading it; the least used makes room for it."""
        self._drop(key)
        if len(self._entries) >= self._size:
            self._drop(next(iter(self._entries)))
        self._entries[key] = Entry(value, self._clock() if loaded_at is None else loaded_at)

    def drop(self, key: K) -> None:
        """Forget a value: the next caller loads it, even if a load is under way."""
        self._drop(key)
        self._loads.pop(key, None)

    def drop_where(self, holds: Callable[[V], bool]) -> None:
        """Forget every value for which ``holds`` is true."""
        for key in [key for key, entry in self._entries.items() if holds(entry.value)]:
            self._drop(key)
        self._loads.clear()  # nobody knows yet what they bring

    def _drop(self, key: K) -> None:
        if entry := self._entries.pop(key, None):
            entry.is_dropped = True

    def _true_at(self, entry: Entry[V]) -> float:
        """When a value was loaded, or confirmed last."""
        return max(entry.loaded_at, self._confirmed_at)

    async def _refresh(self, key: K, load: Callable[[], Awaitable[V]], stale: V) -> V:
        if self._down and self._loads:
            return stale
        task = self._load(key, load)
        await asyncio.wait({task}, timeout=0 if self._down else self._patience)
        if not task.done() or isinstance(task.exception(), _OUTAGE):
            return stale
        return task.result()

    def _load(self, key: K, load: Callable[[], Awaitable[V]]) -> "asyncio.Task[V]":
        """The load under way, or a new one. It goes on when a caller stops waiting for it."""
        if key not in self._loads:
            task = asyncio.create_task(self._load_and_put(key, load))
            self._loads[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        return self._loads[key]

    async def _load_and_put(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        begun_at = self._clock()  # a value that arrives late may have changed since it was read
        value = await load()
        if self._loads.get(key) is asyncio.current_task():  # not dropped since it was read
            self.put(key, value, begun_at)
        return value

    def _ended(self, key: K, task: "asyncio.Task[V]") -> None:
        if self._loads.get(key) is task:
            del self._loads[key]
        error = None if task.cancelled() else task.exception()
        self._down = isinstance(error, _OUTAGE)
        if error and not self._down:
            self.drop(key)
