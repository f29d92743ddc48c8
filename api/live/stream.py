"""One viewer's stream: what was missed, then what the reader brings, until the ride is over."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.concurrency import iterate_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.live.feed import Feed, Wish, event_id
from api.live.position import Position
from api.live.state import LiveRequest
from api.live.viewers import Ticket, Viewer, Viewers
from api.live.watching import OVER, Glass
from api.web.protocol import END_AT_STOP
from api.workouts.held_samples import EncodedSamples, fetch_samples
from api.workouts.selection import Selection, View
from api.workouts.store import Workout
from shared.redis_keys import BATCH_FIELD, samples_key
from shared.samples import stream_codec
from shared.samples.columns import Samples, merge

MEDIA: Final = "text/event-stream"
ENDED: Final = "end"  # the id of the last event
_HEADERS: Final = {
    "Content-Type": f"{MEDIA}; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would keep events until it has many
}
_ID: Final = b"id: "
_MOST_ENTRIES: Final = 500  # that are read from the stream alone
_RETRY: Final = (1000, 4000)  # ms: not all come again at the same moment
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Audience:
    """``workout``: the ride as it was when the viewer came. ``since``: from which timestamp (ms) on
    it is told what is there already; ``position``: where an earlier stream ended.
    """

    ticket: Ticket
    workout: Workout
    wish: Wish
    glass: Glass
    since: int | None = None
    position: Position | None = None


class EventStream(Response):
    """Server-sent events for one viewer, until they end, the viewer leaves or the process stops.

    ``headers``: those of the answer.
    """

    def __init__(self, viewers: Viewers, ticket: Ticket, headers: Mapping[str, str]) -> None:
        super().__init__(headers=headers)
        del self.headers["content-length"]
        self._viewers = viewers
        self.ticket = ticket

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. Of a HEAD request, the head alone."""
        with self._viewers.admit(self.ticket) as viewer:
            scope[END_AT_STOP] = viewer.drop
            leaving = asyncio.create_task(_drop_who_leaves(viewer, receive))
            try:
                await self._send(viewer, send, is_head=scope["method"] == "HEAD")
            finally:
                leaving.cancel()

    async def _send(self, viewer: Viewer, send: Send, *, is_head: bool) -> None:
        head = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **head})
        try:
            if not is_head:
                async for piece in self._pieces(viewer):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        except Exception as error:  # whatever it was, the viewer comes again and goes on from there
            logger.warning("ended a live stream early: %r", error)
        await send({"type": "http.response.body"})

    def _pieces(self, viewer: Viewer) -> AsyncIterator[bytes]:
        """What the viewer is sent."""
        raise NotImplementedError


class LiveResponse(EventStream):
    """Server-sent events for as long as the ride, its viewer and this process go on."""

    def __init__(self, request: LiveRequest, audience: Audience) -> None:
        super().__init__(request.state["watching"].viewers, audience.ticket, _HEADERS)
        self._state = request.state
        self._audience = audience
        self._position = audience.position
        self._latest = b""  # event of the reader's that has an id

    async def _pieces(self, viewer: Viewer) -> AsyncIterator[bytes]:
        yield f"retry: {random.randint(*_RETRY)}\n\n".encode()  # noqa: S311
        workout = self._audience.workout
        if workout.status not in OVER:
            async for piece in self._watched(viewer):
                yield piece
            return
        async for piece in self._missed():
            yield piece
        yield self._feed().end(workout.status, workout.summary)

    async def _watched(self, viewer: Viewer) -> AsyncIterator[bytes]:
        audience, watching = self._audience, self._state["watching"]
        watched = watching.watch(viewer, audience.workout, audience.wish, audience.glass)
        async with watched as position:
            async for piece in self._missed():
                yield piece
            if self._position is None:
                self._position = position
                yield event_id(str(position))
            while events := await viewer.next_events():
                for each in events:
                    async for piece in self._told(each):
                        yield piece

    async def _told(self, said: bytes | None) -> AsyncIterator[bytes]:
        """An event, or what was missed before the next one."""
        if said is None:
            self._position = _position_in(self._latest) or self._position
            async for piece in self._missed():
                yield piece
            return
        if said.startswith(_ID):
            self._latest = said
        yield said

    async def _missed(self) -> AsyncIterator[bytes]:
        """What has come since the position, or from the timestamp on that was asked for."""
        if self._position is None and self._audience.since is None:
            return
        feed = self._feed()
        if self._position is not None and not feed.holds_back:
            samples = await self._after(self._position)
            if samples is not None:
                for piece in await asyncio.to_thread(lambda: list(feed.samples(*samples))):
                    yield piece
                self._position, self._latest = samples[1], b""
                return
        async for piece in self._held(feed):
            yield piece

    async def _after(self, position: Position) -> tuple[Samples, Position] | None:
        """What the stream has after a position; None if a fold may have taken some of it."""
        client, key = self._state["redis"], samples_key(self._audience.workout.id)
        found: Any = await client.xrange(key, min=position.entry, count=_MOST_ENTRIES)
        if not found or found[0][0].decode() != position.entry or len(found) == _MOST_ENTRIES:
            return None
        batches = [fields[BATCH_FIELD] for _, fields in found[1:]]
        samples = await asyncio.to_thread(lambda: merge(stream_codec.decode(batches)))
        return samples, position.after(found[-1][0].decode(), samples.timestamps)

    async def _held(self, feed: Feed) -> AsyncIterator[bytes]:
        """What the servers hold, a piece at a time: within the budget of all answers."""
        state, audience = self._state, self._audience
        held: dict[str, Any] = {}
        answers, user_id = state["answers"], audience.workout.user_id
        with answers.holding(held):
            await answers.begin_read(held, user_id)
            encoded = await fetch_samples(state, audience.workout)
            answers.take(held, user_id, await asyncio.to_thread(encoded.size))
            self._position, start = await asyncio.to_thread(self._place, encoded, feed)
            pieces = await asyncio.to_thread(_events, feed, encoded, audience.workout, start)
            async for piece in iterate_in_threadpool(pieces):
                yield piece
            self._latest = b""
            yield event_id(str(self._position))

    def _place(self, encoded: EncodedSamples, feed: Feed) -> tuple[Position, int | None]:
        """Where the stream will be after all that is held; and from which timestamp on to tell."""
        times = encoded.decode_times().merged().timestamps
        before, start = self._position, self._audience.since
        if before is not None:
            start = None if feed.holds_back else before.first_unseen(times)
        entry = encoded.last_entry or (before.entry if before else "0-0")
        return Position.after_all(entry, times), start

    def _feed(self) -> Feed:
        return Feed(self._audience.wish, self._audience.glass.make())


def _events(
    feed: Feed, encoded: EncodedSamples, workout: Workout, start: int | None
) -> Iterator[bytes]:
    view = View(encoded.decode(), Selection(start=start).of(workout))
    for window in view.windows(list(view.outline.whole)):
        yield from feed.samples(window, None)


def _position_in(said: bytes) -> Position | None:
    """That of an event with an id."""
    if not said:
        return None
    return Position.parse(said.removeprefix(_ID).partition(b"\n")[0].decode())


async def _drop_who_leaves(viewer: Viewer, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    viewer.drop()
