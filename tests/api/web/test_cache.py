"""What is cached of PostgreSQL's answers, for how long, and what an outage changes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psycopg
import pytest

from api.web.cache import Cache
from api.web.problems import Unauthorized

T = TypeVar("T")
STALE = 0.0  # seconds that a value is fresh for: none
outage = psycopg.OperationalError("PostgreSQL does not answer")


class Loads:
    """Gives one value after the other, counting; an error is raised."""

    def __init__(self, *values: str | Exception) -> None:
        self.values = list(values)
        self.count = 0

    async def __call__(self) -> str:
        self.count += 1
        value = self.values.pop(0)
        if isinstance(value, Exception):
            raise value
        return value


class Clock:
    """Stands still until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def run(work: Callable[[], Awaitable[T]]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(20):
            return await work()

    return asyncio.run(bounded())


async def loads_end() -> None:
    """Waits until no load is under way, and the cache has heard how they ended."""
    if loading := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(loading)
    await asyncio.sleep(0)


def get_each(
    cache: Cache[str, str], loads: Loads, times: int, *, allow_stale: bool = True
) -> list[str]:
    async def work() -> list[str]:
        values = []
        for _ in range(times):
            values.append(await cache.get("key", loads, allow_stale=allow_stale))
            await loads_end()
        return values

    return run(work)


def test_a_fresh_value_is_not_loaded_again() -> None:
    loads = Loads("yes")
    assert get_each(Cache(10, 60, 3600), loads, 5) == ["yes"] * 5
    assert loads.count == 1


def test_a_stale_value_is_loaded_again() -> None:
    loads = Loads("yes", "no")
    assert get_each(Cache(10, STALE, 3600), loads, 2) == ["yes", "no"]


def test_a_value_is_fresh_for_as_long_as_it_should_be() -> None:
    clock, loads = Clock(), Loads("first", "second")
    cache = Cache[str, str](10, 5, 3600, clock=clock)
    values = []
    for clock.now in (0, 4.9, 5):
        values += get_each(cache, loads, 1)
    assert values == ["first", "first", "second"]


def test_a_stale_value_is_served_during_an_outage() -> None:
    loads = Loads("yes", outage, outage, outage, "no")
    assert get_each(Cache(10, STALE, 3600), loads, 4) == ["yes"] * 4


def test_who_takes_no_stale_value_is_told_of_the_outage() -> None:
    with pytest.raises(psycopg.OperationalError):
        get_each(Cache(10, STALE, 3600), Loads("yes", outage), 2, allow_stale=False)


def test_what_was_never_loaded_is_not_served() -> None:
    with pytest.raises(psycopg.OperationalError):
        get_each(Cache(10, STALE, 3600), Loads(outage), 1)


def test_a_stale_value_is_served_only_for_so_long() -> None:
    clock, loads = Clock(), Loads("yes", outage, outage)
    cache = Cache[str, str](10, STALE, 60, clock=clock)
    assert get_each(cache, loads, 1) == ["yes"]
    clock.now = 59.9
    assert get_each(cache, loads, 1) == ["yes"]
    clock.now = 60
    with pytest.raises(psycopg.OperationalError):
        get_each(cache, loads, 1)


def test_a_refusal_is_raised_and_ends_the_value() -> None:
    loads = Loads("yes", Unauthorized("revoked"), outage)
    cache = Cache[str, str](10, STALE, 3600)
    assert get_each(cache, loads, 1) == ["yes"]
    with pytest.raises(Unauthorized):
        get_each(cache, loads, 1)
    with pytest.raises(psycopg.OperationalError):
        get_each(cache, loads, 1)


def test_one_load_at_a_time_tries_a_server_that_hangs() -> None:
    cache, loads = Cache[int, str](100, STALE, 3600, patience=0), list[None]()

    async def work() -> list[str]:
        hangs = asyncio.Event()

        async def load() -> str:
            loads.append(None)
            await hangs.wait()
            raise outage

        for key in range(50):
            cache.put(key, "yes")
        values = [await cache.get(0, load, allow_stale=True)]
        hangs.set()
        await loads_end()  # the outage is known of
        hangs.clear()
        values += [await cache.get(key, load, allow_stale=True) for key in range(50)]
        hangs.set()
        return values

    assert run(work) == ["yes"] * 51
    assert len(loads) == 2


def test_during_an_outage_that_is_known_nobody_waits() -> None:
    cache = Cache[str, str](10, STALE, 3600, patience=3600)

    async def never_ends() -> str:
        await asyncio.Event().wait()
        return "no"

    async def work() -> str:
        cache.put("key", "yes")
        await cache.get("key", Loads(outage), allow_stale=True)
        await loads_end()
        return await cache.get("key", never_ends, allow_stale=True)

    assert run(work) == "yes"


def test_once_postgresql_is_back_every_stale_value_is_loaded_again() -> None:
    cache = Cache[str, str](100, STALE, 3600)

    async def work() -> str:
        cache.put("other", "yes")
        await cache.get("key", Loads("yes"), allow_stale=True)
        await cache.get("key", Loads(outage), allow_stale=True)
        await cache.get("key", Loads("yes"), allow_stale=True)
        await loads_end()
        return await cache.get("other", Loads("no"), allow_stale=True)

    assert run(work) == "no"


@pytest.mark.parametrize("everything", [False, True])
def test_what_was_read_before_a_value_was_dropped_is_not_remembered(everything: bool) -> None:
    cache = Cache[str, str](10, 60, 3600)

    async def work() -> list[str]:
        answered = asyncio.Event()

        async def load() -> str:  # PostgreSQL has read it, and its answer is on the way
            await answered.wait()
            return "old"

        early = asyncio.create_task(cache.get("key", load))
        await asyncio.sleep(0)
        if everything:
            cache.drop_where(lambda _: True)
        else:
            cache.drop("key")
        late = await cache.get("key", Loads("new"))
        answered.set()
        return [await early, late, await cache.get("key", Loads())]

    assert run(work) == ["old", "new", "new"]


def test_who_stops_waiting_for_a_value_does_not_stop_others() -> None:
    cache = Cache[str, str](10, STALE, 3600)

    async def work() -> str:
        loaded = asyncio.Event()

        async def load() -> str:
            await loaded.wait()
            return "yes"

        first, second = (asyncio.create_task(cache.get("key", load)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        loaded.set()
        return await second

    assert run(work) == "yes"


def test_the_oldest_makes_room_for_the_newest() -> None:
    cache = Cache[int, str](2, 60, 3600)

    async def work() -> list[str]:
        for key in range(3):
            cache.put(key, "put")
        loads = Loads("loaded")
        return [await cache.get(key, loads, allow_stale=True) for key in (2, 1, 0)]

    assert run(work) == ["put", "put", "loaded"]


def test_what_is_dropped_is_loaded_again() -> None:
    cache = Cache[int, str](10, 60, 3600)

    async def work() -> list[str]:
        for key in range(3):
            cache.put(key, f"put {key}")
        cache.drop(0)
        cache.drop_where(lambda value: value == "put 1")
        loads = Loads("loaded", "loaded")
        return [await cache.get(key, loads) for key in range(3)]

    assert run(work) == ["loaded", "loaded", "put 2"]


def test_a_value_that_took_longer_to_load_than_it_is_fresh_for_is_loaded_again() -> None:
    """PostgreSQL read it when the question arrived there, for all we know."""
    clock, values = Clock(), ["old", "new"]
    cache = Cache[str, str](1, 0.2, 60, clock=clock)

    async def load() -> str:
        clock.now += 0.4
        return values.pop(0)

    async def get_twice() -> list[str]:
        return [await cache.get("key", load) for _ in range(2)]

    assert run(get_twice) == ["old", "new"]


def test_what_is_confirmed_counts_as_loaded_then() -> None:
    clock = Clock()
    cache = Cache[str, str](10, 5, 3600, clock=clock)
    cache.put("key", "good")
    clock.now = 4.0
    cache.confirm(3.0)
    clock.now = 7.9
    entry = cache.fresh("key")
    assert entry
    assert entry.value == "good"
    assert cache.is_fresh(entry)
    clock.now = 8.0
    assert cache.fresh("key") is None
    assert not cache.is_fresh(entry)


def test_an_outage_is_outlasted_from_when_a_value_was_confirmed() -> None:
    clock = Clock()
    cache, loads = Cache[str, str](10, 5, 60, clock=clock), Loads(outage, outage)
    cache.put("key", "good")
    cache.confirm(1000.0)
    clock.now = 1059.0
    assert get_each(cache, loads, 1) == ["good"]
    clock.now = 1060.0
    with pytest.raises(psycopg.OperationalError):
        get_each(cache, loads, 1)


def test_the_value_that_was_used_least_lately_makes_room() -> None:
    cache = Cache[str, str](2, 5, 60)
    cache.put("one", "1")
    cache.put("two", "2")
    two, one = cache.fresh("two"), cache.fresh("one")
    cache.put("three", "3")
    assert [cache.fresh(key) is not None for key in ("one", "two", "three")] == [True, False, True]
    assert one
    assert cache.is_fresh(one)
    assert two
    assert not cache.is_fresh(two)


def test_an_entry_at_hand_holds_until_it_is_dropped_or_replaced() -> None:
    cache = Cache[str, str](10, 5, 60)

    def end_by(ending: Callable[[], None]) -> bool:
        cache.put("key", "good")
        entry = cache.fresh("key")
        assert entry
        assert cache.is_fresh(entry)
        ending()
        return not cache.is_fresh(entry)

    assert end_by(lambda: cache.drop("key"))
    assert end_by(lambda: cache.drop_where(lambda value: value == "good"))
    assert end_by(lambda: cache.put("key", "better"))
