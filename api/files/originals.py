"""Originals on their way back: inflated piece by piece, never whole."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Final
from urllib.parse import quote
from uuid import UUID

from api.files import store
from shared.connections import AsyncDatabase

_PIECE: Final = 256 * 1024  # bytes


async def pieces(database: AsyncDatabase, upload_id: UUID, user_id: UUID) -> AsyncIterator[bytes]:
    """The file as it was sent."""
    inflating = zlib.decompressobj()
    async for stored in store.read_pieces(database, upload_id, user_id):
        if not stored.compressed:
            yield stored.data
            continue
        plain = _inflated(inflating, stored.data)
        while piece := await asyncio.to_thread(next, plain, b""):
            yield piece


def disposition_of(filename: str | None) -> str:
    """A header by which browsers save the file, and never show it."""
    return f"attachment; filename*=UTF-8''{quote(filename or 'ride', safe='')}"


def _inflated(inflating: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    """What these bytes become, a piece at a time: a few may become very many."""
    while data:
        if piece := inflating.decompress(data, _PIECE):
            yield piece
        data = inflating.unconsumed_tail
