"""Which workers live, asked without holding up other requests."""

from typing import Any

import redis

from shared.connections import AsyncRedis
from shared.monitoring.workers import keys_of
from shared.redis_keys import GROUP, Queue


async def count_workers(client: AsyncRedis) -> int:
    """How many do. Raises redis.RedisError."""
    try:
        consumers: Any = await client.xinfo_consumers(Queue.PROMPT, GROUP)
    except redis.ResponseError:  # no stream or no group yet
        return 0
    async with client.pipeline(transaction=False) as pipe:
        for key in keys_of(consumers):
            pipe.exists(key)
        return sum(await pipe.execute())
