"""By what others know that a worker lives."""

from contextlib import closing
from typing import Any

from shared.connections import Redis
from shared.monitoring.workers import EXPIRES_AFTER, living_workers
from shared.redis_keys import GROUP, Queue, alive_key
from tests.redis_settings import configured
from tests.worker.conftest import StartWorker
from tests.worker.waiting import eventually
from worker.queue.heartbeat import Pulse


def left_of(redis: Redis, key: str) -> int:
    """Milliseconds until it expires."""
    left: Any = redis.pttl(key)
    return int(left)


def keys_of_workers(redis: Redis) -> list[str]:
    return [key.decode() for key in redis.scan_iter(alive_key("*"))]


def test_a_killed_worker_s_heartbeat_expires_and_a_stopped_one_takes_it_along(
    redis_client: Redis, start_worker: StartWorker
) -> None:
    killed, stopped = start_worker(), start_worker()
    eventually(lambda: len(living_workers(redis_client)) == 2)
    assert {each.pid for each in living_workers(redis_client)} == {killed.pid, stopped.pid}
    stopped.terminate()
    stopped.wait()
    killed.kill()
    killed.wait()
    (key,) = keys_of_workers(redis_client)
    assert 0 < left_of(redis_client, key) <= EXPIRES_AFTER * 1000


def test_a_full_redis_lets_a_heartbeat_live_on(redis_client: Redis) -> None:
    redis_client.xgroup_create(Queue.PROMPT, GROUP, id="0", mkstream=True)
    redis_client.set(alive_key("first"), b"{}", ex=EXPIRES_AFTER // 2)
    with (
        configured(redis_client, "maxmemory", "1"),
        closing(Pulse(redis_client, "first")),
    ):
        half = EXPIRES_AFTER * 500
        eventually(lambda: left_of(redis_client, alive_key("first")) > half)


def test_a_heartbeat_tells_the_event_in_hand(redis_client: Redis) -> None:
    redis_client.xgroup_create(Queue.PROMPT, GROUP, id="0", mkstream=True)
    redis_client.xgroup_createconsumer(Queue.PROMPT, GROUP, "first")
    with closing(Pulse(redis_client, "first", every=0.01)) as pulse:
        pulse.at("fold of one")
        eventually(lambda: [each.event for each in living_workers(redis_client)] == ["fold of one"])
        pulse.at(None)
        eventually(lambda: [each.event_since for each in living_workers(redis_client)] == [None])
    assert living_workers(redis_client) == []
