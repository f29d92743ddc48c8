"""The list of uploads: what it is asked for, and a place in it."""

import base64
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from api.files.store import Upload
from api.web.query import no_cursor
from shared.uploads import UploadStatus

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$(?!\\n)")]


class UploadsQuery(Struct, rename="camel"):
    """Which uploads: by default all but the files of zips."""

    limit: Annotated[int, Meta(ge=1, le=100, description="Uploads of a page")] = 20
    cursor: Annotated[str | None, Meta(description="The `nextCursor` of a page")] = None
    status: Annotated[UploadStatus | None, Meta(description="Only those in this state")] = None
    parent: Annotated[UUID | None, Meta(description="A zip: list its files")] = None
    sha256: Annotated[
        Sha256 | None,
        Meta(
            description="Uploads of these bytes, those of zips too, whatever else is asked for; "
            "without those whose workouts are all deleted"
        ),
    ] = None


class _Place(Struct, array_like=True, forbid_unknown_fields=True):
    created_at: Annotated[datetime, Meta(tz=True)]
    id: UUID


def place_of(query: UploadsQuery) -> tuple[datetime, UUID] | None:
    """Where the page begins. Raises Unprocessable for what is no cursor."""
    if query.cursor is None:
        return None
    try:
        place = msgspec.json.decode(base64.urlsafe_b64decode(query.cursor), type=_Place)
    except (ValueError, msgspec.DecodeError):
        raise no_cursor(query.cursor) from None
    return place.created_at, place.id


def next_cursor(query: UploadsQuery, found: list[Upload]) -> str | None:
    """Where the next page begins: after the last upload of this one."""
    if len(found) <= query.limit:
        return None
    last = found[query.limit - 1]
    place = _Place(last.created_at, last.id)
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()
