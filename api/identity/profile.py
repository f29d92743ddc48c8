"""The user's profile."""

from datetime import date, datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType
from psycopg.rows import class_row
from starlette.responses import Response

from api.identity.auth import Caller
from api.identity.state import IdentityRequest, IdentityState
from api.web.body import JSON, read_json
from api.web.query import TimeZone, time_zone_of
from api.web.responses import json_response
from api.web.routing import Operation, Operations
from shared.sql import load_queries

QUERIES = load_queries("riders")
AvatarUrl = Annotated[str, Meta(max_length=500, pattern=r"^https://[!-~]+$")]


class Rider(Struct, rename="camel"):
    """A user's profile. `timeZone` says where days, weeks, months and years begin."""

    id: UUID
    email: str
    display_name: str | None
    avatar_url: str | None
    time_zone: str
    provider: Annotated[str | None, Meta(description="Who vouches for it, if not a password")]
    created_at: datetime
    last_login_at: datetime | None


class UpdateRider(Struct, rename="camel"):
    """Members to change; absent ones stay."""

    display_name: Annotated[str, Meta(max_length=100, pattern="^[^\x00]*$")] | UnsetType | None = (
        UNSET
    )
    time_zone: TimeZone | UnsetType = UNSET
    avatar_url: AvatarUrl | UnsetType | None = UNSET


class RiderAnswer(Struct):
    """The caller."""

    user: Rider


async def get_rider(request: IdentityRequest, caller: Caller) -> Response:
    """The caller's profile."""
    return json_response(RiderAnswer(await read_rider(request.state, caller.user_id)))


async def update_rider(request: IdentityRequest, caller: Caller) -> Response:
    """Change the display name, the picture's address or the time zone."""
    wanted = await read_json(request, UpdateRider, request.state["settings"])
    time_zone = None
    if wanted.time_zone is not UNSET:
        time_zone = time_zone_of(wanted.time_zone, "timeZone")
    change = {
        "user_id": caller.user_id,
        "set_display_name": wanted.display_name is not UNSET,
        "display_name": wanted.display_name or None,
        "set_avatar_url": wanted.avatar_url is not UNSET,
        "avatar_url": wanted.avatar_url or None,
        "time_zone": time_zone,
        "effective_from": date.min,
    }
    state = request.state
    async with state["database"].connection() as connection, connection.transaction():
        if time_zone:  # another day may have other figures
            await connection.execute(QUERIES["mark_stale_from"], change)
        await connection.execute(QUERIES["update_rider"], change)
    return json_response(RiderAnswer(await read_rider(state, caller.user_id)))


async def time_zone_or_own(state: IdentityState, caller: Caller, wanted: str | None) -> str:
    """The time zone wanted, else the rider's own."""
    if wanted is not None:
        return time_zone_of(wanted, "timeZone")
    return (await read_rider(state, caller.user_id)).time_zone


async def read_rider(state: IdentityState, user_id: UUID) -> Rider:
    """A user's profile."""
    async with (
        state["database"].connection() as connection,
        connection.cursor(row_factory=class_row(Rider)) as cursor,
    ):
        await cursor.execute(QUERIES["get_rider"], {"user_id": user_id})
        rider = await cursor.fetchone()
    assert rider is not None  # a key without its user cannot be  # noqa: S101
    return rider


OPERATIONS = Operations(
    "riders",
    "The profile, and the figures that rides are judged by",
    (
        Operation("GET", "/api/users/me", get_rider, {HTTPStatus.OK: RiderAnswer}, "read"),
        Operation(
            "PATCH",
            "/api/users/me",
            update_rider,
            {HTTPStatus.OK: RiderAnswer},
            "admin",
            body={JSON: UpdateRider},
            example={"displayName": "Me", "timeZone": "Europe/Zurich"},
        ),
    ),
)
