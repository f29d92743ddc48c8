"""The batches of a ride that wait in Redis for a fold."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from shared.redis_keys import BATCH_FIELD

CHUNK: Final = 1000  # entries a reply


@dataclass(frozen=True)
class Waiting:
    """The batches in their stream form, as they came; ``last_entry``: the id of the newest."""

    batches: list[bytes]
    last_entry: str | None


async def read_in_chunks(read: Callable[[str], Awaitable[Any]]) -> Waiting:
    """All of a stream of which ``read`` gives the first CHUNK entries from an id on."""
    batches: list[bytes] = []
    last, start = None, "-"
    while True:
        chunk = await read(start)
        batches += [fields[BATCH_FIELD] for _, fields in chunk]
        if chunk:
            last = chunk[-1][0].decode()
        if len(chunk) < CHUNK:
            return Waiting(batches, last)
        start = f"({last}"
