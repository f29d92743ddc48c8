"""What is to be delivered, as rows of PostgreSQL. Each function is one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from shared.connections import AsyncDatabase
from shared.sql import load_queries
from worker.webhooks.terms import Terms

QUERIES: Final = load_queries("deliveries")


@dataclass(frozen=True)
class Delivery:
    """A message on its way to a webhook: this attempt's alone.

    ``tried_at`` tells it from an attempt of another worker after the end of the lease.
    """

    id: int
    webhook_id: UUID
    user_id: UUID
    message_id: str
    payload: Any
    attempts: int
    tried_at: datetime
    url: str
    secret: str
    old_secret: str | None


@dataclass(frozen=True)
class _Noted:
    status: str


async def claim(
    database: AsyncDatabase,
    terms: Terms,
    *,
    most: int,
    flying: Mapping[UUID, int],
    resting: list[UUID],
) -> list[Delivery]:
    """Take what is due, at most so many, each user's in turn, within the lease of the terms."""
    async with database.connection() as connection:
        return await connection.rows(
            Delivery,
            QUERIES["claim"],
            most=most,
            most_of_user=terms.most_of_user,
            users=list(flying),
            numbers=list(flying.values()),
            resting=resting,
            lease=terms.lease,
        )


async def note_delivered(database: AsyncDatabase, delivery: Delivery, status: int) -> str | None:
    """It was taken; what it is since, or None if another worker has taken over."""
    return await _note(database, "note_delivered", delivery, response_status=status)


async def note_failed(
    database: AsyncDatabase,
    delivery: Delivery,
    *,
    status: int | None,
    problem: str,
    delay: float,
    patience: float,
    is_final: bool,
    reason: str,
) -> str | None:
    """It was not taken: try again after the delay, or disable the webhook for the reason.

    What the delivery is since, or None if another worker has taken over.
    """
    return await _note(
        database,
        "note_failed",
        delivery,
        webhook_id=delivery.webhook_id,
        response_status=status,
        problem=problem,
        delay=delay,
        patience=patience,
        is_final=is_final,
        reason=reason,
    )


async def give_back(database: AsyncDatabase, delivery: Delivery) -> None:
    """The attempt came to no end: let any worker try."""
    await _note(database, "give_back", delivery)


async def _note(
    database: AsyncDatabase, query: str, delivery: Delivery, **values: object
) -> str | None:
    named = {"id": delivery.id, "tried_at": delivery.tried_at, **values}
    async with database.connection() as connection:
        noted = await connection.row(_Noted, QUERIES[query], **named)
    return noted.status if noted else None
