"""Whom a rider lets in: other accounts that read what is the rider's, as a coach's does."""

from http import HTTPStatus
from typing import Final

import msgspec
from starlette.responses import Response

from api.identity.auth import Caller, refuse_local, require_open_key
from api.identity.registration import checked_email
from api.identity.store import write_audit
from api.repeats.once import once
from api.sharing import store
from api.sharing.state import SharingRequest
from api.sharing.wire import PersonAnswer, ShareWith
from api.web.body import JSON, read_json
from api.web.problems import Duplicate, Fault, LimitReached, RevokedSince, Unprocessable
from api.web.responses import json_response
from api.web.routing import CONFLICT, Operation, Operations
from shared.connections import BoundedConnection

MOST_PEOPLE: Final = 50  # whom a user lets in or has offered it to


async def share_with(request: SharingRequest, caller: Caller) -> Response:
    """Offer another account to read everything of yours; it reads once it has accepted.

    The answer is the same whether there is an account with that address or not. One that is made
    later does not get what was offered before: offer it again. Offered again, it is the same offer,
    with the same `id`. `DELETE /api/shares/{share}` ends it at once, accepted or not.
    """
    refuse_local(caller)
    wanted = await read_json(request, ShareWith, request.state["settings"])
    email = checked_email(wanted.email)
    async with once(request, str(caller.user_id), wanted) as made:
        connection, user_id = made.connection, caller.user_id
        await require_open_key(connection, caller)
        if made.answer:
            return await _show_again(connection, caller, made.answer)
        if await store.is_own_email(connection, user_id, email):
            fault = Fault("is your own: give that of another account", "email")
            raise Unprocessable(f"email {fault.detail}", [fault])
        share = await store.offer(connection, user_id, email)
        if share is None:
            raise Duplicate("this account has accepted already, and reads what is yours")
        if await store.count_people(connection, user_id) > MOST_PEOPLE:
            raise LimitReached(f"{MOST_PEOPLE} people are let in or asked already: end one")
        detail = {"share": str(share.id), "email": email}
        await write_audit(connection, user_id, "share_with", detail, key_id=caller.key_id)
        return await made.keep(user_id, json_response(PersonAnswer(share), HTTPStatus.CREATED))


async def _show_again(connection: BoundedConnection, caller: Caller, answer: Response) -> Response:
    """The first answer. Raises RevokedSince."""
    made = msgspec.json.decode(answer.body, type=PersonAnswer)
    if not await store.is_person(connection, caller.user_id, made.share.id):
        raise RevokedSince("what this request offered was ended since")
    return answer


OPERATIONS = Operations(
    "sharing",
    "Show rides to others",
    (
        Operation(
            "POST",
            "/api/shares",
            share_with,
            {HTTPStatus.CREATED: PersonAnswer},
            "admin",
            body={JSON: ShareWith},
            example={"email": "coach@example.com", "scope": "read"},
            refusals=CONFLICT,
            makes=("share", "$response.body#/share/id"),
            takes_key=True,
        ),
    ),
)
