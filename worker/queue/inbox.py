"""The consumer group: claim, read, keep the lease, acknowledge."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import redis

from shared.connections import Redis
from shared.redis_keys import EVENTS, GROUP

BLOCK: Final = 1.0  # seconds that a read waits for new events; also how soon a stop is noticed
_CLAIM_EVERY: Final = 5.0  # seconds between looks for abandoned events, if not a lease
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """An event handed to this worker, and how often it was handed to anyone."""

    id: bytes
    fields: dict[bytes, bytes]
    deliveries: int

    @property
    def subject(self) -> bytes:
        """What it is about: the workout, if it names one."""
        return self.fields.get(b"workout", self.id)


class Inbox:
    """This worker's place in the group. ``blocking`` waits longer than ``client`` may."""

    def __init__(self, client: Redis, blocking: Redis, consumer: str, lease: float) -> None:
        self._redis = client
        self._blocking = blocking
        self._consumer = consumer
        self._lease_ms = int(lease * 1000)
        self._cursor: bytes | str = "0-0"
        self._claim_at = 0.0
        self._own_from: bytes | None = b"-"  # a reply may have been lost, and its event with it
        self._leases = _LeaseKeeper(client, consumer, lease)

    def ensure_group(self) -> None:
        """Create the group at the beginning of the stream, so that no event is skipped."""
        try:
            self._redis.xgroup_create(EVENTS, GROUP, id="0", mkstream=True)
        except redis.exceptions.OutOfMemoryError:
            # A full Redis refuses before it looks: the group is there, or reading will tell.
            if not self._redis.exists(EVENTS):
                raise
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    def next_delivery(self, *, new_first: bool = False) -> Delivery | None:
        """An event to handle: an unfinished one of ours, else an abandoned one, else a new one.

        One at a time: what a worker merely kept would outlive its lease, and be handed out again.
        ``new_first`` is for when unfinished ones keep failing, and would hide a new one that works.
        """
        if new_first and (new := self._read_new()):
            return new
        return self._next_own() or self._claim_abandoned() or self._read_new()

    def reread_own(self) -> None:
        """After an error: go once through what was handed to us, for we may not have seen it."""
        self._own_from = b"-"

    @contextmanager
    def lease(self, delivery: Delivery) -> Iterator[None]:
        """Keep others from taking the event over while we are at it."""
        self._leases.current = delivery.id
        try:
            yield
        finally:
            self._leases.current = None

    def acknowledge(self, delivery: Delivery) -> None:
        """The event is dealt with: take it out of the group and of the stream."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.xack(EVENTS, GROUP, delivery.id)
            pipe.xdel(EVENTS, delivery.id)
            pipe.execute()

    def hand_back(self, delivery: Delivery) -> None:
        """Let any worker have the event at once, as if it had not been delivered to us."""
        self._redis.xclaim(
            EVENTS,
            GROUP,
            self._consumer,
            0,
            [delivery.id],
            idle=self._lease_ms,
            retrycount=delivery.deliveries - 1,
            justid=True,
        )

    def forgive(self, delivery: Delivery) -> None:
        """Do not count this delivery, whatever comes of it; the lease stays as it is."""
        self._redis.xclaim(
            EVENTS,
            GROUP,
            self._consumer,
            0,
            [delivery.id],
            retrycount=delivery.deliveries - 1,
            justid=True,
        )

    def close(self) -> None:
        """Leave the group, unless events are still ours: then another worker claims them."""
        self._leases.close()
        consumers: Any = self._redis.xinfo_consumers(EVENTS, GROUP)
        for consumer in consumers:
            if consumer["name"] == self._consumer.encode() and not consumer["pending"]:
                self._redis.xgroup_delconsumer(EVENTS, GROUP, self._consumer)

    def _next_own(self) -> Delivery | None:
        """The next event pending under our name. Looking there counts as no delivery."""
        while self._own_from:
            found: Any = self._redis.xpending_range(
                EVENTS, GROUP, self._own_from, "+", 1, self._consumer
            )
            self._own_from = b"(" + found[0]["message_id"] if found else None
            if found and (delivery := self._pending(found[0]["message_id"])):
                return delivery
        return None

    def _claim_abandoned(self) -> Delivery | None:
        if time.monotonic() < self._claim_at:
            return None
        reply: Any = self._redis.xautoclaim(
            EVENTS, GROUP, self._consumer, self._lease_ms, self._cursor, count=1
        )
        self._cursor, entries = reply[0], reply[1]
        if self._cursor in (b"0-0", "0-0"):
            self._claim_at = time.monotonic() + min(_CLAIM_EVERY, self._lease_ms / 1000)
        delivery = self._pending(entries[0][0]) if entries else None
        if delivery:
            logger.info(
                "took over event %s (delivery %d)", delivery.id.decode(), delivery.deliveries
            )
        return delivery

    def _read_new(self) -> Delivery | None:
        reply: Any = self._blocking.xreadgroup(
            GROUP, self._consumer, {EVENTS: ">"}, count=1, block=int(BLOCK * 1000)
        )
        for _, entries in reply or ():
            for entry_id, fields in entries:
                return Delivery(entry_id, fields, 1)
        return None

    def _pending(self, entry_id: bytes) -> Delivery | None:
        """An event handed out before, with its count; None if it is gone from the stream."""
        entries: Any = self._redis.xrange(EVENTS, entry_id, entry_id)
        pending: Any = self._redis.xpending_range(EVENTS, GROUP, entry_id, entry_id, 1)
        if not entries or not pending:
            return None
        return Delivery(entry_id, entries[0][1], pending[0]["times_delivered"])


class _LeaseKeeper:
    """Renews the lease of the current event from a thread, so that long work keeps it."""

    def __init__(self, client: Redis, consumer: str, lease: float) -> None:
        self.current: bytes | None = None
        self._redis = client
        self._consumer = consumer
        self._every = lease / 3
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed.wait(self._every):
            event_id = self.current
            if event_id is None:
                continue
            try:
                self._redis.xclaim(EVENTS, GROUP, self._consumer, 0, [event_id], justid=True)
            except redis.RedisError as error:
                logger.warning("could not renew the lease of %s: %s", event_id.decode(), error)
