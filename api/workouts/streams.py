"""Named streams that feed rides: to these, not to rides, clients of the original service send."""

import re
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec
from msgspec import Struct

from api.web.body import refuse_form
from api.web.problems import BadRequest, about
from api.web.state import Request
from api.web.syntax import json_fault
from api.workouts.store import Workout

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_WRONG_NAME: Final = "must be 1 to 64 characters, each of them alphanumeric, - or _"
# Of a body that completes a ride: whether its stream goes along.
ARCHIVES: Final = "archiveTelemetry"


class EndedWithStream(Struct, rename="camel"):
    """A ride that was completed with its stream: of so many samples, which it holds."""

    workout: Workout
    archived_messages: int
    success: bool = True


class RideStreams(Protocol):
    """What these handlers ask of whoever keeps the streams; see `api.clients.rides`."""

    async def attach(self, user_id: UUID, name: str, workout_id: UUID) -> None:
        """Let the stream feed the ride: what was sent so far, and what will be."""

    async def end(self, user_id: UUID, name: str, workout_id: UUID, *, keep: bool) -> None:
        """The ride is over: it gets what it lacks, and its stream goes unless it is to be kept."""

    async def drop(self, user_id: UUID, name: str, workout_id: UUID) -> None:
        """The ride is deleted, and its stream with it."""


def checked_name(name: object) -> str:
    """A stream's name without what surrounds it. Raises BadRequest."""
    trimmed = name.replace("\0", "").strip() if isinstance(name, str) else ""
    if not _NAME.fullmatch(trimmed):
        raise BadRequest(f"streamName {_WRONG_NAME}", about(_WRONG_NAME, "streamName"))
    return trimmed


def stream_name_of(given: object) -> str | None:
    """The stream that a new ride names, if it names one. Raises BadRequest."""
    return None if given is None else checked_name(given)


def archives_telemetry(request: Request[Any], body: bytes) -> bool:
    """Whether a ride that is completed takes its stream along: `archiveTelemetry`, or by default.

    Raises BadRequest for a body that is no JSON.
    """
    refuse_form(request)
    try:
        members = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {json_fault(error)}") from None
    return not isinstance(members, dict) or members.get(ARCHIVES) is not False
