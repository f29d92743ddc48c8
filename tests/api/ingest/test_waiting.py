"""What waits of a user in Redis, in bytes."""

import asyncio
from uuid import UUID, uuid4

import pytest

from api.ingest.waiting import WaitingBytes
from api.web.problems import TooManyRequests
from shared.connections import Redis, open_async_redis
from shared.errors import ServiceUnavailable
from shared.redis_keys import BATCH_FIELD, samples_key
from shared.settings import Settings
from tests.redis_settings import configured

SHARE = 640_000  # a 64th is 10,000
USER = uuid4()


@pytest.fixture
def waiting(redis_client: Redis) -> WaitingBytes:
    """With an empty Redis."""
    return WaitingBytes(SHARE)


def append(waiting: WaitingBytes, redis: Redis, size: int, ride: UUID, user: UUID = USER) -> None:
    with waiting.taking(user, ride, size):
        redis.xadd(samples_key(ride), {BATCH_FIELD: b"x" * size})


def measure(waiting: WaitingBytes, settings: Settings) -> list[UUID]:
    async def run() -> list[UUID]:
        async with open_async_redis(settings) as redis:
            return await waiting.measure(redis)

    return asyncio.run(run())


def test_all_rides_of_a_user_share_it_and_those_of_another_do_not(
    waiting: WaitingBytes, redis_client: Redis
) -> None:
    for _ in range(6):
        append(waiting, redis_client, 100_000, uuid4())
    with pytest.raises(TooManyRequests) as refused:
        append(waiting, redis_client, 40_001, uuid4())
    assert refused.value.headers == {"Retry-After": "5"}
    append(waiting, redis_client, 40_000, uuid4())
    append(waiting, redis_client, 640_000, uuid4(), user=uuid4())


def test_a_batch_larger_than_the_share_is_taken_once_nothing_waits(
    waiting: WaitingBytes, redis_client: Redis
) -> None:
    append(waiting, redis_client, SHARE + 1, uuid4())
    with pytest.raises(TooManyRequests):
        waiting.require(USER)


def test_what_fails_does_not_wait(waiting: WaitingBytes) -> None:
    with pytest.raises(ServiceUnavailable), waiting.taking(USER, uuid4(), SHARE):
        raise ServiceUnavailable("Redis did not take it")
    with waiting.taking(USER, uuid4(), SHARE), pytest.raises(TooManyRequests):
        waiting.require(USER)


def test_half_of_the_share_is_noticed_and_what_was_taken_away_is_room_again(
    waiting: WaitingBytes, redis_client: Redis, settings: Settings
) -> None:
    first, second = uuid4(), uuid4()
    append(waiting, redis_client, 300_000, first)
    assert measure(waiting, settings) == []
    append(waiting, redis_client, 300_000, second)
    assert measure(waiting, settings) == [USER]
    with pytest.raises(TooManyRequests):
        waiting.require(USER, 100_000)
    redis_client.delete(samples_key(first))  # as a fold leaves it
    assert measure(waiting, settings) == []
    append(waiting, redis_client, 300_000, first)


def test_a_redis_that_was_emptied_has_room(
    waiting: WaitingBytes, redis_client: Redis, settings: Settings
) -> None:
    append(waiting, redis_client, SHARE, uuid4())
    redis_client.flushdb()
    with pytest.raises(TooManyRequests):
        waiting.require(USER)
    measure(waiting, settings)
    append(waiting, redis_client, SHARE, uuid4())


def test_processes_learn_what_others_appended(
    waiting: WaitingBytes, redis_client: Redis, settings: Settings
) -> None:
    other = WaitingBytes(SHARE)
    append(other, redis_client, 600_000, uuid4())
    measure(other, settings)
    append(waiting, redis_client, 10_000, uuid4())
    measure(waiting, settings)
    with pytest.raises(TooManyRequests):
        append(waiting, redis_client, 30_000, uuid4())


def test_small_batches_first_hide_no_large_ones_behind_them(
    waiting: WaitingBytes, redis_client: Redis, settings: Settings
) -> None:
    ride = uuid4()
    for _ in range(10):
        redis_client.xadd(samples_key(ride), {BATCH_FIELD: b"x" * 3000})
    for _ in range(60):
        append(waiting, redis_client, 10_000, ride)
    assert measure(waiting, settings) == [USER]
    with pytest.raises(TooManyRequests):  # Redis itself would guess 240,000
        waiting.require(USER, 30_000)


def test_a_full_redis_is_measured_all_the_same(
    waiting: WaitingBytes, redis_client: Redis, settings: Settings
) -> None:
    append(waiting, redis_client, 400_000, uuid4())
    with configured(redis_client, "maxmemory", "1"):
        assert measure(waiting, settings) == [USER]
