"""What has changed of a rider since a place in the log of changes.

Without a place everything comes first: the rides and files that there are, whether or not the log
knows them, as those that were there before it do not stand in it. Then the log, from the oldest
transaction that was writing when the client began: what changes meanwhile comes again. The log is
read no further than the oldest transaction that is writing, so that none is missed that commits
later than others which began after it.
"""

import base64
from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct
from starlette.responses import Response

from api.files.store import find_uploads
from api.identity.auth import Caller
from api.web.problems import CursorGone, Fault, Unprocessable
from api.web.query import read_query
from api.web.responses import json_response
from api.web.routing import Operation
from api.web.shapes import shortened
from api.web.state import Request
from api.webhooks import store
from api.webhooks.wire import Change, ChangeList, ChangesQuery
from api.workouts.store import find_workouts
from shared.connections import AsyncDatabase

_Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Kind = Literal["workout", "upload"]
_NEXT: Final[dict[_Kind, _Kind]] = {"workout": "upload"}


class _AmongThings(Struct, array_like=True, tag="things", forbid_unknown_fields=True):
    """After a ride or file; the log is read from the transaction ``begun`` on."""

    log: str
    begun: _Number
    kind: _Kind = "workout"
    after: tuple[Annotated[datetime, Meta(tz=True)], UUID] | None = None


class _InLog(Struct, array_like=True, tag="log", forbid_unknown_fields=True):
    """After a change."""

    log: str
    transaction: _Number
    id: _Number = 0


_Place = _AmongThings | _InLog


async def get_changes(request: Request[Any], caller: Caller) -> Response:
    """Everything of the caller that changed since the last time, deletions included.

    Begin without `since`: every ride and file comes, the oldest first. Ask with the `cursor` of
    each answer for the next one while there is `more`, and keep the last one: with it, a week
    later, comes what has changed meanwhile. Each thing comes as it is now, and again whenever it
    changes; one may come twice, so store it by its `kind` and `id`. Where the cursor is of a
    database that was restored or moved since, it is 410: begin without it again, and drop what
    does not come any more.
    """
    query, database = read_query(request, ChangesQuery), request.state["database"]
    log = await store.get_log(database)
    place = _read_place(query.since, log) if query.since else _AmongThings(log.name, log.horizon)
    found, place, more = await _read(database, caller.user_id, place, query.limit)
    return json_response(ChangeList(found, _write_place(place), more))


async def _read(
    database: AsyncDatabase, user_id: UUID, place: _Place, limit: int
) -> tuple[list[Change], _Place, bool]:
    """At most so many changes, the place after them, and whether there is more."""
    found = list[Change]()
    while isinstance(place, _AmongThings):
        page, place = await _read_things(database, user_id, place, limit - len(found))
        found += page
        if len(found) == limit:
            return found, place, True
    logged, place, more = await _read_log(database, user_id, place, limit - len(found))
    return [*found, *logged], place, more


async def _read_log(
    database: AsyncDatabase, user_id: UUID, place: _InLog, limit: int
) -> tuple[list[Change], _Place, bool]:
    """A page of what is in the log."""
    after = (place.transaction, place.id)
    rows = await store.list_changes(database, user_id, *after, limit + 1)
    changes = [
        Change(each.kind, each.subject, each.deleted, each.changed_at) for each in rows[:limit]
    ]
    if changes:
        last = rows[len(changes) - 1]
        place = _InLog(place.log, last.transaction, last.id)
    return await _with_things(database, user_id, changes), place, len(rows) > limit


async def _read_things(
    database: AsyncDatabase, user_id: UUID, place: _AmongThings, limit: int
) -> tuple[list[Change], _Place]:
    """A page of the rides or files that there are."""
    things = await store.list_things(database, user_id, place.kind, place.after, limit)
    changes = [Change(place.kind, str(each.id), False, each.changed_at) for each in things]
    after: _Place = _InLog(place.log, place.begun)
    if len(things) == limit:
        after = _AmongThings(place.log, place.begun, place.kind, (things[-1].at, things[-1].id))
    elif place.kind in _NEXT:
        after = _AmongThings(place.log, place.begun, _NEXT[place.kind])
    return await _with_things(database, user_id, changes), after


async def _with_things(
    database: AsyncDatabase, user_id: UUID, changes: Sequence[Change]
) -> list[Change]:
    """The changes with what they are of; what is not there any more is deleted."""
    workouts = await find_workouts(database, _ids("workout", changes), user_id)
    uploads = await find_uploads(database, _ids("upload", changes), user_id)
    there: dict[tuple[str, str], Any] = {
        **{("workout", str(each.id)): each for each in workouts},
        **{("upload", str(each.id)): each for each in uploads},
    }
    return [_with_thing(each, there.get((each.kind, each.id))) for each in changes]


def _with_thing(change: Change, thing: Any) -> Change:
    if change.kind in ("workout", "upload"):
        change.deleted = thing is None
        setattr(change, change.kind, UNSET if thing is None else thing)
    return change


def _ids(kind: _Kind, changes: Sequence[Change]) -> list[UUID]:
    return [UUID(each.id) for each in changes if each.kind == kind and not each.deleted]


def _read_place(text: str, log: store.Log) -> _Place:
    """Raises Unprocessable for what is no cursor, CursorGone for one of another log."""
    try:
        place: _Place = msgspec.json.decode(base64.urlsafe_b64decode(text), type=_Place)
    except (ValueError, msgspec.DecodeError):
        detail = f"{shortened(text)!r} is not a cursor of these changes"
        fault = Fault("is not a cursor of these changes", "since")
        raise Unprocessable(f"since={detail}", [fault]) from None
    reached = place.begun if isinstance(place, _AmongThings) else place.transaction
    if place.log != log.name or reached > log.horizon:
        raise CursorGone("the cursor is of another database: begin again, without `since`")
    return place


def _write_place(place: _Place) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


OPERATIONS: Final = (
    Operation(
        "GET",
        "/api/changes",
        get_changes,
        {HTTPStatus.OK: ChangeList},
        "read",
        query=ChangesQuery,
        refusals={HTTPStatus.GONE: "The cursor is of another database; begin without it"},
        takes_athlete=True,
        of_primary=True,  # a cursor must not be ahead of who reads it
    ),
)
