"""One stream of events: this worker's place in its consumer group."""

import logging
import time
from dataclasses import dataclass
from typing import Any

import redis

from shared.connections import Redis
from shared.redis_keys import GROUP, Queue
from worker.queue.pace import Pace

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """An event handed to this worker, and how often it was handed to anyone."""

    queue: Queue
    id: bytes
    fields: dict[bytes, bytes]
    deliveries: int


class Lane:
    """Hands events of one stream out, and takes them back: done, failed or left."""

    def __init__(self, client: Redis, queue: Queue, consumer: str, pace: Pace) -> None:
        self._redis = client
        self.queue = queue
        self._consumer = consumer
        self._pace = pace
        self._lease_ms = int(pace.lease * 1000)
        self._cursor: bytes | str = "0-0"
        self._claim_at = 0.0
        self._own_from: bytes | None = b"-"  # a reply may have been lost, and its event with it
        self._left: dict[bytes, float] = {}  # to newer workers, and until when to pass them over

    def ensure_group(self) -> bool:
        """Create the group at the beginning of the stream, so that no event is skipped.

        False if there is no group yet, and Redis is too full for one: an event that the API has
        added by then waits in its stream.
        """
        try:
            self._redis.xgroup_create(self.queue, GROUP, id="0", mkstream=True)
        except redis.exceptions.OutOfMemoryError:
            return self._has_group()  # a full Redis refuses before it looks
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
        return True

    def _has_group(self) -> bool:
        groups: Any = self._redis.xinfo_groups(self.queue) if self._redis.exists(self.queue) else []
        return any(group["name"] == GROUP.encode() for group in groups)

    def reread_own(self) -> None:
        """After an error: go once through what was handed to us, for we may not have seen it."""
        self._own_from = b"-"

    def next_unfinished(self) -> Delivery | None:
        """An event that was handed to us before, else one whose lease ran out."""
        return self._next_own() or self._claim_abandoned()

    def next_new(self) -> Delivery | None:
        """An event that nobody has had; waits for none."""
        reply: Any = self._redis.xreadgroup(GROUP, self._consumer, {self.queue: ">"}, count=1)
        for _, entries in reply or ():
            for entry_id, fields in entries:
                return Delivery(self.queue, entry_id, fields, 1)
        return None

    def acknowledge(self, delivery: Delivery) -> None:
        """The event is dealt with: take it out of the group and of the stream."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.xack(self.queue, GROUP, delivery.id)
            pipe.xdel(self.queue, delivery.id)
            pipe.execute()

    def hand_back(self, delivery: Delivery) -> None:
        """Let any worker have the event at once, as if it had not been delivered to us."""
        self._uncount(delivery, idle=self._lease_ms)

    def leave(self, delivery: Delivery) -> None:
        """Hand the event back, and pass it over for a while: a newer worker is to have it."""
        self._left[delivery.id] = time.monotonic() + self._pace.pass_over
        self.hand_back(delivery)

    def forgive(self, delivery: Delivery) -> None:
        """Do not count this delivery, whatever comes of it; the lease stays as it is."""
        self._uncount(delivery)

    def close(self) -> None:
        """Leave the group, unless events are still ours: then another worker claims them."""
        consumers: Any = self._redis.xinfo_consumers(self.queue, GROUP)
        for consumer in consumers:
            if consumer["name"] == self._consumer.encode() and not consumer["pending"]:
                self._redis.xgroup_delconsumer(self.queue, GROUP, self._consumer)

    def _uncount(self, delivery: Delivery, idle: int | None = None) -> None:
        self._redis.xclaim(
            self.queue,
            GROUP,
            self._consumer,
            0,
            [delivery.id],
            idle=idle,
            retrycount=delivery.deliveries - 1,
            justid=True,
        )

    def _next_own(self) -> Delivery | None:
        """The next event pending under our name. Looking there counts as no delivery."""
        while self._own_from:
            found: Any = self._redis.xpending_range(
                self.queue, GROUP, self._own_from, "+", 1, self._consumer
            )
            self._own_from = b"(" + found[0]["message_id"] if found else None
            delivery = self._pending(found[0]["message_id"]) if found else None
            if delivery and not self._is_left(delivery):
                return delivery
        return None

    def _claim_abandoned(self) -> Delivery | None:
        """The next event whose lease ran out; on the way, those that were left are handed back.

        At once, that is: a newer worker finds them free whenever it looks.
        """
        while time.monotonic() >= self._claim_at:
            delivery, is_last = self._claim_next()
            if delivery and not self._is_left(delivery):
                logger.info(
                    "took over event %s (delivery %d)", delivery.id.decode(), delivery.deliveries
                )
                return delivery
            if delivery:
                self.hand_back(delivery)
            if is_last:
                break
        return None

    def _claim_next(self) -> tuple[Delivery | None, bool]:
        """The next event whose lease ran out, if the step finds one, and whether it was the last.

        After the last step through all of them it is some time until the next first one.
        """
        reply: Any = self._redis.xautoclaim(
            self.queue, GROUP, self._consumer, self._lease_ms, self._cursor, count=1
        )
        self._cursor, entries = reply[0], reply[1]
        is_last = self._cursor in (b"0-0", "0-0")
        if is_last:
            self._claim_at = time.monotonic() + min(self._pace.claim_every, self._pace.lease)
            self._left = {id_: until for id_, until in self._left.items() if not _is_past(until)}
        return self._pending(entries[0][0]) if entries else None, is_last

    def _pending(self, entry_id: bytes) -> Delivery | None:
        """An event handed out before, with its count; None if it is gone from the stream."""
        entries: Any = self._redis.xrange(self.queue, entry_id, entry_id)
        pending: Any = self._redis.xpending_range(self.queue, GROUP, entry_id, entry_id, 1)
        if not entries or not pending:
            return None
        return Delivery(self.queue, entry_id, entries[0][1], pending[0]["times_delivered"])

    def _is_left(self, delivery: Delivery) -> bool:
        """Whether it was left to a newer worker, and is not to be tried again yet."""
        return not _is_past(self._left.get(delivery.id, 0))


def _is_past(moment: float) -> bool:
    return time.monotonic() >= moment
