"""Links to rides: make, list, revoke; and the places that none of them shows."""

import secrets
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.responses import Response

from api.identity.auth import Caller, require_open_key
from api.identity.store import write_audit
from api.repeats.once import once
from api.sharing import store
from api.sharing.state import SharingRequest
from api.sharing.wire import (
    CreateShare,
    FreshShare,
    Places,
    ShareList,
    ShareRevocation,
)
from api.web.body import JSON, read_json
from api.web.problems import Fault, LimitReached, NotFound, RevokedSince, Unprocessable
from api.web.query import id_in_path, workout_id_of
from api.web.responses import json_response
from api.web.routing import CONFLICT, Operation, Operations
from shared.connections import BoundedConnection
from shared.credentials import hash_key

MOST_SHARES: Final = 200  # of a user, that open at a time
PAGE: Final = "/shared/"
_USUAL: Final = timedelta(days=30)
_LONGEST: Final = timedelta(days=366)


async def share_workout(request: SharingRequest, caller: Caller) -> Response:
    """Make a link that shows a ride, while it goes on and afterwards, to whoever has it.

    Where the ride begins and ends, and the places of `PUT /api/users/me/places`, are hidden in all
    that the link opens: positions, speed and odometer there are left out, and distances are of what
    is shown. While the ride goes on, positions come once the rider is further away.
    """
    state, workout_id = request.state, workout_id_of(request)
    wanted = await read_json(request, CreateShare, state["settings"])
    expires_at, token = _expiry_of(wanted), secrets.token_urlsafe(32)
    async with once(request, str(caller.user_id), wanted) as made:
        connection = made.connection
        await require_open_key(connection, caller)
        if made.answer:
            return await _show_again(connection, caller, made.answer)
        if await store.count_shares(connection, caller.user_id) >= MOST_SHARES:
            raise LimitReached(f"there are {MOST_SHARES} links that open already: revoke one")
        share = await store.create_share(
            connection, caller.user_id, workout_id, hash_key(token), wanted, expires_at
        )
        if share is None:
            raise NotFound("no such workout")
        detail = {"share": str(share.id), "workout": str(workout_id)}
        await write_audit(connection, caller.user_id, "share_workout", detail, key_id=caller.key_id)
        url = state["settings"].public_url.rstrip("/") + PAGE + token
        fresh = json_response(FreshShare(share, token, url), HTTPStatus.CREATED)
        return await made.keep(caller.user_id, fresh)


async def list_shares(request: SharingRequest, caller: Caller) -> Response:
    """The caller's links that open something, and the people whom the caller has let in."""
    database, user_id = request.state["database"], caller.user_id
    shares = await store.list_shares(database, user_id)
    return json_response(ShareList(shares, await store.list_people(database, user_id)))


async def revoke_share(request: SharingRequest, caller: Caller) -> Response:
    """End a link, or let somebody in no more; live streams end within five seconds."""
    share_id, user_id = id_in_path(request, "share", "share"), caller.user_id
    async with request.state["database"].connection() as connection, connection.transaction():
        is_ended = await store.revoke_share(connection, user_id, share_id)
        if not is_ended and not await store.end_person(connection, user_id, share_id):
            raise NotFound("no such share")
        detail = {"share": str(share_id)}
        await write_audit(connection, user_id, "revoke_share", detail, key_id=caller.key_id)
    return json_response(ShareRevocation())


async def get_places(request: SharingRequest, caller: Caller) -> Response:
    """The places that no link of the caller's shows."""
    hidden = await store.get_hidden(request.state["database"], caller.user_id)
    return json_response(Places(hidden.places))


async def put_places(request: SharingRequest, caller: Caller) -> Response:
    """Replace the places that no link shows; links that are there heed them at once."""
    wanted = await read_json(request, Places, request.state["settings"])
    async with request.state["database"].connection() as connection, connection.transaction():
        await require_open_key(connection, caller)
        await store.put_places(connection, caller.user_id, wanted.places)
    return json_response(wanted)


async def _show_again(connection: BoundedConnection, caller: Caller, answer: Response) -> Response:
    """The first answer. Raises RevokedSince."""
    made = msgspec.json.decode(answer.body, type=FreshShare)
    if not await store.is_open(connection, caller.user_id, made.share.id):
        raise RevokedSince("the link that this request made does not open any more")
    return answer


def _expiry_of(wanted: CreateShare) -> datetime:
    """Raises Unprocessable for what is past, or more than a year ahead."""
    now = datetime.now(UTC)
    expires_at = wanted.expires_at or now + _USUAL
    if not now < expires_at <= now + _LONGEST:
        fault = Fault("is not within a year from now", "expiresAt")
        raise Unprocessable(f"expiresAt {fault.detail}", [fault])
    return expires_at


OPERATIONS = Operations(
    "sharing",
    "Show rides to others",
    (
        Operation(
            "POST",
            "/api/workouts/{id}/share",
            share_workout,
            {HTTPStatus.CREATED: FreshShare},
            "admin",
            body={JSON: CreateShare},
            example={"hideMetres": 500},
            headers=("Cache-Control",),
            refusals=CONFLICT,
            makes=("share", "$response.body#/share/id"),
            takes_key=True,
        ),
        Operation("GET", "/api/shares", list_shares, {HTTPStatus.OK: ShareList}, "read"),
        Operation(
            "DELETE",
            "/api/shares/{share}",
            revoke_share,
            {HTTPStatus.OK: ShareRevocation},
            "admin",
        ),
        Operation("GET", "/api/users/me/places", get_places, {HTTPStatus.OK: Places}, "read"),
        Operation(
            "PUT",
            "/api/users/me/places",
            put_places,
            {HTTPStatus.OK: Places},
            "admin",
            body={JSON: Places},
            example={"places": [{"name": "home", "lat": 47.3769, "lng": 8.5417}]},
        ),
    ),
)
