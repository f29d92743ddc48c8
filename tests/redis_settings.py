"""Settings of a running Redis, changed for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shared.connections import Redis


@contextmanager
def configured(redis: Redis, name: str, value: str) -> Iterator[None]:
    """Set it, and put back at the end what was there: other tests share the server."""
    before: Any = redis.config_get(name)
    redis.config_set(name, value)
    try:
        yield
    finally:
        redis.config_set(name, before[name])
