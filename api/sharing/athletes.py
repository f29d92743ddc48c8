"""Whose data a user reads: those who have let it in, and those who would."""

from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from api.identity.auth import Caller, refuse_local, require_open_key, require_own_key
from api.identity.store import write_audit
from api.sharing import store
from api.sharing.state import SharingRequest
from api.sharing.wire import Acceptance, AthleteList, Departure
from api.web.problems import LimitReached, NotFound
from api.web.query import id_in_path
from api.web.responses import json_response
from api.web.routing import CONFLICT, Operation, Operations

MOST_ATHLETES: Final = 200  # whose data a user reads


async def list_athletes(request: SharingRequest, caller: Caller) -> Response:
    """Whom the caller may read, with last ride, form and this week; and what is offered."""
    require_own_key(caller)
    database, user_id = request.state["database"], caller.user_id
    athletes = await store.list_athletes(database, user_id)
    return json_response(AthleteList(athletes, await store.list_offers(database, user_id)))


async def accept_athlete(request: SharingRequest, caller: Caller) -> Response:
    """Accept what an athlete has offered: from now on it is read with `?athlete=`.

    Accepted again, it stays as it is.
    """
    refuse_local(caller)
    athlete_id, user_id = id_in_path(request, "athlete", "athlete"), caller.user_id
    async with request.state["database"].connection() as connection, connection.transaction():
        await require_open_key(connection, caller)
        share_id = await store.accept(connection, user_id, athlete_id)
        if share_id is None:
            raise NotFound("no such athlete")
        if await store.count_athletes(connection, user_id) > MOST_ATHLETES:
            raise LimitReached(f"you read {MOST_ATHLETES} athletes already: leave one")
        detail = {"share": str(share_id), "athlete": str(athlete_id)}
        await write_audit(connection, user_id, "accept_athlete", detail, key_id=caller.key_id)
        await write_audit(connection, athlete_id, "share_accepted", {"share": str(share_id)})
    return json_response(Acceptance())


async def leave_athlete(request: SharingRequest, caller: Caller) -> Response:
    """Decline what an athlete has offered, or read it no more."""
    athlete_id, user_id = id_in_path(request, "athlete", "athlete"), caller.user_id
    async with request.state["database"].connection() as connection, connection.transaction():
        await require_open_key(connection, caller)
        share_id = await store.leave(connection, user_id, athlete_id)
        if share_id is None:
            raise NotFound("no such athlete")
        detail = {"share": str(share_id), "athlete": str(athlete_id)}
        await write_audit(connection, user_id, "leave_athlete", detail, key_id=caller.key_id)
        await write_audit(connection, athlete_id, "share_left", {"share": str(share_id)})
    return json_response(Departure())


OPERATIONS = Operations(
    "athletes",
    "Read what others let you, as a coach does",
    (
        Operation(
            "GET",
            "/api/athletes",
            list_athletes,
            {HTTPStatus.OK: AthleteList},
            "read",
            of_primary=True,  # who has ended it is gone at once
        ),
        Operation(
            "POST",
            "/api/athletes/{athlete}/accept",
            accept_athlete,
            {HTTPStatus.OK: Acceptance},
            "admin",
            refusals=CONFLICT,
        ),
        Operation(
            "DELETE",
            "/api/athletes/{athlete}",
            leave_athlete,
            {HTTPStatus.OK: Departure},
            "admin",
        ),
    ),
)
