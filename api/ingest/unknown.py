"""Members of samples that nobody knows: told to the device, with the channels that may be meant."""

import io
from collections.abc import Iterator, Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from api.ingest.batch import NDJSON
from api.web.shapes import nearest, shortened
from shared.samples.channels import CHANNEL_NAMES

MOST_TOLD: Final = 20  # names of a batch
_BATCHES: Final = 3  # of a ride, by each process: the answer to one may be lost
_MOST_RIDES: Final = 100_000
_CHANNELS: Final = frozenset(CHANNEL_NAMES)
_KNOWN: Final = frozenset(("timestamp", "samples", *CHANNEL_NAMES))


class FirstBatches:
    """Which batches are among the first of their ride here: only those are looked through."""

    def __init__(self) -> None:
        self._counts: dict[UUID, int] = {}

    def are_past(self, workout_id: UUID) -> bool:
        """Whether no further batch is one of them."""
        return self._counts.get(workout_id, 0) >= _BATCHES

    def has_next(self, workout_id: UUID) -> bool:
        """Whether the batch that has just been read is one of them."""
        count = self._counts.get(workout_id, 0)
        if count >= _BATCHES:
            return False
        if not count and len(self._counts) >= _MOST_RIDES:
            del self._counts[next(iter(self._counts))]
        self._counts[workout_id] = count + 1
        return True


def nearest_channel(name: str) -> str | None:
    """The channel, or the timestamp, that a device may mean by a name."""
    return nearest(name, ("timestamp", *CHANNEL_NAMES))


def without_channel(members: Mapping[str, Any]) -> str | None:
    """What is wrong with a sample that has readings, and all by names that nobody knows.

    None for any other: one without readings says truly that nothing was measured.
    """
    if not _CHANNELS.isdisjoint(members):
        return None
    readings = sorted(name for name, value in members.items() if _is_reading(name, value))
    if not readings:
        return None
    hints = [(name, nearest_channel(name)) for name in readings[:MOST_TOLD]]
    told = [f"`{shortened(name)}` is spelt `{meant}`" for name, meant in hints if meant]
    return f"has no channel; {', '.join(told) or 'there are ' + ', '.join(CHANNEL_NAMES)}"


def unknown_names(body: bytes, media_type: str) -> dict[str, str | None]:
    """The members of a batch that nobody knows → the nearest channel."""
    names = set[str]()
    for each in _objects(body, media_type):
        names.update(each)
    names -= _KNOWN
    return {shortened(name): nearest_channel(name) for name in sorted(names)[:MOST_TOLD]}


def has_sample_without_channel(body: bytes, media_type: str) -> bool:
    """Whether a batch has a sample with readings of which none is known."""
    return any(map(without_channel, _objects(body, media_type)))


def _is_reading(name: str, value: Any) -> bool:
    """Whether a member may be something measured, or a column of that."""
    if isinstance(value, list):
        return bool(value) and _is_reading(name, next((each for each in value if each), None))
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and name not in _KNOWN


def _objects(body: bytes, media_type: str) -> Iterator[dict[str, Any]]:
    """The samples of a batch, and what holds them or its columns."""
    try:
        document = list(_lines(body)) if media_type == NDJSON else msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return
    if isinstance(document, dict):
        yield document
        document = document.get("samples")
    yield from (row for row in document or () if isinstance(row, dict))


def _lines(body: bytes) -> Iterator[Any]:
    for line in io.BytesIO(body):
        try:
            yield msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError):
            continue
