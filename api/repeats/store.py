"""Answers to requests with an ``Idempotency-Key``, in PostgreSQL for a day.

All of it is part of the transaction that makes what the answer tells of.
"""

from dataclasses import dataclass
from uuid import UUID

from shared.connections import BoundedConnection
from shared.sql import load_queries

QUERIES = load_queries("repeats")


@dataclass(frozen=True)
class KeptAnswer:
    """An answer as it is stored, and the fingerprint of the request that got it."""

    fingerprint: bytes
    answer: bytes


@dataclass(frozen=True)
class _Locked:
    is_locked: bool


async def lock_key(connection: BoundedConnection, key_hash: bytes) -> bool:
    """Whether no other request with the key is under way; none is until the transaction ends."""
    number = int.from_bytes(key_hash[:8], signed=True)
    locked = await connection.row(_Locked, QUERIES["lock_key"], number=number)
    return locked is not None and locked.is_locked


async def find_answer(connection: BoundedConnection, key_hash: bytes) -> KeptAnswer | None:
    """What was answered under the key, within a day."""
    return await connection.row(KeptAnswer, QUERIES["find_answer"], hash=key_hash)


async def keep_answer(
    connection: BoundedConnection, key_hash: bytes, user_id: UUID, kept: KeptAnswer
) -> None:
    """Keep an answer that tells of a user's data."""
    await connection.execute(
        QUERIES["keep_answer"],
        {
            "hash": key_hash,
            "user_id": user_id,
            "fingerprint": kept.fingerprint,
            "answer": kept.answer,
        },
    )
