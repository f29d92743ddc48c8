"""Waiting for a workout: by what is announced, and by looking only now and then."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import msgspec
import pytest

from api.workouts.finished import Announcements
from shared.connections import AsyncRedis, open_async_redis
from shared.events import Announcement
from shared.redis_keys import ANNOUNCEMENTS
from shared.settings import Settings
from tests.faults.proxy import Proxy

NEVER = 3600.0  # seconds
SOON = 0.01


class Row:
    """What is waited for. It counts how often it is looked at."""

    def __init__(self, done: bool = False) -> None:
        self.done = done
        self.looks = 0
        self.looked = asyncio.Event()

    async def look(self) -> bool:
        self.looks += 1
        self.looked.set()
        return self.done


def fold_of(subject: UUID) -> bytes:
    return Announcement("fold", subject, "COMPLETED").encode()


@asynccontextmanager
async def listening(client: AsyncRedis, **patience: float) -> AsyncIterator[Announcements]:
    """Announcements whose subscription holds, and that look every hour."""
    announcements = Announcements(client, **{"look_every": NEVER, **patience})
    with announcements.waiting(uuid4()) as said:
        task = asyncio.create_task(announcements.listen())
        await said.wait()  # as everyone is woken who may have missed something
    try:
        yield announcements
    finally:
        task.cancel()


def test_who_waits_looks_when_it_is_said_and_at_no_other_time(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> tuple[bool, int]:
        row, subject = Row(), uuid4()
        async with open_async_redis(settings) as client, listening(client) as announcements:
            waiting = asyncio.create_task(announcements.wait(subject, row.look, bool, NEVER))
            await row.looked.wait()
            await client.publish(ANNOUNCEMENTS, fold_of(uuid4()))  # of no concern
            await client.publish(ANNOUNCEMENTS, b"\xffgarbage")
            row.done = True
            await client.publish(ANNOUNCEMENTS, fold_of(subject))
            return await waiting, row.looks

    assert asyncio.run(scenario()) == (True, 2)
    assert "hear no announcements" not in caplog.text


def test_one_subscription_serves_everyone_who_waits(settings: Settings) -> None:
    async def scenario() -> list[int]:
        rows, subjects = [Row() for _ in range(20)], [uuid4() for _ in range(10)]
        async with open_async_redis(settings) as client, listening(client) as announcements:
            before = await client.pubsub_numsub(ANNOUNCEMENTS)
            async with asyncio.TaskGroup() as waiting:
                for number, row in enumerate(rows):  # two for each
                    subject = subjects[number % 10]
                    waiting.create_task(announcements.wait(subject, row.look, bool, NEVER))
                    await row.looked.wait()
                assert await client.pubsub_numsub(ANNOUNCEMENTS) == before
                for row in rows:
                    row.done = True
                for subject in subjects:
                    await client.publish(ANNOUNCEMENTS, fold_of(subject))
            return [row.looks for row in rows]

    assert asyncio.run(scenario()) == [2] * 20


def test_what_is_said_while_one_looks_is_not_missed(settings: Settings) -> None:
    async def scenario() -> bool:
        row, subject = Row(), uuid4()
        async with open_async_redis(settings) as client, listening(client) as announcements:

            async def look_slowly() -> bool:
                found = await row.look()
                if row.looks == 1:
                    with announcements.waiting(subject) as said:
                        await client.publish(ANNOUNCEMENTS, fold_of(subject))
                        await said.wait()
                    row.done = True
                return found

            return await announcements.wait(subject, look_slowly, bool, NEVER)

    assert asyncio.run(scenario())


def test_a_lost_announcement_costs_a_while(settings: Settings) -> None:
    async def scenario() -> bool:
        row = Row()
        async with open_async_redis(settings) as client:
            announcements = Announcements(client, look_every=SOON)  # nobody listens
            waiting = asyncio.create_task(announcements.wait(uuid4(), row.look, bool, NEVER))
            await row.looked.wait()
            row.done = True
            return await waiting

    assert asyncio.run(scenario())


@pytest.mark.parametrize("done", [False, True])
def test_waiting_ends_when_the_time_is_up(settings: Settings, done: bool) -> None:
    async def scenario() -> tuple[bool, int]:
        row = Row(done)
        async with open_async_redis(settings) as client:
            announcements = Announcements(client, look_every=NEVER)
            found = await announcements.wait(uuid4(), row.look, bool, SOON)
            return found, row.looks

    assert asyncio.run(scenario()) == (done, 1 if done else 2)


@pytest.fixture
def proxy(urls: Mapping[str, str]) -> Iterator[Proxy]:
    proxy = Proxy(urlsplit(urls["REDIS_URL"]).path)
    yield proxy
    proxy.close()


@pytest.mark.parametrize("disturb", [Proxy.cut, Proxy.refuse, Proxy.freeze])
def test_a_subscription_that_breaks_is_made_anew_and_wakes_everyone(
    settings: Settings,
    proxy: Proxy,
    caplog: pytest.LogCaptureFixture,
    disturb: Callable[[Proxy], None],
) -> None:
    """For nobody has heard what was said meanwhile. A connection that is frozen breaks, too."""
    through = msgspec.structs.replace(
        settings, redis_url=f"redis://127.0.0.1:{proxy.port}", service_timeout=0.2
    )

    async def scenario() -> bool:
        row = Row()
        async with (
            open_async_redis(through) as client,
            listening(client, patience=0.2) as announcements,
        ):
            waiting = asyncio.create_task(announcements.wait(uuid4(), row.look, bool, NEVER))
            await row.looked.wait()
            row.done = True  # and nobody says so
            disturb(proxy)
            while "hear no announcements" not in caplog.text:
                await asyncio.sleep(SOON)
            proxy.restore()
            return await waiting

    assert asyncio.run(scenario())
