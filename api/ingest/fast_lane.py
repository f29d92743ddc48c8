"""Uploads in the fast lane: those that are right in every way, by a key and to a ride known here.

Nearly all requests that there ever are. What is measured by the bounds of the usual way is within
them; whatever else an upload may be, the usual way sees to it.
"""

import time
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

import msgspec

from api.identity.auth import key_in
from api.ingest.batch import NDJSON, Limits, PackedBatch
from api.ingest.parsing import pack_fast
from api.ingest.receipts import receipt_of
from api.ingest.state import IngestState
from api.web.body import JSON
from api.web.fast_lane import Answer, Reply
from api.web.layers import LayerHeaders
from api.web.problems import NotFound, Problem
from api.web.query import workout_id_in
from shared.errors import ServiceUnavailable

# Bytes of a body: a larger one is parsed in another thread.
MOST_PARSED_AT_ONCE: Final = 256 * 1024
# Headers that ask for something out of the ordinary.
_UNUSUAL: Final = frozenset((b"content-encoding", b"prefer", b"expect", b"origin", b"upgrade"))
_TYPES: Final = (JSON, NDJSON)
Settle = Callable[[bytes | Exception], None]


class Upload:
    """An upload that the lane may take: by whom, to which ride, of which media type."""

    __slots__ = ("beside", "finished", "held", "media_type", "user_id", "workout_id")

    def __init__(
        self, workout_id: UUID, user_id: UUID, media_type: str, *, finished: bool, beside: bytes
    ) -> None:
        self.workout_id = workout_id
        self.user_id = user_id
        self.media_type = media_type
        self.finished = finished
        self.beside = beside  # headers that the answer has as well
        self.held = 0  # bytes of the body


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

    def admit(self, scope: Any) -> Upload | None:
        """The upload that a request of this head is; None for one that is no, or unusual."""
        if not scope["path"].endswith(self._after) or scope["method"] != "POST":
            return None
        given = dict(reversed(scope["headers"]))  # of two headers of a name, the first
        media_type = _media_type(given.get(b"content-type", b""))
        if media_type is None or not _UNUSUAL.isdisjoint(given):
            return None
        return self._find(scope, given, media_type)

    def admit_message(self, scope: Any) -> Upload | None:
        """The upload that a message of a WebSocket is; None for an unusual one."""
        given = dict(reversed(scope["headers"]))
        return None if b"prefer" in given else self._find(scope, given, JSON)

    def _find(self, scope: Any, given: dict[bytes, bytes], media_type: str) -> Upload | None:
        key = key_in(_text(given, b"authorization"), _text(given, b"x-api-key"))
        workout_id = self._workout_id(scope["path"])
        if scope["query_string"] or not (key and workout_id):
            return None
        caller = self._authenticator.remembered(key, "upload")
        finished = self._ownerships.remembered(workout_id, caller.user_id) if caller else None
        if caller is None or finished is None or not self._first_batches.are_past(workout_id):
            return None
        beside = self._layers.of(scope)
        return Upload(workout_id, caller.user_id, media_type, finished=finished, beside=beside)

    def hold(self, upload: Upload, size: int) -> bool:
        """Whether so many bytes of the body may be held until the rest has come."""
        if not self._bodies.has_room(size - upload.held) or not self._has_room(upload, 1, 1):
            return False
        self._bodies.hold(size - upload.held)
        upload.held = size
        return True

    def release(self, upload: Upload) -> None:
        """Nothing of the body is held any more."""
        self._bodies.hold(-upload.held)
        upload.held = 0

    def take(self, upload: Upload, body: bytes, reply: Reply) -> bool:
        """Store a batch, and answer once Redis has it; False to leave it alone."""
        began = time.perf_counter()

        def settle(outcome: bytes | Exception) -> None:
            if isinstance(outcome, bytes):
                self._counts.note_answer("POST", self._path, HTTPStatus.ACCEPTED, began)
                reply(self._answer(upload, outcome))
            else:
                reply(outcome)

        return self.store(upload, body, settle)

    def store(self, upload: Upload, body: bytes, settle: Settle) -> bool:
        """As ``take``; ``settle`` gets the receipt, or why there is none."""
        batch = self._pack(upload, body)
        size = len(batch.entry) if batch else 0
        if not batch or not size or not self._has_room(upload, batch.samples, size):
            return False
        ride, user = upload.workout_id, upload.user_id

        def end(outcome: str | Exception) -> None:
            self.release(upload)
            if isinstance(outcome, str):
                self._waiting.end(user, ride, size)
                self._counts.note_batch(batch.samples)
                settle(msgspec.json.encode(receipt_of(batch, outcome)))
            else:
                self._quota.give_back(user, batch.samples, minute)
                self._ride_sizes.add(ride, -batch.samples)
                self._waiting.give_up(user, size)
                settle(outcome)

        try:
            self._writer.add(ride, batch.entry, end, finished=upload.finished)
        except ServiceUnavailable:
            return False
        minute = self._quota.take(user, batch.samples)
        self._ride_sizes.add(ride, batch.samples)
        self._waiting.begin(user, size)
        self._bodies.hold(len(body))
        upload.held = len(body)
        return True

    def _pack(self, upload: Upload, body: bytes) -> PackedBatch | None:
        """None for what is not right in every way."""
        if len(body) > self._largest or not self._bodies.has_room(len(body)):
            return None
        removed = self._ownerships.removed_from(upload.workout_id)
        limits = Limits.at(time.time_ns() // 1_000_000, self._most_samples, removed)
        try:
            return pack_fast(body, upload.media_type, limits)
        except Problem:
            return None

    def _has_room(self, upload: Upload, samples: int, size: int) -> bool:
        try:
            self._quota.require(upload.user_id, samples)
            self._ride_sizes.require(upload.workout_id, upload.user_id, samples)
            self._waiting.require(upload.user_id, size)
        except Problem:
            return False
        return True

    def _answer(self, upload: Upload, receipt: bytes) -> Answer:
        said = self._quota.headers(upload.user_id)
        lines = "".join([f"{name.lower()}: {value}\r\n" for name, value in said.items()])
        length = b"content-length: %d\r\ncontent-type: application/json\r\n" % len(receipt)
        return Answer(HTTPStatus.ACCEPTED, lines.encode() + length + upload.beside, receipt)

    def _workout_id(self, path: str) -> UUID | None:
        if not path.startswith(self._before):
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


def _text(given: dict[bytes, bytes], name: bytes) -> str:
    return given.get(name, b"").decode("latin-1")
