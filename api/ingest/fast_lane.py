"""Uploads in the fast lane: those that are right in every way, by a key and to a ride known here.

Nearly all requests that there ever are. What is measured by the bounds of the usual way is within
them; whatever else an upload may be, the usual way sees to it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote
from uuid import UUID

import msgspec
from httptools import parse_url
from msgspec import Struct

from api.identity.auth import Caller, key_in
from api.ingest.batch import NDJSON, Limits, PackedBatch
from api.ingest.node_writer import NotRight, Place, place_of
from api.ingest.parsing import read_fast
from api.ingest.receipts import Receipt
from api.ingest.state import IngestState
from api.ingest.table import Rows
from api.web.body import JSON
from api.web.cache import Entry
from api.web.fast_lane import Answer, Client, Headers, Reply
from api.web.layers import LayerHeaders
from api.web.problems import NotFound, Problem
from api.web.query import workout_id_in

# Bytes of a body: a larger one is parsed in another thread.
MOST_PARSED_AT_ONCE: Final = 256 * 1024
# Headers that ask for something out of the ordinary.
_UNUSUAL: Final = frozenset((b"content-encoding", b"prefer", b"expect", b"origin", b"upgrade"))
_TYPES: Final = (JSON, NDJSON)
_MOST_HEADS: Final = 100_000  # remembered by one process
_SENDER: Final = "sender"  # a scope's name for what was found out about a WebSocket
_ACCEPTED: Final = HTTPStatus.ACCEPTED.value
_encode: Final = msgspec.json.Encoder().encode
Settle = Callable[[bytes | Exception | None], None]


class Sender(Struct):
    """A key, a ride and a media type that uploads come with: what was found out about them.

    ``until``: when the key or the ride is to be looked up again, by the monotonic clock.
    """

    key: Entry[Caller]
    user_id: UUID
    place: Place
    ride: Entry[bool]
    removed: Sequence[int]
    media_type: str
    until: float = 0.0


class Upload(Struct):
    """An upload that the lane may take."""

    sender: Sender
    beside: bytes  # headers that the answer has as well
    held: int = 0  # bytes of the body


class FastLane:
    """Stores batches, or leaves them alone."""

    def __init__(self, state: IngestState, path: str, layers: LayerHeaders) -> None:
        self._path = path
        self._before, self._after = path.split("{id}")
        self._layers = layers
        self._counts = state["counts"]
        self._authenticator = state["authenticator"]
        self._ownerships = state["ownerships"]
        self._first_batches = state["first_batches"]
        self._quota = state["quota"]
        self._ride_sizes = state["ride_sizes"]
        self._waiting = state["waiting"]
        self._writer = state["writer"]
        self._bodies = state["bodies"]
        self._most_samples = state["settings"].max_batch_samples
        self._largest = min(MOST_PARSED_AT_ONCE, state["settings"].max_body_bytes)
        self._heads: dict[bytes, tuple[Sender, bytes]] = {}  # by a hash: keys are not kept

    def admit(self, url: bytes, headers: Headers, client: Client, scheme: str) -> Upload | None:
        """The upload that a POST with this head is; None for one that is no, or unusual."""
        given = dict(reversed(headers))  # of two headers of a name, the first
        if not _UNUSUAL.isdisjoint(given):
            return None
        sender = self._look_up(url, given)
        return Upload(sender, self._layers.of(headers, client, scheme)) if sender else None

    def remember(self, head: bytes, upload: Upload) -> None:
        """Whoever sends this head again sends an upload like this one."""
        if len(self._heads) >= _MOST_HEADS:
            del self._heads[next(iter(self._heads))]
        self._heads[sha256(head).digest()] = upload.sender, upload.beside

    def recall(self, head: bytes) -> Upload | None:
        """As ``admit``, by a head that is remembered; None if that says nothing any more."""
        digest = sha256(head).digest()
        known = self._heads.get(digest)
        if known is None:
            return None
        if not self._is_true(known[0]):
            del self._heads[digest]
            return None
        return Upload(*known)

    def admit_message(self, scope: Any) -> Upload | None:
        """The upload that a message of a WebSocket is; None for an unusual one."""
        sender: Sender | None = scope.get(_SENDER)
        if not (sender and self._is_true(sender)):
            sender = scope[_SENDER] = self._look_up_in(scope)
        return Upload(sender, b"") if sender else None

    def _look_up_in(self, scope: Any) -> Sender | None:
        given = {**dict(reversed(scope["headers"])), b"content-type": JSON.encode()}
        if b"prefer" in given or scope["query_string"]:
            return None
        return self._look_up(scope["raw_path"], given)

    def _is_true(self, sender: Sender) -> bool:
        """Whether it would be found once more: neither the key nor the ride has changed."""
        key, ride, now = sender.key, sender.ride, time.monotonic()
        if key.is_dropped or ride.is_dropped:
            return False
        if now >= sender.until:
            times = self._authenticator.open_until(key), self._ownerships.known_until(ride)
            sender.until = min(times)
        return now < sender.until

    def _look_up(self, url: bytes, given: Mapping[bytes, bytes]) -> Sender | None:
        media_type = _media_type(given.get(b"content-type", b""))
        key = key_in(_text(given, b"authorization"), _text(given, b"x-api-key"))
        workout_id = self._workout_id(url)
        if not (media_type and key and workout_id):
            return None
        caller = self._authenticator.remembered(key, "upload")
        ride = self._ownerships.remembered(workout_id, caller.value.user_id) if caller else None
        if not (caller and ride and self._first_batches.are_past(workout_id)):
            return None
        removed = self._ownerships.removed_from(workout_id)
        place = place_of(workout_id)
        return Sender(caller, caller.value.user_id, place, ride, removed, media_type)

    def hold(self, upload: Upload, size: int) -> bool:
        """Whether so many bytes of the body may be held until the rest has come."""
        if not self._bodies.has_room(size - upload.held) or not self._has_room(upload.sender):
            return False
        self._bodies.hold(size - upload.held)
        upload.held = size
        return True

    def release(self, upload: Upload) -> None:
        """Nothing of the body is held any more."""
        self._bodies.hold(-upload.held)
        upload.held = 0

    def take(self, upload: Upload, body: bytes, reply: Reply) -> None:
        """Store a batch, and answer once Redis has it; ``reply`` with None to leave it alone."""
        began = time.perf_counter()

        def settle(outcome: bytes | Exception | None) -> None:
            if isinstance(outcome, bytes):
                self._counts.note_answer("POST", self._path, _ACCEPTED, began)
                reply(self._answer(upload, outcome))
            else:
                reply(outcome)

        self.store(upload, body, settle)

    def store(self, upload: Upload, body: bytes, settle: Settle) -> None:
        """As ``take``; ``settle`` gets the receipt, or why there is none; None to leave it alone.

        What may be wrong with rows is seen when they are packed, with all of the same moment.
        """
        sender = upload.sender
        batch = self._read(sender, body)
        size = batch.most_bytes if batch else 0
        minute = self._count(sender, batch.samples, size) if batch else None
        if batch is None or minute is None:
            settle(None)
            return

        def end(outcome: str | Exception) -> None:
            self.release(upload)
            if isinstance(outcome, str):
                self._waiting.end(sender.user_id, sender.place.stream, size, len(batch.entry))
                self._counts.note_batch(batch.samples)
                settle(_encode(Receipt(batch.samples, batch.latest, outcome)))
            else:
                self._give_back(sender, batch.samples, size, minute)
                settle(None if isinstance(outcome, NotRight) else outcome)

        upload.held = len(body)
        self._bodies.hold(upload.held)
        whole = batch if isinstance(batch, Rows) else batch.entry
        self._writer.add(sender.place, whole, size, end, finished=sender.ride.value)

    def _read(self, sender: Sender, body: bytes) -> Rows | PackedBatch | None:
        """None for what is not right in every way, or has no samples."""
        if len(body) > self._largest or not self._bodies.has_room(len(body)):
            return None
        limits = Limits.at(time.time_ns() // 1_000_000, self._most_samples, sender.removed)
        try:
            batch = read_fast(body, sender.media_type, limits)
        except Problem:
            return None
        return batch if batch and batch.samples else None

    def _count(self, sender: Sender, samples: int, size: int) -> int | None:
        """Count a batch by every bound: its minute; None if one of them has no room for it."""
        if not self._writer.has_room(size):
            return None
        minute = self._quota.take(sender.user_id, samples)
        if minute is None:
            return None
        if not self._ride_sizes.take(sender.place.workout_id, samples):
            self._quota.give_back(sender.user_id, samples, minute)
            return None
        if self._waiting.begin(sender.user_id, size):
            return minute
        self._ride_sizes.give_back(sender.place.workout_id, samples)
        self._quota.give_back(sender.user_id, samples, minute)
        return None

    def _give_back(self, sender: Sender, samples: int, size: int, minute: int) -> None:
        self._quota.give_back(sender.user_id, samples, minute)
        self._ride_sizes.give_back(sender.place.workout_id, samples)
        self._waiting.give_up(sender.user_id, size)

    def _has_room(self, sender: Sender) -> bool:
        """Whether there is room for a single sample."""
        try:
            self._quota.require(sender.user_id)
            self._ride_sizes.require(sender.place.workout_id, sender.user_id)
            self._waiting.require(sender.user_id)
        except Problem:
            return False
        return True

    def _answer(self, upload: Upload, receipt: bytes) -> Answer:
        said = self._quota.header_lines(upload.sender.user_id)
        length = b"content-length: %d\r\ncontent-type: application/json\r\n" % len(receipt)
        return Answer(_ACCEPTED, said + length + upload.beside, receipt)

    def _workout_id(self, url: bytes) -> UUID | None:
        """The ride to which an address is; None for one of anything else, or with a query."""
        parts = parse_url(url)
        path = unquote(parts.path.decode("ascii"))
        if parts.query or not (path.startswith(self._before) and path.endswith(self._after)):
            return None
        try:
            return workout_id_in(path[len(self._before) : -len(self._after)])
        except NotFound:
            return None


@lru_cache(1000)
def _media_type(named: bytes) -> str | None:
    """The type without its parameters; None for one that is no batch."""
    found = named.decode("latin-1").partition(";")[0].strip().lower() or JSON
    return found if found in _TYPES else None


def _text(given: Mapping[bytes, bytes], name: bytes) -> str:
    return given.get(name, b"").decode("latin-1")
