"""Webhooks and what was sent to them. Their forms and buttons are sent by `webhooks.js`."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from starlette.responses import Response

from api.pages.routing import Page
from api.pages.templates import page
from api.pages.visitor import PagesRequest, Visitor
from api.web.problems import Forbidden, NotFound
from api.web.query import read_query
from api.webhooks import store
from api.webhooks.deliveries import read_page
from api.webhooks.webhooks import webhook_id_of
from api.webhooks.wire import DeliveriesQuery, Delivery, Webhook
from api.workouts import store as workouts

_LIST: Final = "/webhooks"
# What is told, in the words of the pages.
EVENTS: Final = {
    "workout.completed": ("A ride is completed", "with its figures"),
    "workout.updated": ("A completed ride changes", "its title, its figures, or what counts of it"),
    "workout.deleted": ("A ride is deleted", ""),
    "record.set": ("A record is set", "the best power, heart rate or speed over some time"),
    "upload.failed": ("A file cannot be read", "and why"),
}
_STATES: Final = {"waiting": "Waiting", "delivered": "Delivered", "failed": "Failed"}
_MOST_SHOWN: Final = 12_000  # characters of a payload


@dataclass(frozen=True)
class WebhookRow:
    """A webhook, the host that it tells, and of what."""

    webhook: Webhook
    host: str
    told_of: str


@dataclass(frozen=True)
class DeliveryRow:
    """A delivery, and its payload as people read it; ``is_cut``: its end is left out.

    ``is_behind``: it waits for an earlier one of the same ride or file, whenever it is due.
    ``is_due``: the time of its next attempt has come.
    ``has_ride``: it is about a ride that is there still.
    """

    delivery: Delivery
    name: str
    state: str
    payload: str
    is_cut: bool
    is_behind: bool
    is_due: bool
    has_ride: bool


async def show_webhooks(request: PagesRequest, visitor: Visitor) -> Response:
    """Every webhook, and making one."""
    _require_admin(visitor)
    webhooks = await store.list_webhooks(request.state["database"], visitor.user.caller.user_id)
    rows = [_row(each) for each in webhooks]
    return page("webhooks.html", visitor, rows=rows, events=EVENTS, states=_STATES)


async def show_webhook(request: PagesRequest, visitor: Visitor) -> Response:
    """One webhook, and what was sent to it."""
    _require_admin(visitor)
    database, user_id = request.state["database"], visitor.user.caller.user_id
    webhook = await store.find_webhook(database, webhook_id_of(request), user_id)
    if webhook is None:
        raise NotFound("no such webhook")
    query = read_query(request, DeliveriesQuery)
    found = await read_page(database, webhook.id, user_id, query)
    rides = await _rides_of(request, found.deliveries, user_id)
    place, cursor = f"{_LIST}/{webhook.id}", found.pagination.next_cursor
    kept = {"status": query.status} if query.status else {}
    return page(
        "webhook.html",
        visitor,
        row=_row(webhook),
        events=EVENTS,
        states=_STATES,
        chosen=query.status,
        deliveries=_delivery_rows(found.deliveries, rides),
        is_later=query.cursor is not None,
        place=place,
        older=f"{place}?{urlencode({**kept, 'cursor': cursor})}" if cursor else None,
    )


def _require_admin(visitor: Visitor) -> None:
    """Raises Forbidden: where rides are sent is for who may change and delete them."""
    if not visitor.user.may_change:
        raise Forbidden("the key that you signed in with may not see webhooks")


def _row(webhook: Webhook) -> WebhookRow:
    told_of = ", ".join(EVENTS[each][0] for each in EVENTS if each in webhook.events)
    return WebhookRow(webhook, urlsplit(webhook.url).netloc, told_of.capitalize())


async def _rides_of(
    request: PagesRequest, deliveries: Sequence[Delivery], user_id: UUID
) -> set[UUID]:
    """The rides that are there still, of those that the deliveries are about."""
    told = list({each.subject_id for each in deliveries})
    rides = await workouts.find_workouts(request.state["database"], told, user_id)
    return {each.id for each in rides}


def _delivery_rows(deliveries: Sequence[Delivery], rides: Collection[UUID]) -> list[DeliveryRow]:
    """The newest first, as they come: what waits is sent from the other end."""
    waiting: set[UUID] = set()
    rows = []
    for each in reversed(deliveries):
        is_waiting = each.status == "waiting"
        is_behind = is_waiting and each.subject_id in waiting
        rows.append(_delivery_row(each, is_behind, each.subject_id in rides))
        if is_waiting:
            waiting.add(each.subject_id)
    return rows[::-1]


def _delivery_row(delivery: Delivery, is_behind: bool, has_ride: bool) -> DeliveryRow:
    text = json.dumps(delivery.payload, indent=2, ensure_ascii=False)
    return DeliveryRow(
        delivery,
        EVENTS[delivery.event][0],
        _STATES[delivery.status],
        text[:_MOST_SHOWN],
        len(text) > _MOST_SHOWN,
        is_behind,
        delivery.next_attempt_at is not None and delivery.next_attempt_at <= datetime.now(UTC),
        has_ride,
    )


PAGES: Final = (Page(_LIST, show_webhooks), Page(f"{_LIST}/{{webhook}}", show_webhook))
