"""The events of all streams, the most urgent first; and the lease of the one in hand."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final
from uuid import UUID

import redis

from shared.connections import Redis, is_away, is_cluster, passing_over
from shared.events import Fields
from shared.redis_keys import GROUP, Queue, samples_key
from worker.queue.lane import Delivery, Lane
from worker.queue.pace import Pace

_MOST_LISTED: Final = 10_000  # pending events
# One read in so many begins with another stream, each in turn: no flood of one starves the others.
_ANOTHER_FIRST_EVERY: Final = 8
logger = logging.getLogger(__name__)


class Inbox:
    """This worker's place in the groups. ``blocking`` waits longer than ``client`` may."""

    def __init__(self, client: Redis, blocking: Redis, consumer: str, pace: Pace) -> None:
        self._client = client
        self._blocking = blocking
        self._consumer = consumer
        self._block_ms = int(pace.block * 1000)
        self._lanes = {queue: Lane(client, queue, consumer, pace) for queue in Queue}
        self._open: list[Lane] = []  # those whose streams there are, in the order of the queues
        self._reads = 0
        self._leases = _LeaseKeeper(client, consumer, pace.lease)

    def ensure_groups(self) -> None:
        """Create what is missing of streams and groups; a full Redis may leave some for later."""
        self._open = [lane for lane in self._lanes.values() if lane.ensure_group()]

    def next_delivery(self, *, new_first: bool = False) -> Delivery | None:
        """An event to handle: an unfinished one of ours, else an abandoned one, else a new one.

        One at a time: what a worker merely kept would outlive its lease, and be handed out again.
        ``new_first`` is for when unfinished ones keep failing, and would hide a new one that works.
        """
        if new_first:
            return self._next_new() or self._next_unfinished() or self._wait()
        return self._next_unfinished() or self._next_new() or self._wait()

    def reread_own(self) -> None:
        """After an error: go once through what was handed to us, for we may not have seen it."""
        for lane in self._lanes.values():
            lane.reread_own()

    @contextmanager
    def lease(self, delivery: Delivery) -> Iterator[None]:
        """Keep others from taking the event over while we are at it."""
        self._leases.current = delivery
        try:
            yield
        finally:
            self._leases.current = None

    def acknowledge(self, delivery: Delivery) -> None:
        """The event is dealt with: take it out of the group and of the stream."""
        self._lanes[delivery.queue].acknowledge(delivery)

    def hand_back(self, delivery: Delivery) -> None:
        """Let any worker have the event at once, as if it had not been delivered to us."""
        self._lanes[delivery.queue].hand_back(delivery)

    def leave(self, delivery: Delivery) -> None:
        """Hand the event back, and pass it over for a while: a newer worker is to have it."""
        self._lanes[delivery.queue].leave(delivery)

    def forgive(self, delivery: Delivery) -> None:
        """Do not count this delivery, whatever comes of it; the lease stays as it is."""
        self._lanes[delivery.queue].forgive(delivery)

    def goes_on(self) -> bool:
        """Whether events are handed out, though a node of a cluster may be away."""
        if not is_cluster(self._client):
            return False
        try:
            self._client.exists(Queue.PROMPT)
        except redis.RedisError:
            return False
        return True

    def is_away(self, subject: bytes) -> bool:
        """Whether the node that has a ride, or file, did not answer lately."""
        key = _key_of(subject)
        return key is not None and is_away(self._client, key)

    def probe(self, subject: bytes) -> None:
        """See whether that node answers: if not, it is away for a while."""
        if key := _key_of(subject):
            with suppress(redis.RedisError), passing_over(self._client, key=key):
                self._client.exists(key)

    def close(self) -> None:
        """Leave the groups, unless events are still ours: then another worker claims them."""
        self._leases.close()
        for lane in self._lanes.values():
            lane.close()

    def _next_unfinished(self) -> Delivery | None:
        return next(filter(None, (lane.next_unfinished() for lane in self._open)), None)

    def _next_new(self) -> Delivery | None:
        self._reads += 1
        lanes = list(self._open)
        if self._reads % _ANOTHER_FIRST_EVERY == 0:
            first = self._reads // _ANOTHER_FIRST_EVERY % len(lanes)
            lanes = lanes[first:] + lanes[:first]
        return next(filter(None, (lane.next_new() for lane in lanes)), None)

    def _wait(self) -> Delivery | None:
        """The first event to come, or None if none does for a while."""
        if len(self._open) < len(self._lanes):
            self.ensure_groups()
        if not self._open:  # the worker goes on all the same: its folds make room
            time.sleep(self._block_ms / 1000)
            return None
        streams: dict[Any, Any] = {lane.queue: ">" for lane in self._open}
        reply: Any = self._blocking.xreadgroup(
            GROUP, self._consumer, streams, count=1, block=self._block_ms
        )
        found = [
            Delivery(Queue(stream.decode()), entry_id, fields, 1)
            for stream, entries in reply or ()
            for entry_id, fields in entries
        ]
        for another in found[1:]:  # of another stream, at the same moment
            self._lanes[another.queue].reread_own()
        return found[0] if found else None


def _key_of(subject: bytes) -> str | None:
    with suppress(ValueError):
        return samples_key(UUID(subject.decode()))
    return None


def pending_events(client: Redis) -> list[Fields]:
    """All pending events: in progress, failed, or left to a newer worker."""
    return [event for queue in Queue for event in _pending_of(client, queue)]


def _pending_of(client: Redis, queue: Queue) -> list[Fields]:
    try:
        pending: Any = client.xpending_range(queue, GROUP, "-", "+", _MOST_LISTED)
    except redis.ResponseError as error:
        if str(error).startswith("NOGROUP"):
            return []
        raise
    with client.pipeline(transaction=False) as pipe:
        for event in pending:
            pipe.xrange(queue, event["message_id"], event["message_id"])
        return [entries[0][1] for entries in pipe.execute() if entries]


class _LeaseKeeper:
    """Renews the lease of the current event from a thread, so that long work keeps it."""

    def __init__(self, client: Redis, consumer: str, lease: float) -> None:
        self.current: Delivery | None = None
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
            if event := self.current:
                self._renew(event)

    def _renew(self, event: Delivery) -> None:
        try:
            self._redis.xclaim(event.queue, GROUP, self._consumer, 0, [event.id], justid=True)
        except redis.RedisError as error:
            logger.warning("could not renew the lease of %s: %s", event.id.decode(), error)
