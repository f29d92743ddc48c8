"""The record of who did what to keys and accounts."""

from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from shared.connections import BoundedConnection
from shared.sql import load_queries

_WRITE = load_queries("users")["write_audit"]


async def write_audit(
    connection: BoundedConnection,
    user_id: UUID,
    action: str,
    detail: dict[str, Any] | None = None,
    *,
    key_id: str | None = None,
) -> None:
    """Note an act in the transaction that carries it out. ``key_id``: the key in use."""
    row = {"user_id": user_id, "key_id": key_id, "action": action, "detail": Jsonb(detail or {})}
    await connection.execute(_WRITE, row)
