"""The consumer group: claim, read, keep the lease, acknowledge, hand back or leave."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import redis

from shared.connections import Redis
from shared.events import Fields
from shared.redis_keys import EVENTS, GROUP
from worker.queue.pace import Pace

_MOST_LISTED: Final = 10_000  # events that were handed out
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """An event handed to this worker, and how often it was handed to anyone."""

    id: bytes
    fields: dict[bytes, bytes]
    deliveries: int


class Inbox:
    """This worker's place in the group. ``blocking`` waits longer than ``client`` may."""

    def __init__(self, client: Redis, blocking: Redis, consumer: str, pace: Pace) -> None:
        self._redis = client
        self._blocking = blocking
        self._consumer = consumer
        self._pace = pace
        self._lease_ms = int(pace.lease * 1000)
        self._cursor: bytes | str = "0-0"
        self._claim_at = 0.0
        self._own_from: bytes | None = b"-"  # a reply may have been lost, and its event with it
        self._left: dict[bytes, float] = {}  # to newer workers, and until when to pass them over
        self._leases = _LeaseKeeper(client, consumer, pace.lease)

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

    def leave(self, delivery: Delivery) -> None:
        """Hand the event back, and pass it over for a while: a newer worker is to have it."""
        self._left[delivery.id] = time.monotonic() + self._pace.pass_over
        self.hand_back(delivery)

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
            EVENTS, GROUP, self._consumer, self._lease_ms, self._cursor, count=1
        )
        self._cursor, entries = reply[0], reply[1]
        is_last = self._cursor in (b"0-0", "0-0")
        if is_last:
            self._claim_at = time.monotonic() + min(self._pace.claim_every, self._pace.lease)
            self._left = {id_: until for id_, until in self._left.items() if not _is_past(until)}
        return self._pending(entries[0][0]) if entries else None, is_last

    def _read_new(self) -> Delivery | None:
        reply: Any = self._blocking.xreadgroup(
            GROUP, self._consumer, {EVENTS: ">"}, count=1, block=int(self._pace.block * 1000)
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

    def _is_left(self, delivery: Delivery) -> bool:
        """Whether it was left to a newer worker, and is not to be tried again yet."""
        return not _is_past(self._left.get(delivery.id, 0))


def events_handed_out(client: Redis) -> list[Fields]:
    """What workers are at, have failed to do or have left: all of it is still to be done."""
    try:
        pending: Any = client.xpending_range(EVENTS, GROUP, "-", "+", _MOST_LISTED)
    except redis.ResponseError as error:
        if str(error).startswith("NOGROUP"):
            return []
        raise
    with client.pipeline(transaction=False) as pipe:
        for event in pending:
            pipe.xrange(EVENTS, event["message_id"], event["message_id"])
        return [entries[0][1] for entries in pipe.execute() if entries]


def _is_past(moment: float) -> bool:
    return time.monotonic() >= moment


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
