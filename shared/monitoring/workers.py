"""How workers tell that they live: a key in Redis that expires unless they renew it."""

import socket
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import redis

from shared.connections import Redis
from shared.redis_keys import GROUP, Queue, alive_key

BEAT_EVERY: Final = 5.0  # seconds
EXPIRES_AFTER: Final = 20  # seconds: after three beats that did not come


class Heartbeat(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a worker tells of itself. Times are Unix seconds; ``event`` is the one in hand."""

    version: str
    host: str
    pid: int
    started: float
    event: str | None = None
    event_since: float | None = None


def living_workers(client: Redis) -> list[Heartbeat]:
    """Those whose heartbeat has not expired. Raises redis.RedisError."""
    try:
        consumers: Any = client.xinfo_consumers(Queue.PROMPT, GROUP)
    except redis.ResponseError:  # no stream or no group yet
        return []
    with client.pipeline(transaction=False) as pipe:
        for key in keys_of(consumers):
            pipe.get(key)
        return decode_all(pipe.execute())


def keys_of(consumers: Iterable[Any]) -> list[str]:
    """Where the heartbeats of a group's consumers are: the group is the list of all workers."""
    return [alive_key(consumer["name"].decode()) for consumer in consumers]


def decode_all(texts: Sequence[bytes | None]) -> list[Heartbeat]:
    """The heartbeats that there are; of a newer version, what we know of them."""
    return [msgspec.json.decode(text, type=Heartbeat) for text in texts if text]


def this_host() -> str:
    """How workers of this machine, or container, name it."""
    return socket.gethostname()
