"""A worker's heartbeat: others know from it that the worker lives, and what it is at."""

import logging
import os
import threading
import time
from contextlib import suppress

import msgspec
import redis
from redis.exceptions import OutOfMemoryError

from shared.connections import Redis
from shared.monitoring.workers import BEAT_EVERY, EXPIRES_AFTER, Heartbeat, this_host
from shared.redis_keys import GROUP, Queue, alive_key
from shared.version import VERSION

logger = logging.getLogger(__name__)


class Pulse:
    """Beats from a thread, as a fold may take minutes; ``at`` says which event is in hand.

    ``every``: so many seconds.
    """

    def __init__(self, client: Redis, consumer: str, every: float = BEAT_EVERY) -> None:
        self._redis = client
        self._consumer = consumer
        self._key = alive_key(consumer)
        self._beat = Heartbeat(VERSION, this_host(), os.getpid(), time.time())
        self._every = every
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def at(self, event: str | None) -> None:
        """This event is in hand from now on, or none; told with the next beat."""
        since = time.time() if event else None
        self._beat = msgspec.structs.replace(self._beat, event=event, event_since=since)

    def close(self) -> None:
        """The worker stops: nobody need wait for the last beat to expire."""
        self._closed.set()
        self._thread.join()
        try:
            self._redis.delete(self._key)
        except redis.RedisError as error:
            logger.warning("could not end the heartbeat: %s", error)

    def _run(self) -> None:
        while True:
            with suppress(redis.RedisError):  # the loop says so
                self._tell()
            if self._closed.wait(self._every):
                return

    def _tell(self) -> None:
        try:
            self._redis.set(self._key, msgspec.json.encode(self._beat), ex=EXPIRES_AFTER)
        except OutOfMemoryError:  # a full Redis lets what is there live on
            self._redis.expire(self._key, EXPIRES_AFTER)
        with suppress(redis.ResponseError):  # without a group, as yet
            # It lists the workers. Before Redis 7.2 who reads no event is not in it.
            self._redis.xgroup_createconsumer(Queue.PROMPT, GROUP, self._consumer)
