"""How many samples a ride may have."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from uuid import UUID, uuid4

import httpx2
import pytest

from api.ingest.ride_sizes import RideSizes
from api.web.problems import Conflict
from ops.admin.accounts import create_account
from shared.connections import Redis, open_async_redis
from shared.errors import ServiceUnavailable
from shared.redis_keys import size_key
from shared.settings import Settings
from tests.api.answers import T0, eventually, problem_of, seconds_of
from tests.api.serving import serving
from tests.conftest import Rider

LIMIT = 10_000
RIDE, USER = uuid4(), uuid4()


def take(sizes: RideSizes, ride: UUID, samples: int) -> None:
    with sizes.taking(ride, USER, samples):
        pass


def publish(settings: Settings, *all_sizes: RideSizes) -> None:
    async def run() -> None:
        async with open_async_redis(settings) as redis:
            for sizes in all_sizes:
                await sizes.publish(redis)

    asyncio.run(run())


def test_a_ride_may_have_as_many_samples_as_the_limit_says() -> None:
    sizes = RideSizes(LIMIT)
    sizes.learn(RIDE, 9_000)
    take(sizes, RIDE, 999)
    with pytest.raises(Conflict, match="a workout may have 10000 samples"):
        take(sizes, RIDE, 2)
    take(sizes, RIDE, 1)
    with pytest.raises(Conflict):
        sizes.require(RIDE, USER)
    take(sizes, uuid4(), LIMIT)


def test_an_upload_that_fails_takes_no_room() -> None:
    sizes = RideSizes(LIMIT)
    with pytest.raises(ServiceUnavailable), sizes.taking(RIDE, USER, LIMIT):
        raise ServiceUnavailable("Redis did not take it")
    take(sizes, RIDE, LIMIT)


def test_processes_learn_what_others_took(settings: Settings, redis_client: Redis) -> None:
    ride, one, other = uuid4(), RideSizes(LIMIT), RideSizes(LIMIT)
    for sizes in (one, other):
        sizes.learn(ride, 4_000)
    take(one, ride, 3_000)
    take(other, ride, 2_000)
    publish(settings, one, other)
    with pytest.raises(Conflict):  # 9,000 are there
        take(other, ride, 1_001)
    take(other, ride, 1_000)
    assert 0 < int(redis_client.ttl(size_key(ride))) <= 24 * 3600


def test_a_ride_that_grows_by_less_than_a_thousandth_is_not_told_of(
    settings: Settings, redis_client: Redis
) -> None:
    sizes = RideSizes(LIMIT)
    take(sizes, RIDE, 9)
    publish(settings, sizes)
    assert not redis_client.exists(size_key(RIDE))
    take(sizes, RIDE, 1)
    publish(settings, sizes)
    assert redis_client.get(size_key(RIDE)) == b"10"


def test_a_redis_that_forgets_makes_no_ride_smaller(
    settings: Settings, redis_client: Redis
) -> None:
    sizes = RideSizes(LIMIT)
    take(sizes, RIDE, 8_000)
    publish(settings, sizes)
    redis_client.flushdb()
    take(sizes, RIDE, 1_000)
    publish(settings, sizes)
    assert redis_client.get(size_key(RIDE)) == b"9000"


def test_a_full_ride_keeps_all_it_accepted_and_a_sample_sent_twice_counts_once(
    urls: Mapping[str, str], service: str, tmp_path: Path
) -> None:
    """A worker of the service archives what the API, which has a limit of its own, accepts."""
    account = create_account(urls["DATABASE_URL"], f"{token_hex(6)}@example.com", "test")
    with serving(urls, tmp_path / "api.log", MAX_RIDE_SAMPLES="1000") as client:
        client.headers["X-API-Key"] = account.api_key
        rider = Rider(account, client)
        workout = rider.start()
        for _ in range(2):
            response = rider.upload(workout, seconds_of(200, 500))
            assert response.status_code == 202
        problem = problem_of(rider.upload(workout, seconds_of(200, 1)), 409)
        assert problem["detail"] == (
            "a workout may have 1000 samples, and this one has no room for more:"
            " complete it and start another"
        )
        assert rider.complete(workout)["summary"]["sampleCount"] == 500
        rest = seconds_of(200, 500, T0 + 500_000)
        eventually(lambda: rider.upload(workout, rest).status_code == 202)
        assert rider.upload(workout, rest).status_code == 409
        eventually(lambda: rider.workout(workout)["summary"]["sampleCount"] == 1000)


def test_a_full_ride_is_refused_before_its_body_is_read(
    urls: Mapping[str, str], tmp_path: Path
) -> None:
    account = create_account(urls["DATABASE_URL"], f"{token_hex(6)}@example.com", "test")
    with serving(urls, tmp_path / "api.log", MAX_RIDE_SAMPLES="10") as client:
        client.headers["X-API-Key"] = account.api_key
        workout = Rider(account, client).start()
        path = f"/api/workouts/{workout}/telemetry"
        assert client.post(path, json=seconds_of(200, 10)).status_code == 202
        broken: httpx2.Response = client.post(path, content=b"no JSON at all")
        problem_of(broken, 409)
