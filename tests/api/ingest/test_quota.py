"""How many samples a user may upload a minute."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from secrets import token_hex
from threading import Thread
from uuid import UUID, uuid4

import httpx2
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st

from api.__main__ import configure
from api.app import create_app
from api.ingest.quota import WINDOW, Quota
from api.web.problems import TooManyRequests
from ops.admin.accounts import create_account
from shared.connections import Redis, open_async_redis
from shared.errors import ServiceUnavailable
from shared.settings import Settings
from tests.api.answers import T0, seconds_of
from tests.conftest import Rider

LIMIT = 1000
USER = uuid4()
A_FIFTH = {"timestamp": list(range(T0, T0 + 60_000)), "power": [200] * 60_000}  # of 300,000


class Clock:
    """A clock that stands still until it is told to go on."""

    now = 1_700_000_050.0  # ten seconds into a minute

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def quota(clock: Clock) -> Quota:
    return Quota(LIMIT, clock)


def upload(quota: Quota, user: UUID, samples: int) -> None:
    with quota.taking(user, samples):
        pass


def publish(settings: Settings, *quotas: Quota) -> None:
    async def run() -> None:
        async with open_async_redis(settings) as redis:
            for quota in quotas:
                await quota.publish(redis)

    asyncio.run(run())


def test_a_user_may_upload_the_quota_and_not_a_sample_more(quota: Quota) -> None:
    upload(quota, USER, 999)
    with pytest.raises(TooManyRequests):
        upload(quota, USER, 2)
    upload(quota, USER, 1)
    with pytest.raises(TooManyRequests):
        quota.require(USER)
    upload(quota, uuid4(), 1000)


def test_the_headers_say_what_is_left_and_until_when(quota: Quota) -> None:
    upload(quota, USER, 400)
    left = {"RateLimit-Policy": '"samples";q=1000;w=60', "RateLimit": '"samples";r=600;t=50'}
    assert quota.headers(USER) == left
    with pytest.raises(TooManyRequests) as refused:
        upload(quota, USER, 601)
    assert refused.value.headers == {**left, "Retry-After": "50"}


def test_the_next_minute_begins_afresh(quota: Quota, clock: Clock) -> None:
    upload(quota, USER, 1000)
    clock.now += WINDOW
    upload(quota, USER, 1000)


def test_processes_learn_what_others_admitted(
    clock: Clock, settings: Settings, redis_client: Redis
) -> None:
    user, one, other = uuid4(), Quota(LIMIT, clock), Quota(LIMIT, clock)
    upload(one, user, 600)
    upload(other, user, 300)
    publish(settings, one, other)
    with pytest.raises(TooManyRequests):
        upload(other, user, 101)
    upload(other, user, 100)
    publish(settings, other)
    upload(one, user, 100)  # it has not asked since
    publish(settings, one)
    for quota in (one, other):
        publish(settings, quota)
    with pytest.raises(TooManyRequests):
        one.require(user)


def test_the_counts_in_redis_expire(quota: Quota, settings: Settings, redis_client: Redis) -> None:
    upload(quota, USER, 7)
    publish(settings, quota)
    (name,) = redis_client.keys(f"quota:{USER}:*")
    assert redis_client.get(name) == b"7"
    assert 0 < int(redis_client.ttl(name)) <= 2 * WINDOW


@given(st.lists(st.integers(1, 400), max_size=20))
def test_what_is_admitted_never_exceeds_the_limit(batches: list[int]) -> None:
    quota, admitted = Quota(LIMIT, Clock()), 0
    for samples in batches:
        try:
            upload(quota, USER, samples)
            admitted += samples
        except TooManyRequests:
            assert admitted + samples > LIMIT
    assert admitted <= LIMIT


def test_uploads_under_way_count_and_those_that_fail_are_given_back(quota: Quota) -> None:
    with suppress(ServiceUnavailable), quota.taking(USER, 700):
        with pytest.raises(TooManyRequests):
            upload(quota, USER, 301)
        raise ServiceUnavailable("Redis did not take it")
    upload(quota, USER, 1000)


def test_what_failed_in_an_earlier_minute_is_no_gift_to_this_one(
    quota: Quota, clock: Clock
) -> None:
    with suppress(ServiceUnavailable), quota.taking(USER, 700):
        clock.now += WINDOW
        raise ServiceUnavailable("Redis did not take it")
    with pytest.raises(TooManyRequests):
        upload(quota, USER, LIMIT + 1)


@pytest.fixture
def make_user(clock: Clock, settings: Settings, database_url: str) -> Iterator[Callable[[], Rider]]:
    """Makes users of an API in this process, whose quotas go by the test's clock."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as clients:
        server = uvicorn.Server(configure(create_app(settings, clock), settings))
        thread = Thread(target=server.run, args=[[listener]])
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        def make() -> Rider:
            account = create_account(database_url, f"{token_hex(6)}@example.com", "test")
            client = httpx2.Client(base_url=url, headers={"X-API-Key": account.api_key}, timeout=60)
            return Rider(account, clients.enter_context(client))

        yield make
        server.should_exit = True
        thread.join()


def test_a_user_with_nothing_left_is_refused_before_its_body_is_read(
    make_user: Callable[[], Rider],
) -> None:
    user = make_user()
    workout = user.start()
    assert [user.upload(workout, A_FIFTH).status_code for _ in range(5)] == [202] * 5
    address = user.client.base_url
    with socket.create_connection((address.host, address.port), 60) as connection:
        head = (
            f"POST /api/workouts/{workout}/telemetry HTTP/1.1\r\nHost: test\r\n"
            f"X-API-Key: {user.account.api_key}\r\nContent-Length: 1000000\r\n\r\n"
        )
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 429")


def test_an_upload_is_told_what_is_left(make_user: Callable[[], Rider]) -> None:
    user = make_user()
    workout = user.start()
    told = [user.upload(workout, seconds_of(200, 30)).headers for _ in range(2)]
    assert {each["RateLimit-Policy"] for each in told} == {'"samples";q=300000;w=60'}
    assert [each["RateLimit"] for each in told] == [
        '"samples";r=299970;t=50',
        '"samples";r=299940;t=50',
    ]


def test_who_used_it_up_gets_429_while_others_go_on(
    make_user: Callable[[], Rider], clock: Clock
) -> None:
    greedy, modest = make_user(), make_user()
    workout = greedy.start()
    *taken, refused = [greedy.upload(workout, A_FIFTH) for _ in range(6)]
    assert {answer.status_code for answer in taken} == {202}
    assert refused.status_code == 429
    assert (refused.headers["RateLimit"], refused.headers["Retry-After"]) == (
        '"samples";r=0;t=50',
        "50",
    )
    assert (
        refused.json()["detail"]
        == "a user may upload 300000 samples a minute, by all keys together"
    )
    assert modest.upload(modest.start(), seconds_of(1, 1)).status_code == 202
    clock.now += 50
    assert greedy.upload(workout, A_FIFTH).status_code == 202


def test_all_keys_of_a_user_share_one_quota(make_user: Callable[[], Rider]) -> None:
    user = make_user()
    workout = user.start()
    key = user.client.post("/api/keys", json={"name": "second", "scopes": ["upload"]}).json()
    second = {"X-API-Key": key["secret"]}
    assert [user.upload(workout, A_FIFTH).status_code for _ in range(4)] == [202] * 4
    assert (
        user.upload(workout, A_FIFTH, headers=second)
        .headers["RateLimit"]
        .startswith('"samples";r=0;')
    )
    assert user.upload(workout, A_FIFTH, headers=second).status_code == 429
