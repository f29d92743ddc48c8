"""Webhooks: make, list, change, rotate, delete. A secret is shown once, when it is made."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct
from starlette.responses import Response

from api.identity.auth import Caller, require_open_key
from api.identity.store import write_audit
from api.repeats.once import Once, once
from api.web.body import JSON, read_json
from api.web.problems import Fault, LimitReached, NotFound, RevokedSince, Unprocessable
from api.web.query import id_in_path
from api.web.responses import json_response
from api.web.routing import CONFLICT, Operation, Operations
from api.web.shapes import sentence
from api.web.state import Request
from api.webhooks import changes, deliveries, store
from api.webhooks.messages import MESSAGES
from api.webhooks.wire import (
    ChangeWebhook,
    CreateWebhook,
    FreshWebhook,
    RotateSecret,
    Webhook,
    WebhookAnswer,
    WebhookChange,
    WebhookDeletion,
    WebhookList,
)
from shared.connections import BoundedConnection
from shared.webhooks import check_url, make_secret

MOST_WEBHOOKS: Final = 20  # of a user
_BY_HAND: Final = "it was disabled by hand"


async def create_webhook(request: Request[Any], caller: Caller) -> Response:
    """Have a URL told of events: of what happens from now on.

    Each is sent as POST with a JSON body `{"type", "timestamp", "data"}`, signed by the Standard
    Webhooks scheme with the `secret` of this answer. See *Webhooks and changes* above.
    """
    wanted = await read_json(request, CreateWebhook, request.state["settings"])
    _require_allowed(request, wanted.url)
    wanted.events, secret = sorted(set(wanted.events)), make_secret()
    async with _made_once(request, caller, wanted) as made:
        if made.answer:
            return await _show_again(made.connection, caller, made.answer)
        if await store.count_webhooks(made.connection, caller.user_id) >= MOST_WEBHOOKS:
            raise LimitReached(f"there are {MOST_WEBHOOKS} webhooks already: delete one")
        webhook = await store.create_webhook(
            made.connection, caller.user_id, wanted.url, wanted.events, secret
        )
        await _audit(made.connection, caller, "create_webhook", webhook.id)
        return await made.keep(caller.user_id, _show(webhook, secret))


async def list_webhooks(request: Request[Any], caller: Caller) -> Response:
    """The caller's webhooks."""
    webhooks = await store.list_webhooks(request.state["database"], caller.user_id)
    return json_response(WebhookList(webhooks))


async def get_webhook(request: Request[Any], caller: Caller) -> Response:
    """One webhook."""
    webhook_id = webhook_id_of(request)
    webhook = await store.find_webhook(request.state["database"], webhook_id, caller.user_id)
    return json_response(WebhookAnswer(_required(webhook)))


async def update_webhook(request: Request[Any], caller: Caller) -> Response:
    """Change whom a webhook tells of what; disable it, or let a disabled one in again.

    What happens while it is disabled is not delivered afterwards: `GET /api/changes` has it.
    Enabled, it is sent at once what still waits.
    """
    webhook_id = webhook_id_of(request)
    wanted = await read_json(request, ChangeWebhook, request.state["settings"])
    if wanted.url is not UNSET:
        _require_allowed(request, wanted.url)
    async with request.state["database"].connection() as connection, connection.transaction():
        await require_open_key(connection, caller)
        webhook = await store.change_webhook(
            connection,
            webhook_id,
            caller.user_id,
            url=wanted.url or None,
            events=sorted(set(wanted.events or ())) or None,
            enabled=None if wanted.enabled is UNSET else wanted.enabled,
            reason=_BY_HAND,
        )
        changed = _required(webhook)
        await _audit(connection, caller, "change_webhook", webhook_id)
    return json_response(WebhookChange(changed))


async def delete_webhook(request: Request[Any], caller: Caller) -> Response:
    """Tell a URL nothing more. What waits for it is dropped."""
    webhook_id = webhook_id_of(request)
    async with request.state["database"].connection() as connection, connection.transaction():
        if not await store.delete_webhook(connection, webhook_id, caller.user_id):
            raise NotFound("no such webhook")
        await _audit(connection, caller, "delete_webhook", webhook_id)
    return json_response(WebhookDeletion())


async def rotate_webhook_secret(request: Request[Any], caller: Caller) -> Response:
    """Sign with a new secret; with the old one, too, for the overlap.

    A receiver that accepts any of the signatures of a message misses none while it is given the
    new secret.
    """
    webhook_id = webhook_id_of(request)
    wanted = await read_json(request, RotateSecret, request.state["settings"])
    secret = make_secret()
    async with _made_once(request, caller, wanted) as made:
        if made.answer:
            return await _show_again(made.connection, caller, made.answer)
        webhook = _required(
            await store.rotate_secret(
                made.connection, webhook_id, caller.user_id, secret, wanted.overlap
            )
        )
        await _audit(made.connection, caller, "rotate_webhook", webhook_id)
        return await made.keep(caller.user_id, _show(webhook, secret))


def webhook_id_of(request: Request[Any]) -> UUID:
    """The id in the path. Raises NotFound for one that is none."""
    return id_in_path(request, "webhook", "webhook")


@asynccontextmanager
async def _made_once(request: Request[Any], caller: Caller, wanted: Struct) -> AsyncIterator[Once]:
    """A transaction of a key that opens. Raises Unauthorized, and as ``once`` does."""
    async with once(request, str(caller.user_id), wanted) as made:
        await require_open_key(made.connection, caller)
        yield made


def _require_allowed(request: Request[Any], url: str) -> None:
    """Raises Unprocessable for what is no URL that may be told anything.

    Only an address is known here to be private: what a name means is asked at each delivery.
    """
    try:
        check_url(url, request.state["settings"].webhook_allow_private)
    except ValueError as error:
        fault = Fault(str(error), "url")
        raise Unprocessable(sentence(fault), [fault]) from None


def _required(webhook: Webhook | None) -> Webhook:
    if webhook is None:
        raise NotFound("no such webhook")
    return webhook


async def _audit(
    connection: BoundedConnection, caller: Caller, action: str, webhook_id: UUID
) -> None:
    """Without the URL, whose query may hold a secret of the receiver's."""
    detail = {"webhook": str(webhook_id)}
    await write_audit(connection, caller.user_id, action, detail, key_id=caller.key_id)


def _show(webhook: Webhook, secret: str) -> Response:
    return json_response(FreshWebhook(webhook, secret), HTTPStatus.CREATED)


async def _show_again(connection: BoundedConnection, caller: Caller, answer: Response) -> Response:
    """The first answer. Raises RevokedSince."""
    made = msgspec.json.decode(answer.body)
    webhook_id = UUID(made["webhook"]["id"])
    if not await store.has_secret(connection, webhook_id, caller.user_id, made["secret"]):
        raise RevokedSince("the secret that this request made does not sign any more")
    return answer


_ABOUT: Final = (
    "Tell other programs of what happens to rides, as it happens; and let those that were away"
    " catch up: see *Webhooks and changes* above"
)
OPERATIONS = Operations(
    "webhooks",
    _ABOUT,
    (
        Operation(
            "POST",
            "/api/webhooks",
            create_webhook,
            {HTTPStatus.CREATED: FreshWebhook},
            "admin",
            body={JSON: CreateWebhook},
            example={
                "url": "https://receiver.example/rides",
                "events": ["workout.completed", "workout.updated", "workout.deleted"],
            },
            headers=("Cache-Control",),
            refusals=CONFLICT,
            makes=("webhook", "$response.body#/webhook/id"),
            takes_key=True,
        ),
        Operation("GET", "/api/webhooks", list_webhooks, {HTTPStatus.OK: WebhookList}, "admin"),
        Operation(
            "GET",
            "/api/webhooks/{webhook}",
            get_webhook,
            {HTTPStatus.OK: WebhookAnswer},
            "admin",
        ),
        Operation(
            "PATCH",
            "/api/webhooks/{webhook}",
            update_webhook,
            {HTTPStatus.OK: WebhookChange},
            "admin",
            body={JSON: ChangeWebhook},
            example={"enabled": True},
        ),
        Operation(
            "DELETE",
            "/api/webhooks/{webhook}",
            delete_webhook,
            {HTTPStatus.OK: WebhookDeletion},
            "admin",
        ),
        Operation(
            "POST",
            "/api/webhooks/{webhook}/rotate",
            rotate_webhook_secret,
            {HTTPStatus.CREATED: FreshWebhook},
            "admin",
            body={JSON: RotateSecret},
            example={"overlap": 3600},
            headers=("Cache-Control",),
            refusals=CONFLICT,
            takes_key=True,
        ),
        *deliveries.OPERATIONS,
        *changes.OPERATIONS,
    ),
    MESSAGES,
)
