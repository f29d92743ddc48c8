"""The end of a ride that a stream feeds, while samples arrive and others end it."""

import asyncio
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from api.clients.log import StreamLog
from api.clients.messages import Message
from shared.connections import open_async_redis
from shared.settings import read_settings
from tests.api.answers import eventually
from tests.api.clients.rides import a_ride
from tests.api.clients.talking import Phone


def test_what_is_deleted_is_the_stream_that_feeds_the_ride_not_one_that_formed_since(
    urls: Mapping[str, str],
) -> None:
    async def formed_since() -> list[str]:
        settings = read_settings(dict(urls))
        user, first, second = uuid4(), uuid4(), uuid4()
        async with open_async_redis(settings) as redis:
            log = StreamLog(redis, settings)
            await log.append(user, "s", Message("of the first", 1_700_000_000_000), stamp=False)
            await log.bind(user, "s", first)
            await log.delete_of(user, "s", first)
            await log.append(user, "s", Message("since", 1_700_000_000_001), stamp=False)
            await log.delete_of(user, "s", first)
            await log.bind(user, "s", second)
            await log.delete_of(user, "s", first, or_free=True)
            found = await log.read(user, "s", "-", "+", 10)
            await log.delete_of(user, "s", second)
            assert not await log.exists(user, "s")
        return [members["message"] for _, members in found]

    assert asyncio.run(formed_since()) == ["since"]


def test_of_many_who_complete_a_ride_one_is_told_all_that_was_sent(phone: Phone, name: str) -> None:
    workout, ride = phone.start(name)["id"], a_ride(20)
    for sample in ride:
        phone.send(name, sample)
    path = f"/api/workouts/{workout}/complete"
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: phone.client.post(path), range(8)))
    [done] = [each.json() for each in answers if each.status_code == 200]
    assert [each.status_code for each in answers].count(400) == 7
    assert done["archivedMessages"] == done["workout"]["summary"]["sampleCount"] == 20


def test_no_sample_is_lost_while_a_ride_is_completed_more_than_once(
    phone: Phone, name: str
) -> None:
    """Each is in the ride, or waits in a stream of the same name that formed since."""
    workout, ride = phone.start(name)["id"], a_ride(120)
    path = f"/api/workouts/{workout}"
    with ThreadPoolExecutor(8) as threads:
        sent = [threads.submit(phone.send, name, sample) for sample in ride[:60]]
        ends = [threads.submit(phone.client.post, f"{path}/complete") for _ in range(4)]
        sent += [threads.submit(phone.send, name, sample) for sample in ride[60:]]
        for each in sent:
            each.result()
        assert [each.result().status_code for each in ends].count(200) == 1
    waiting = {json.loads(text)["timestamp"] for text in phone.texts(name, count=1000)}

    def kept() -> set[int]:
        answer = phone.call("GET", path, params={"includeTelemetry": "true"})
        return waiting | {sample["timestamp"] for sample in answer["telemetry"]}

    eventually(lambda: kept() == {sample["timestamp"] for sample in ride})
