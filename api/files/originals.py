"""Originals on their way back: inflated piece by piece, never whole."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Final
from urllib.parse import quote
from uuid import UUID

from api.files import store
from api.files.state import FilesState
from shared.originals import OriginalMissing, stored_in

_PIECE: Final = 256 * 1024  # bytes


async def open_original(
    state: FilesState, upload_id: UUID, user_id: UUID
) -> AsyncIterator[bytes] | None:
    """The file as it was sent, in pieces; None if it is gone. Raises ServiceUnavailable."""
    held = await store.find_original(state["database"], upload_id, user_id)
    if held is None:
        return None
    stored = store.read_pieces(state["database"], upload_id, user_id)
    if held.object:
        originals = stored_in(state["originals"])
        try:
            size = await originals.size(held.object)
        except OriginalMissing:
            return None
        stored = originals.pieces(held.object, size)
    return _inflated(stored) if held.compressed else stored


def disposition_of(filename: str | None) -> str:
    """A header by which browsers save the file, and never show it."""
    return f"attachment; filename*=UTF-8''{quote(filename or 'ride', safe='')}"


async def _inflated(stored: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    inflating = zlib.decompressobj()
    async for data in stored:
        plain = _inflated_piece(inflating, data)
        while piece := await asyncio.to_thread(next, plain, b""):
            yield piece


def _inflated_piece(inflating: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    """What these bytes become, a piece at a time: a few may become very many."""
    while data:
        if piece := inflating.decompress(data, _PIECE):
            yield piece
        data = inflating.unconsumed_tail
