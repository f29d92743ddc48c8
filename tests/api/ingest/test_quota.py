"""How many samples a key may upload a minute."""

import asyncio
import socket
import time
from contextlib import suppress
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.ingest.quota import WINDOW, Quota
from api.web.problems import TooManyRequests
from shared.connections import Redis, open_async_redis
from shared.errors import ServiceUnavailable
from shared.settings import Settings
from tests.api.answers import T0
from tests.conftest import Rider

LIMIT = 1000


def upload(quota: Quota, key: str, samples: int) -> None:
    with quota.taking(key, samples):
        pass


class Clock:
    """A clock that stands still until it is told to go on."""

    now = 1_700_000_030.0  # ten seconds into a minute

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("api.ingest.quota.time", clock)
    return clock


def publish(settings: Settings, *quotas: Quota) -> None:
    async def run() -> None:
        async with open_async_redis(settings) as redis:
            for quota in quotas:
                await quota.publish(redis)

    asyncio.run(run())


def test_a_key_may_upload_its_quota_and_not_a_sample_more(clock: Clock) -> None:
    quota = Quota(LIMIT)
    upload(quota, "key", 999)
    with pytest.raises(TooManyRequests):
        upload(quota, "key", 2)
    upload(quota, "key", 1)
    with pytest.raises(TooManyRequests):
        quota.require("key")
    upload(quota, "another", 1000)


def test_the_headers_say_what_is_left_and_until_when(clock: Clock) -> None:
    quota = Quota(LIMIT)
    upload(quota, "key", 400)
    seconds = WINDOW - int(clock.now) % WINDOW
    left = {
        "RateLimit-Policy": '"samples";q=1000;w=60',
        "RateLimit": f'"samples";r=600;t={seconds}',
    }
    assert quota.headers("key") == left
    with pytest.raises(TooManyRequests) as refused:
        upload(quota, "key", 601)
    assert refused.value.headers == {**left, "Retry-After": str(seconds)}


def test_the_next_minute_begins_afresh(clock: Clock) -> None:
    quota = Quota(LIMIT)
    upload(quota, "key", 1000)
    clock.now += WINDOW
    upload(quota, "key", 1000)


def test_processes_learn_what_others_admitted(
    clock: Clock, settings: Settings, redis_client: Redis
) -> None:
    key, one, other = token_hex(8), Quota(LIMIT), Quota(LIMIT)
    upload(one, key, 600)
    upload(other, key, 300)
    publish(settings, one, other)
    with pytest.raises(TooManyRequests):
        upload(other, key, 101)
    upload(other, key, 100)
    publish(settings, other)
    upload(one, key, 100)  # it has not asked since
    publish(settings, one)
    for quota in (one, other):
        publish(settings, quota)
    with pytest.raises(TooManyRequests):
        one.require(key)


def test_the_counts_in_redis_expire(clock: Clock, settings: Settings, redis_client: Redis) -> None:
    quota = Quota(LIMIT)
    upload(quota, "key", 7)
    publish(settings, quota)
    (name,) = redis_client.keys("quota:key:*")
    assert redis_client.get(name) == b"7"
    assert 0 < int(redis_client.ttl(name)) <= 2 * WINDOW


@given(st.lists(st.integers(1, 400), max_size=20))
def test_what_is_admitted_never_exceeds_the_limit(batches: list[int]) -> None:
    quota, admitted = Quota(LIMIT), 0
    for samples in batches:
        try:
            upload(quota, "key", samples)
            admitted += samples
        except TooManyRequests:
            assert admitted + samples > LIMIT
    assert admitted <= LIMIT


def test_uploads_under_way_count_and_those_that_fail_are_given_back(clock: Clock) -> None:
    quota = Quota(LIMIT)
    with suppress(ServiceUnavailable), quota.taking("key", 700):
        with pytest.raises(TooManyRequests):
            upload(quota, "key", 301)
        raise ServiceUnavailable("Redis did not take it")
    upload(quota, "key", 1000)


def test_what_failed_in_an_earlier_minute_is_no_gift_to_this_one(clock: Clock) -> None:
    quota = Quota(LIMIT)
    with suppress(ServiceUnavailable), quota.taking("key", 700):
        clock.now += WINDOW
        raise ServiceUnavailable("Redis did not take it")
    with pytest.raises(TooManyRequests):
        upload(quota, "key", LIMIT + 1)


def test_a_key_with_nothing_left_is_refused_before_its_body_is_read(
    rider: Rider, service: str
) -> None:
    workout, minute = rider.start(), int(time.time()) // WINDOW
    batch = {"timestamp": list(range(T0, T0 + 60_000)), "power": [200] * 60_000}
    while rider.upload(workout, batch).status_code == 202:
        assert int(time.time()) // WINDOW <= minute + 1
    address = urlsplit(service)
    with socket.create_connection((address.hostname, address.port), 20) as connection:
        head = (
            f"POST /api/workouts/{workout}/telemetry HTTP/1.1\r\nHost: test\r\n"
            f"X-API-Key: {rider.account.api_key}\r\nContent-Length: 1000000\r\n\r\n"
        )
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 429")


def test_an_upload_is_told_what_is_left(rider: Rider) -> None:
    def left(answer: Any) -> int:
        assert answer.headers["RateLimit-Policy"] == '"samples";q=300000;w=60'
        return int(answer.headers["RateLimit"].split(";")[1].removeprefix("r="))

    workout = rider.start()
    samples = [{"timestamp": T0 + 1000 * each, "power": 200} for each in range(30)]
    first, second = (left(rider.upload(workout, samples)) for _ in range(2))
    assert first == 300_000 - 30
    assert second in (300_000 - 60, 300_000 - 30)  # a new minute may have begun


def test_who_used_it_up_gets_429_while_others_go_on(make_rider: Any) -> None:
    greedy, modest = make_rider(), make_rider()
    batch = {"timestamp": list(range(T0, T0 + 60_000)), "power": [200] * 60_000}
    workout = greedy.start()
    answers = [greedy.upload(workout, batch) for _ in range(11)]  # two minutes' worth
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert {answer.status_code for answer in answers} == {202, 429}
    for answer in refused:
        assert 0 < int(answer.headers["Retry-After"]) <= WINDOW
        assert answer.headers["RateLimit"].startswith('"samples";r=0;t=')
        assert answer.json()["detail"] == "this key may upload 300000 samples a minute"
    assert modest.upload(modest.start(), [{"timestamp": T0, "power": 1}]).status_code == 202
