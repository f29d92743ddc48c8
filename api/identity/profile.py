"""The user's profile."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.responses import Response

from api.identity import store
from api.identity.auth import Caller
from api.identity.state import IdentityRequest, IdentityState
from api.identity.wire import Rider, RiderAnswer, Storage
from api.web.body import JSON, read_change, require_unchanged
from api.web.query import TimeZone, time_zone_of
from api.web.responses import json_response, with_members_beside
from api.web.routing import Operation, Operations
from api.web.state import State
from shared.settings import bytes_of

AvatarUrl = Annotated[str, Meta(max_length=500, pattern=r"^https://[!-~]+$")]


class UpdateRider(Struct, rename="camel"):
    """Members to change; absent ones stay."""

    display_name: Annotated[str, Meta(max_length=100, pattern="^[^\x00]*$")] | UnsetType | None = (
        UNSET
    )
    time_zone: TimeZone | UnsetType = UNSET
    avatar_url: AvatarUrl | UnsetType | None = UNSET


async def get_user(request: IdentityRequest, caller: Caller) -> Response:
    """The caller's profile."""
    return await show_rider(request.state, caller.user_id)


async def show_rider(state: State, user_id: UUID) -> Response:
    """The user's profile, with the FTP that holds today and what is stored beside it."""
    database = state["database"]
    profile = await store.get_profile(database, user_id)
    settings = {"ftp": await store.find_ftp(database, user_id), "timeZone": profile.time_zone}
    storage = await storage_of(state, user_id)
    return with_members_beside(profile, user=profile, settings=settings, storage=storage)


async def storage_of(state: State, user_id: UUID) -> Storage:
    """What is stored of a user, and how much may be."""
    async with state["database"].connection() as connection:
        storage = await store.count_storage(connection, user_id)
    storage.quota = bytes_of(state["settings"].storage_quota)
    return storage


async def update_user(request: IdentityRequest, caller: Caller) -> Response:
    """Change the display name, the picture's address or the time zone.

    The profile may be sent back whole: members that are as they were are no change.
    """
    database, user_id = request.state["database"], caller.user_id
    wanted, fixed = await read_change(request, UpdateRider, Rider, request.state["settings"])
    if fixed:
        require_unchanged(fixed, await store.get_profile(database, user_id))
    zone = None if wanted.time_zone is UNSET else time_zone_of(wanted.time_zone, "timeZone")
    async with database.connection() as connection, connection.transaction():
        if zone:  # a workout may be on another day now, for which other thresholds hold
            await store.mark_workouts_stale(connection, user_id)
        await store.update_profile(
            connection, user_id, wanted.display_name, wanted.avatar_url, zone
        )
    return json_response(RiderAnswer(await store.get_profile(database, user_id)))


async def time_zone_or_own(state: IdentityState, caller: Caller, wanted: str | None) -> str:
    """The time zone wanted, else that of the caller's profile. Raises Unprocessable."""
    if wanted is not None:
        return time_zone_of(wanted, "timeZone")
    return (await store.get_profile(state["database"], caller.user_id)).time_zone


OPERATIONS = Operations(
    "athlete",
    "The profile, and the figures that rides are judged by",
    (
        Operation("GET", "/api/users/me", get_user, {HTTPStatus.OK: RiderAnswer}, "read"),
        Operation(
            "PATCH",
            "/api/users/me",
            update_user,
            {HTTPStatus.OK: RiderAnswer},
            "admin",
            body={JSON: UpdateRider},
            example={"displayName": "Me", "timeZone": "Europe/Zurich"},
        ),
    ),
)
