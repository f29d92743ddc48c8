"""What was sent to a webhook, what is to be sent, and sending it again."""

import base64
import re
from http import HTTPStatus
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import Meta
from starlette.responses import Response

from api.identity.auth import Caller, require_open_key
from api.web.problems import Conflict, NotFound
from api.web.query import id_in_path, no_cursor, read_query
from api.web.responses import json_response
from api.web.routing import CONFLICT, Operation
from api.web.state import Request
from api.webhooks import store
from api.webhooks.wire import (
    DeliveriesQuery,
    Delivery,
    DeliveryAnswer,
    DeliveryList,
    DeliveryPagination,
)
from shared.connections import AsyncDatabase

_LAST: Final = 2**63 - 1  # of the ids
_Place = Annotated[int, Meta(ge=0, le=_LAST)]


async def list_deliveries(request: Request[Any], caller: Caller) -> Response:
    """What a webhook was sent and is to be sent, newest first. Kept for 30 days."""
    query, webhook_id = read_query(request, DeliveriesQuery), _webhook_id_of(request)
    database = request.state["database"]
    if await store.find_webhook(database, webhook_id, caller.user_id) is None:
        raise NotFound("no such webhook")
    return json_response(await read_page(database, webhook_id, caller.user_id, query))


async def read_page(
    database: AsyncDatabase, webhook_id: UUID, user_id: UUID, query: DeliveriesQuery
) -> DeliveryList:
    """A page of the list. Raises Unprocessable for what is no cursor."""
    before = _read_cursor(query.cursor) if query.cursor else None
    found = await store.list_deliveries(
        database,
        webhook_id,
        user_id,
        status=query.status,
        before=before,
        limit=query.limit + 1,  # one more than the page tells whether there is a next one
    )
    pagination = DeliveryPagination(query.limit, _next_cursor(query, found))
    return DeliveryList(found[: query.limit], pagination)


async def redeliver(request: Request[Any], caller: Caller) -> Response:
    """Send a message again, now, with the same `webhook-id`; also one whose next attempt waits.

    It is of what was then: `GET /api/workouts/{id}` says what is now. Only an earlier message of
    the same ride that still waits comes first.
    """
    webhook_id, delivery_id = _webhook_id_of(request), _delivery_id_of(request)
    async with request.state["database"].connection() as connection, connection.transaction():
        await require_open_key(connection, caller)
        webhook = await store.get_webhook(connection, webhook_id, caller.user_id)
        if webhook is None:
            raise NotFound("no such delivery")
        delivery = await store.redeliver(connection, webhook_id, delivery_id, caller.user_id)
        if delivery is None:
            raise NotFound("no such delivery")
        if not webhook.enabled:
            raise Conflict("the webhook is disabled: enable it first")
    return json_response(DeliveryAnswer(delivery), HTTPStatus.ACCEPTED)


def _webhook_id_of(request: Request[Any]) -> UUID:
    return id_in_path(request, "webhook", "webhook")


def _delivery_id_of(request: Request[Any]) -> int:
    """The id in the path. A malformed one names no delivery, as an absent one does."""
    text: str = request.path_params["delivery"]
    if not re.fullmatch("[1-9][0-9]{0,18}", text, re.ASCII) or int(text) > _LAST:
        raise NotFound("no such delivery")
    return int(text)


def _read_cursor(text: str) -> int:
    """The id before which the page begins. Raises Unprocessable for what is no cursor."""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text), type=_Place)
    except (ValueError, msgspec.DecodeError):
        raise no_cursor(text) from None


def _next_cursor(query: DeliveriesQuery, found: list[Delivery]) -> str | None:
    if len(found) <= query.limit:
        return None
    return base64.urlsafe_b64encode(msgspec.json.encode(found[query.limit - 1].id)).decode()


OPERATIONS: Final = (
    Operation(
        "GET",
        "/api/webhooks/{webhook}/deliveries",
        list_deliveries,
        {HTTPStatus.OK: DeliveryList},
        "admin",
        query=DeliveriesQuery,
    ),
    Operation(
        "POST",
        "/api/webhooks/{webhook}/deliveries/{delivery}/redeliver",
        redeliver,
        {HTTPStatus.ACCEPTED: DeliveryAnswer},
        "admin",
        refusals=CONFLICT,
    ),
)
