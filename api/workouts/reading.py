"""Reading a ride's samples: a few at a time for each rider, within the bytes that are held."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from http import HTTPStatus
from typing import Any, Final

from starlette.concurrency import iterate_in_threadpool
from starlette.responses import Response

from api.identity.auth import Caller
from api.ingest.state import IngestRequest
from api.web.sending import TimedStream
from api.web.state import Request
from api.workouts.held_samples import (
    EncodedSamples,
    add_archived,
    fetch_samples,
    newest_entry,
)
from api.workouts.selection import Selection, View
from api.workouts.store import Workout

_RENDERING: Final = 1  # raised whenever the same samples are rendered in other bytes
READ_REFUSALS: Final = {
    HTTPStatus.TOO_MANY_REQUESTS: "Too many answers to the caller are not read to their end"
}


async def open_view(
    request: Request[Any], caller: Caller, workout: Workout, selection: Selection
) -> View:
    """The selected samples, ready to be rendered. Whatever may be wrong with them is found here.

    None of what the rider has cropped away or removed is among them.

    Raises TooManyRequests, ServiceUnavailable, MalformedEntry, LeaveToNewer.
    """
    encoded = await open_samples(request, caller, workout, selection.sources(selection.channels))
    return await asyncio.to_thread(lambda: View(encoded.decode(), selection.of(workout)))


async def open_samples(
    request: Request[Any], caller: Caller, workout: Workout, channels: Sequence[str] | None
) -> EncodedSamples:
    """The samples as the servers hold them; of what is archived, the named channels alone.

    Raises TooManyRequests, ServiceUnavailable, MalformedEntry, LeaveToNewer.
    """
    answers = request.state["answers"]
    await answers.begin_read(request.scope, caller.own_id)
    encoded = await fetch_samples(request.state, workout, channels)
    answers.take(request.scope, caller.own_id, await asyncio.to_thread(encoded.size))
    return encoded


async def open_times(
    request: IngestRequest, caller: Caller, workout: Workout
) -> tuple[EncodedSamples, str]:
    """When there are samples of the ride, and the epoch of those that wait.

    A device does not wait for what its rider reads. Raises TooManyRequests, ServiceUnavailable.
    """
    state = request.state
    await state["answers"].begin_read(request.scope, (caller.own_id, "receipts"))
    waiting, epoch = await state["writer"].waiting(workout.id)
    encoded = await add_archived(state["database"], workout, waiting, channels=[])
    state["answers"].take(request.scope, caller.own_id, encoded.packed_size)
    return encoded, epoch


async def version_of(state: Any, workout: Workout) -> tuple[object, ...]:
    """What changes with the samples of a ride, found without reading them: for an ETag.

    Every change of what is archived changes `updatedAt`; beside it, the newest batch that waits. It
    is asked for before the samples are read: if they change in between, the client only asks for
    them once more.
    """
    newest = await newest_entry(state["redis"], workout.id)
    return _RENDERING, workout.id, workout.updated_at, newest


def stream(request: Request[Any], pieces: Iterator[bytes], media: str) -> Response:
    """The pieces, each made in a thread when the one before was sent.

    An answer goes on for no longer than its key: it is then cut off.
    """
    patience = request.state["settings"].body_timeout
    return TimedStream(_while_open(request, pieces), patience, media_type=media)


async def _while_open(request: Request[Any], pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    async for piece in iterate_in_threadpool(pieces):
        await request.state["authenticator"].authenticate(request, "read")
        yield piece
