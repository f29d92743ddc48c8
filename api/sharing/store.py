"""Links and hidden places in PostgreSQL.

A function that takes a connection is part of the transaction that its caller has opened on it.
"""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from api.season.totals import FATIGUE_DAYS, FITNESS_DAYS, REMEMBERED_DAYS
from api.sharing.wire import (
    Athlete,
    CreateShare,
    Form,
    HiddenPlace,
    LastRide,
    Offer,
    PersonShare,
    Share,
    WeekLoad,
    stored_places,
)
from shared.connections import AsyncDatabase, BoundedConnection
from shared.figures import tidy
from shared.sql import load_queries

QUERIES = load_queries("shares")
_ATHLETES = load_queries("athletes")
MOST_OFFERS: Final = 100  # that a user is shown


@dataclass(frozen=True)
class OpenShare:
    """What a link opens. ``rider``: the display name of whose it is."""

    id: UUID
    user_id: UUID
    workout_id: UUID
    hide_metres: int
    hide_places: bool
    with_description: bool
    expires_at: datetime
    rider: str | None


@dataclass(frozen=True)
class Hidden:
    """What a user never shows, and the salt by which that is hidden."""

    salt: bytes
    places: list[HiddenPlace]


@dataclass(frozen=True)
class _Hidden:
    salt: bytes
    places: Any


@dataclass(frozen=True)
class _Athlete:
    """An athlete as a row: of the last ride, of form and of the week."""

    id: UUID
    name: str
    time_zone: str
    accepted_at: datetime
    ride_id: UUID | None
    title: str | None
    start_time: datetime | None
    ride_stress: float | None
    has_form: bool
    ctl: float | None
    atl: float | None
    ctl_before: float | None
    atl_before: float | None
    week_start: date
    week_workouts: int
    week_time: float
    week_energy: float | None
    week_stress: float | None

    def shown(self) -> Athlete:
        """As it is published."""
        week = WeekLoad(
            self.week_start,
            self.week_workouts,
            self.week_time,
            tidy(self.week_energy),
            tidy(self.week_stress),
        )
        return Athlete(
            self.id, self.name, self.time_zone, self.accepted_at, self._last(), self._form(), week
        )

    def _last(self) -> LastRide | None:
        if self.ride_id is None or self.start_time is None:
            return None
        return LastRide(self.ride_id, self.title, self.start_time, self.ride_stress)

    def _form(self) -> Form | None:
        if not self.has_form:
            return None
        form = (self.ctl_before or 0.0) - (self.atl_before or 0.0)
        return Form(*(round(each or 0.0, 2) for each in (self.ctl, self.atl, form)))


@dataclass(frozen=True)
class _Found:
    id: UUID


@dataclass(frozen=True)
class _Id:
    id: str


@dataclass(frozen=True)
class _Count:
    shares: int


async def create_share(
    connection: BoundedConnection,
    user_id: UUID,
    workout_id: UUID,
    token_hash: bytes,
    wanted: CreateShare,
    expires_at: datetime,
) -> Share | None:
    """A new link to the user's workout; None if there is no such one."""
    salt = {"user_id": user_id, "salt": secrets.token_bytes(32)}
    await connection.execute(QUERIES["keep_salt"], salt)
    return await connection.row(
        Share,
        QUERIES["create_share"],
        user_id=user_id,
        workout_id=workout_id,
        hash=token_hash,
        hide_metres=round(wanted.hide_metres),
        hide_places=wanted.hide_places,
        with_description=wanted.with_description,
        expires_at=expires_at,
    )


async def count_shares(connection: BoundedConnection, user_id: UUID) -> int:
    """How many links of a user's open something."""
    counted = await connection.row(_Count, QUERIES["count_shares"], user_id=user_id)
    return counted.shares if counted else 0


async def is_open(connection: BoundedConnection, user_id: UUID, share_id: UUID) -> bool:
    """Whether a link of the user's opens something still."""
    query = QUERIES["find_open_share"]
    return await connection.row(_Id, query, id=share_id, user_id=user_id) is not None


async def list_shares(database: AsyncDatabase, user_id: UUID) -> list[Share]:
    """A user's links that open something, newest first."""
    async with database.connection() as connection:
        return await connection.rows(Share, QUERIES["list_shares"], user_id=user_id)


async def revoke_share(connection: BoundedConnection, user_id: UUID, share_id: UUID) -> bool:
    """End a link now; False if the user has no such one that opens."""
    named = {"id": share_id, "user_id": user_id}
    cursor = await connection.execute(QUERIES["revoke_share"], named)
    return cursor.rowcount > 0


async def find_share(database: AsyncDatabase, token_hash: bytes) -> OpenShare | None:
    """What a token opens."""
    async with database.connection() as connection:
        return await connection.row(OpenShare, QUERIES["find_share"], hash=token_hash)


async def find_shut_shares(database: AsyncDatabase, ids: Collection[str]) -> set[str]:
    """Of these links, those that open nothing any more."""
    async with database.connection() as connection:
        found = await connection.rows(_Id, QUERIES["find_shut_shares"], ids=list(ids))
    return {each.id for each in found}


async def get_hidden(database: AsyncDatabase, user_id: UUID) -> Hidden:
    """What a user never shows."""
    async with database.connection() as connection:
        found = await connection.row(_Hidden, QUERIES["get_hidden"], user_id=user_id)
    return Hidden(found.salt, stored_places(found.places)) if found else Hidden(bytes(32), [])


async def put_places(
    connection: BoundedConnection, user_id: UUID, places: Sequence[HiddenPlace]
) -> None:
    """Replace the places that a user never shows."""
    stored = Jsonb(msgspec.to_builtins(places))
    salt = secrets.token_bytes(32)
    await connection.execute(
        QUERIES["put_places"], {"user_id": user_id, "salt": salt, "places": stored}
    )


# People who are let in, and the athletes who have let somebody in.


async def offer(connection: BoundedConnection, user_id: UUID, email: str) -> PersonShare | None:
    """Offer whoever has that address to read what is the user's; None where they do already.

    One that was made before and not accepted is the same: now to who has the address by now.
    """
    return await connection.row(PersonShare, _ATHLETES["offer"], user_id=user_id, email=email)


async def is_own_email(connection: BoundedConnection, user_id: UUID, email: str) -> bool:
    """Whether this is the address of the user's own account."""
    query = _ATHLETES["is_own_email"]
    return await connection.row(_Found, query, user_id=user_id, email=email) is not None


async def count_people(connection: BoundedConnection, user_id: UUID) -> int:
    """How many others a user has let in, or offered it to."""
    counted = await connection.row(_Count, _ATHLETES["count_people"], user_id=user_id)
    return counted.shares if counted else 0


async def is_person(connection: BoundedConnection, user_id: UUID, share_id: UUID) -> bool:
    """Whether somebody is let in, or may accept it, by this share of the user's."""
    query = _ATHLETES["find_person"]
    return await connection.row(_Id, query, id=share_id, user_id=user_id) is not None


async def list_people(database: AsyncDatabase, user_id: UUID) -> list[PersonShare]:
    """Whom a user has let in or offered it to, newest first."""
    async with database.connection() as connection:
        return await connection.rows(PersonShare, _ATHLETES["list_people"], user_id=user_id)


async def end_person(connection: BoundedConnection, user_id: UUID, share_id: UUID) -> bool:
    """Let somebody in no more; False if the user has no such share."""
    named = {"id": share_id, "user_id": user_id}
    cursor = await connection.execute(_ATHLETES["end_person"], named)
    return cursor.rowcount > 0


async def count_athletes(connection: BoundedConnection, user_id: UUID) -> int:
    """How many athletes a user reads."""
    counted = await connection.row(_Count, _ATHLETES["count_athletes"], user_id=user_id)
    return counted.shares if counted else 0


async def accept(connection: BoundedConnection, user_id: UUID, athlete_id: UUID) -> UUID | None:
    """Accept what an athlete has offered: by which share; None if that athlete has offered none."""
    ids = {"user_id": user_id, "athlete_id": athlete_id}
    found = await connection.row(_Found, _ATHLETES["accept"], **ids)
    return found.id if found else None


async def leave(connection: BoundedConnection, user_id: UUID, athlete_id: UUID) -> UUID | None:
    """Decline what an athlete has offered, or read it no more: which share that was."""
    ids = {"user_id": user_id, "athlete_id": athlete_id}
    found = await connection.row(_Found, _ATHLETES["leave"], **ids)
    return found.id if found else None


async def list_offers(database: AsyncDatabase, user_id: UUID) -> list[Offer]:
    """The athletes who have offered a user to read what is theirs, the newest first."""
    wanted = {"user_id": user_id, "most": MOST_OFFERS}
    async with database.connection() as connection:
        return await connection.rows(Offer, _ATHLETES["list_offers"], **wanted)


async def list_athletes(database: AsyncDatabase, user_id: UUID) -> list[Athlete]:
    """Whom a user reads, by name, with what a coach looks at first."""
    wanted = {
        "user_id": user_id,
        "fitness": float(FITNESS_DAYS),
        "fatigue": float(FATIGUE_DAYS),
        "remembered": REMEMBERED_DAYS,
    }
    async with database.connection() as connection:
        found = await connection.rows(_Athlete, _ATHLETES["list_athletes"], **wanted)
    return [each.shown() for each in found]
