"""Webhooks, their deliveries and what has changed in PostgreSQL, for their users alone.

A function that takes a connection is part of the transaction that its caller has opened on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.webhooks.wire import Delivery, DeliveryStatus, Webhook
from shared.connections import AsyncDatabase, BoundedConnection
from shared.sql import load_queries

QUERIES = load_queries("own_webhooks")
CHANGES = load_queries("changes")


@dataclass(frozen=True)
class _Id:
    id: UUID


@dataclass(frozen=True)
class _Count:
    webhooks: int


@dataclass(frozen=True)
class Log:
    """What changes are written to: its ``name``, and the oldest transaction that is writing."""

    name: str
    horizon: int


@dataclass(frozen=True)
class ChangedRow:
    """That a thing has changed, and where in the log that stands."""

    kind: str
    subject: str
    id: int
    transaction: int
    deleted: bool
    changed_at: datetime


@dataclass(frozen=True)
class Thing:
    """A ride or a file that is there; ``at``: by what it is listed."""

    id: UUID
    at: datetime
    changed_at: datetime


async def count_webhooks(connection: BoundedConnection, user_id: UUID) -> int:
    """Count, and let nobody make another webhook of the user before the transaction ends."""
    await connection.execute(QUERIES["lock_webhooks"], {"user_id": user_id})
    counted = await connection.row(_Count, QUERIES["count_webhooks"], user_id=user_id)
    return counted.webhooks if counted else 0


async def create_webhook(
    connection: BoundedConnection, user_id: UUID, url: str, events: Sequence[str], secret: str
) -> Webhook:
    """A new webhook."""
    new = {"user_id": user_id, "url": url, "events": list(events), "secret": secret}
    made = await connection.row(_Id, QUERIES["create_webhook"], **new)
    webhook = await get_webhook(connection, made.id, user_id) if made else None
    assert webhook is not None  # INSERT … RETURNING gives a row  # noqa: S101
    return webhook


async def list_webhooks(database: AsyncDatabase, user_id: UUID) -> list[Webhook]:
    """A user's webhooks, newest first."""
    async with database.connection() as connection:
        return await connection.rows(Webhook, QUERIES["list_webhooks"], user_id=user_id, id=None)


async def find_webhook(database: AsyncDatabase, webhook_id: UUID, user_id: UUID) -> Webhook | None:
    """The webhook, if it is there and the user's."""
    async with database.connection() as connection:
        return await get_webhook(connection, webhook_id, user_id)


async def get_webhook(
    connection: BoundedConnection, webhook_id: UUID, user_id: UUID
) -> Webhook | None:
    """The same in the transaction of the caller."""
    named = {"id": webhook_id, "user_id": user_id}
    return await connection.row(Webhook, QUERIES["list_webhooks"], **named)


async def has_secret(
    connection: BoundedConnection, webhook_id: UUID, user_id: UUID, secret: str
) -> bool:
    """Whether the user's webhook signs with a secret still."""
    named = {"id": webhook_id, "user_id": user_id, "secret": secret}
    return await connection.row(_Id, QUERIES["has_secret"], **named) is not None


async def change_webhook(
    connection: BoundedConnection,
    webhook_id: UUID,
    user_id: UUID,
    *,
    url: str | None,
    events: Sequence[str] | None,
    enabled: bool | None,
    reason: str,
) -> Webhook | None:
    """The webhook after a change of what is not None; None if the user has no such one.

    ``reason``: why it is disabled, if it is by this.
    """
    named = {"id": webhook_id, "user_id": user_id}
    change = {"url": url, "events": events and list(events), "enabled": enabled, "reason": reason}
    if enabled:
        await connection.execute(QUERIES["try_waiting_anew"], named)
    await connection.execute(QUERIES["change_webhook"], {**named, **change})
    return await get_webhook(connection, webhook_id, user_id)


async def rotate_secret(
    connection: BoundedConnection, webhook_id: UUID, user_id: UUID, secret: str, overlap: float
) -> Webhook | None:
    """The webhook, which signs with a new secret; None if the user has no such one."""
    rotation = {"id": webhook_id, "user_id": user_id, "secret": secret, "overlap": overlap}
    await connection.execute(QUERIES["rotate_secret"], rotation)
    return await get_webhook(connection, webhook_id, user_id)


async def delete_webhook(connection: BoundedConnection, webhook_id: UUID, user_id: UUID) -> bool:
    """Delete it; False if the user has no such one."""
    named = {"id": webhook_id, "user_id": user_id}
    return await connection.row(_Id, QUERIES["delete_webhook"], **named) is not None


async def list_deliveries(
    database: AsyncDatabase,
    webhook_id: UUID,
    user_id: UUID,
    *,
    status: DeliveryStatus | None,
    before: int | None,
    limit: int,
) -> list[Delivery]:
    """The deliveries of the user's webhook, newest first; those ``before`` an id."""
    async with database.connection() as connection:
        return await connection.rows(
            Delivery,
            QUERIES["list_deliveries"],
            webhook_id=webhook_id,
            user_id=user_id,
            status=status,
            before=before,
            id=None,
            limit=limit,
        )


async def redeliver(
    connection: BoundedConnection, webhook_id: UUID, delivery_id: int, user_id: UUID
) -> Delivery | None:
    """The delivery, which is to be made anew; None if the user's webhook has no such one."""
    named = {"webhook_id": webhook_id, "user_id": user_id, "id": delivery_id}
    await connection.execute(QUERIES["redeliver"], named)
    any_ = {"status": None, "before": None, "limit": 1}
    return await connection.row(Delivery, QUERIES["list_deliveries"], **named, **any_)


async def get_log(database: AsyncDatabase) -> Log:
    """What changes are written to now."""
    async with database.connection() as connection:
        log = await connection.row(Log, CHANGES["get_log"])
    assert log is not None  # it is of no table  # noqa: S101
    return log


async def list_changes(
    database: AsyncDatabase, user_id: UUID, transaction: int, id_: int, limit: int
) -> list[ChangedRow]:
    """What has changed of the user after a place in the log, in its order."""
    after = {"transaction": transaction, "id": id_, "limit": limit}
    async with database.connection() as connection:
        return await connection.rows(ChangedRow, CHANGES["list_changes"], user_id=user_id, **after)


async def list_things(
    database: AsyncDatabase,
    user_id: UUID,
    kind: str,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Thing]:
    """The user's rides or files, the oldest first; those ``after`` a place."""
    after_time, after_id = after or (None, None)
    place = {"after_time": after_time, "after_id": after_id, "limit": limit}
    async with database.connection() as connection:
        return await connection.rows(Thing, CHANGES[f"list_{kind}s"], user_id=user_id, **place)
