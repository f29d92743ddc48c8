"""The batches of samples that wait in Redis: out of it, checked, and back into it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ops.processes import ProcessFailed
from shared.connections import Redis, primaries_of
from shared.errors import LeaveToNewer, MalformedEntry
from shared.events import FoldRequest
from shared.redis_keys import BATCH_FIELD, EPOCH, Queue, samples_key, workout_of
from shared.samples import stream_codec


class Batch(msgspec.Struct, forbid_unknown_fields=True):
    """One entry, and the stream that it waits in."""

    key: str
    batch: bytes  # base64 in JSON


def save_batches(client: Redis, path: Path) -> int:
    """Write all that waits into a file, a line each; how many they are."""
    count = 0
    with path.open("wb") as file:
        for batch in _read_batches(client):
            file.write(msgspec.json.encode(batch) + b"\n")
            count += 1
    return count


def put_back(client: Redis, batches: Iterator[Batch]) -> int:
    """Let batches wait again, and ask for their folds; how many they are.

    One that waits there already, or was folded before, changes nothing: samples are merged by their
    timestamps. Devices are told that something was lost, so that they send again what they have of
    it: figures that were durable may be so no more.
    """
    count, workouts = 0, set()
    for batch in batches:
        client.xadd(batch.key, {BATCH_FIELD: batch.batch})
        workouts.add(workout_of(batch.key))
        count += 1
    for workout_id in workouts:
        client.xadd(Queue.PROMPT, FoldRequest(workout_id).fields())
    for server in primaries_of(client).values():
        for key in server.scan_iter(match=f"{EPOCH}*"):
            server.delete(key)
    return count


def checked_batches(path: Path) -> Iterator[Batch]:
    """The batches of a file. Raises ProcessFailed at the first line that is none."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield _checked_batch(line)
            except (msgspec.DecodeError, ValueError, MalformedEntry, LeaveToNewer) as error:
                raise ProcessFailed(f"line {number} of {path.name} is wrong: {error}") from error


def _read_batches(client: Redis) -> Iterator[Batch]:
    for server in primaries_of(client).values():
        for key in server.scan_iter(match="{w:*}:samples"):
            entries: Any = client.xrange(key)  # by whoever has it by now
            for _, fields in entries:
                yield Batch(key.decode(), fields[BATCH_FIELD])


def _checked_batch(line: bytes) -> Batch:
    batch = msgspec.json.decode(line, type=Batch)
    if batch.key != samples_key(workout_of(batch.key)):
        raise ValueError(f"{batch.key!r} is no key of samples")
    stream_codec.decode([batch.batch])
    return batch
