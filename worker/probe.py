"""Does the worker on this host go on reading? ``python -m worker.probe`` exits 0 if it does."""

import os
import socket
import sys
from typing import Any

import redis

from shared.connections import open_redis
from shared.redis_keys import GROUP, Queue
from shared.settings import Settings, read_settings


def is_working(settings: Settings) -> bool:
    """Whether a consumer of this host has asked for events or renewed a lease lately."""
    with open_redis(settings) as client:
        consumers: Any = client.xinfo_consumers(Queue.PROMPT, GROUP)
    ours = f"{socket.gethostname()}-".encode()
    return any(
        consumer["name"].startswith(ours) and consumer["idle"] < settings.lease * 1000
        for consumer in consumers
    )


def main() -> None:
    """Exit 0 or say why not."""
    try:
        working = is_working(read_settings(os.environ))
    except redis.RedisError as error:
        sys.exit(f"Redis does not tell: {error}")
    if not working:
        sys.exit("no worker of this host has asked for events lately")


if __name__ == "__main__":
    main()
