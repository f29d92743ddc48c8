"""The audit log query; all other data comes from the other rooms' stores."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from shared.connections import AsyncDatabase
from shared.sql import load_queries

USERS = load_queries("users")
_ACTS_A_PAGE: Final = 1000


class Act(Struct, rename="camel"):
    """Something done to keys or the account; `keyId`: with which key."""

    id: int
    action: str
    key_id: str | None
    detail: dict[str, Any]
    created_at: datetime


async def list_acts(database: AsyncDatabase, user_id: UUID, after: Act | None = None) -> list[Act]:
    """A page of what was done to the user's keys and account, oldest first; empty at the end."""
    place = {"after_time": after and after.created_at, "after_id": after and after.id}
    async with database.connection() as connection:
        return await connection.rows(
            Act, USERS["list_acts"], user_id=user_id, limit=_ACTS_A_PAGE, **place
        )
