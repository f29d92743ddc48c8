"""A ride's batches in Redis, where it is full or refuses what it is asked."""

from uuid import uuid4

import pytest
import redis

from shared.connections import Redis
from shared.redis_keys import BATCH_FIELD, resting_key, samples_key, sealed_key
from tests.redis_settings import configured
from worker.rides.stream import leave, take_waiting


def test_a_full_redis_refuses_the_seal_and_the_rest_and_gives_and_trims_what_waits(
    redis_client: Redis,
) -> None:
    workout = uuid4()
    redis_client.xadd(samples_key(workout), {BATCH_FIELD: b"1"}, id="5-1")
    with configured(redis_client, "maxmemory", "1"):
        waiting = take_waiting(redis_client, workout, seal=True)
        leave(redis_client, workout, waiting.last_id, 10)
    assert (waiting.entries, waiting.last_id) == ([b"1"], "5-1")
    assert not redis_client.exists(sealed_key(workout), resting_key(workout), samples_key(workout))


def test_any_other_refusal_is_an_error(redis_client: Redis) -> None:
    workout = uuid4()
    redis_client.set(samples_key(workout), b"no stream")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        take_waiting(redis_client, workout, seal=True)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        leave(redis_client, workout, "5-1", 10)
