"""The process's one reader of rides under way: it asks Redis twice a second for all who watch.

What is new of a ride is decoded once, and made into events once for all who asked for the same.
PostgreSQL is asked every two seconds, for all of them together: which rides have ended or were
folded, and which keys do not open any more.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import msgspec

from api.live import store
from api.live.feed import HEARTBEAT, Feed, Lens, Wish, event
from api.live.position import START, Position
from api.live.store import Watched
from api.live.viewers import Viewer, Viewers
from api.workouts.finished import Announcements
from api.workouts.held_samples import fetch_from
from api.workouts.store import Status, Workout, find_workout
from shared.connections import AsyncDatabase, AsyncRedis, is_cluster
from shared.errors import LeaveToNewer, MalformedEntry
from shared.redis_keys import BATCH_FIELD, FIGURES_FIELD, WATCHED, figures_key, samples_key
from shared.samples import stream_codec
from shared.samples.columns import Samples, merge, no_samples

OVER: Final = frozenset({Status.COMPLETED, Status.ARCHIVED, Status.FAILED})
_EVERY: Final = 0.5  # seconds between two looks at Redis
_LOOK_EVERY: Final = 2.0  # at PostgreSQL: a revoked key closes within REVOCATION_BOUND
_NOTE_EVERY: Final = 3.0
_NOTED_FOR: Final = 15.0
_HEARTBEAT_EVERY: Final = 15.0
_LONGEST_PAUSE: Final = 5.0
_RIDES_A_READ: Final = 100
_ENTRIES_A_READ: Final = 20  # of each ride
Shut = Callable[[AsyncDatabase, Collection[str]], Awaitable[set[str]]]
Entries = list[tuple[bytes, dict[bytes, bytes]]]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Glass:
    """Through which lens some viewers see: its ``name`` tells it from others, ``make`` makes it."""

    name: object
    make: Callable[[], Lens]


@dataclass(eq=False)
class Ride:
    """A ride that somebody watches, and what was read of it.

    ``folded``: how far it was by the last look at its row (ms); ``said``: is set when anything was
    announced of it; ``feeds``: by what their viewers asked for.
    """

    workout: Workout
    position: Position
    folded: int
    said: asyncio.Event = field(default_factory=asyncio.Event)
    subscribed: ExitStack = field(default_factory=ExitStack)
    figures_at: str = START
    figures: Any = None
    feeds: dict[tuple[Wish, object], tuple[Feed, set[Viewer]]] = field(default_factory=dict)

    def viewers(self) -> Iterator[Viewer]:
        """All of them, who may come and go meanwhile."""
        for _, viewers in tuple(self.feeds.values()):
            yield from tuple(viewers)


@dataclass
class _News:
    """What a look at Redis has brought of a ride, and the events made of it, by feed."""

    ride: Ride
    entries: Entries = field(default_factory=list)
    figures: Entries = field(default_factory=list)
    events: list[tuple[set[Viewer], list[bytes]]] = field(default_factory=list)


class Watching:
    """The rides that are watched in this process, and who watches them.

    ``shut``: kind of ticket → says which of them hold no more.
    """

    def __init__(
        self,
        client: AsyncRedis,
        database: AsyncDatabase,
        announcements: Announcements,
        viewers: Viewers,
        shut: Mapping[str, Shut],
    ) -> None:
        self.viewers = viewers
        self._redis = client
        self._database = database
        self._announcements = announcements
        self._shut = shut
        self._rides: dict[UUID, Ride] = {}
        self._beginning = asyncio.Lock()
        self._telling = asyncio.Lock()
        self._somebody = asyncio.Event()
        self._noted_at = self._beaten_at = 0.0

    @asynccontextmanager
    async def watch(
        self, viewer: Viewer, workout: Workout, wish: Wish, glass: Glass
    ) -> AsyncIterator[Position]:
        """Have the viewer told all that is new of the ride for as long as the block lasts.

        Gives the position from which on.
        """
        async with self._beginning:
            ride = self._rides.get(workout.id) or await self._begin(workout)
            async with self._telling:  # else what is being decoded is told to all but this one
                position = ride.position
                self._join(ride, viewer, (wish, glass.name), lambda: Feed(wish, glass.make()))
        try:
            yield position
        finally:
            self._leave(ride, viewer, (wish, glass.name))

    async def read(self) -> None:
        """Read for those who watch, for as long as the process serves."""
        failures = 0
        while True:
            await self._somebody.wait()
            try:
                is_more = await self._read_once()
                failures = 0
            except Exception as error:  # whatever it was, what was missed is read the next time
                logger.warning("could not read for those who watch: %r", error)
                is_more, failures = False, failures + 1
            self._beat()
            pause = min(_EVERY * 2 ** min(failures, 10), _LONGEST_PAUSE)
            await asyncio.sleep(0 if is_more else pause)

    async def look(self) -> None:
        """Look which rides and keys have ended, for as long as the process serves."""
        looked_at = 0.0
        while True:
            await self._somebody.wait()
            is_due = time.monotonic() - looked_at >= _LOOK_EVERY
            if is_due or any(ride.said.is_set() for ride in self._rides.values()):
                looked_at = time.monotonic()
                try:
                    await self._look_at_rides()
                    await self.look_at_tickets()
                except Exception as error:  # as above
                    logger.warning("could not look at who watches: %r", error)
            await asyncio.sleep(_EVERY)

    async def _begin(self, workout: Workout) -> Ride:
        """A ride that nobody has watched so far, from now on."""
        # The row first: what is folded after this look is noticed at the next one.
        rows = await store.find_watched(self._database, [workout.id])
        folded = rows[workout.id].folded_ms if workout.id in rows else 0
        position = await self._position_of(workout)
        return Ride(workout, position, folded)

    def _join(
        self, ride: Ride, viewer: Viewer, asked: tuple[Wish, object], make: Callable[[], Feed]
    ) -> None:
        if not ride.feeds:
            self._rides[ride.workout.id] = ride
            waiting = self._announcements.waiting(ride.workout.id)
            ride.said = ride.subscribed.enter_context(waiting)
            self._noted_at = 0.0
            self._somebody.set()
        if asked not in ride.feeds:
            ride.feeds[asked] = make(), set()
        feed, viewers = ride.feeds[asked]
        viewers.add(viewer)
        if ride.figures is not None:
            viewer.push(feed.summary(ride.figures))

    def _leave(self, ride: Ride, viewer: Viewer, asked: tuple[Wish, object]) -> None:
        _, viewers = ride.feeds[asked]
        viewers.discard(viewer)
        if not viewers:
            del ride.feeds[asked]
        if not ride.feeds:
            del self._rides[ride.workout.id]
            ride.subscribed.close()
        if not self._rides:
            self._somebody.clear()

    async def _position_of(self, workout: Workout) -> Position:
        """That of who has seen all that is held of a ride. Its times alone are decoded."""
        held = await fetch_from(self._redis, self._database, workout, channels=[])
        times = await asyncio.to_thread(lambda: held.decode_times().merged().timestamps)
        return Position.after_all(held.last_entry or START, times)

    async def _read_once(self) -> bool:
        """Tell all that is new. Whether there may be more at once."""
        await self._note()
        rides, is_more = list(self._rides.values()), False
        for at in range(0, len(rides), _RIDES_A_READ):
            news = await self._news_of(rides[at : at + _RIDES_A_READ])
            async with self._telling:
                await asyncio.to_thread(_digest, news)
                for each in news:
                    _tell(each)
            is_more |= any(len(each.entries) == _ENTRIES_A_READ for each in news)
        return is_more

    async def _note(self) -> None:
        """Have the workers publish the figures of these rides. A full Redis refuses."""
        now = time.monotonic()
        if self._rides and now - self._noted_at >= _NOTE_EVERY:
            self._noted_at = now
            until = int((time.time() + _NOTED_FOR) * 1000)
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.zadd(WATCHED, dict.fromkeys(map(str, self._rides), until))
                pipe.zremrangebyscore(WATCHED, "-inf", until - int(2 * _NOTED_FOR * 1000))
                await pipe.execute(raise_on_error=False)

    async def _news_of(self, rides: list[Ride]) -> list[_News]:
        after: dict[Any, Any] = {}
        streams: dict[bytes, tuple[UUID, bool]] = {}
        for ride in rides:
            samples, figures = samples_key(ride.workout.id), figures_key(ride.workout.id)
            after |= {samples: ride.position.entry, figures: ride.figures_at}
            streams[samples.encode()] = ride.workout.id, True
            streams[figures.encode()] = ride.workout.id, False
        news = {ride.workout.id: _News(ride) for ride in rides}
        for name, entries in await self._entries_after(after):
            workout_id, are_samples = streams[name]
            if are_samples:
                news[workout_id].entries = entries
            else:
                news[workout_id].figures = entries
        return [each for each in news.values() if each.entries or each.figures]

    async def _entries_after(self, after: dict[Any, Any]) -> list[Any]:
        """Of all streams at once; in a cluster, of each ride's by themselves."""
        names = list(after)
        step = 2 if is_cluster(self._redis) else max(len(names), 1)
        async with self._redis.pipeline(transaction=False) as pipe:
            for at in range(0, len(names), step):
                few = {name: after[name] for name in names[at : at + step]}
                pipe.xread(few, count=_ENTRIES_A_READ)
            return [found for reply in await pipe.execute() for found in reply]

    def _beat(self) -> None:
        """So that nobody between here and the viewers takes a quiet stream for a dead one."""
        if time.monotonic() - self._beaten_at >= _HEARTBEAT_EVERY:
            self._beaten_at = time.monotonic()
            for viewer in self.viewers:
                if viewer.is_silent:
                    viewer.push(HEARTBEAT)

    async def _look_at_rides(self) -> None:
        for ride in self._rides.values():
            ride.said.clear()
        ids = list(self._rides)
        rows = await store.find_watched(self._database, ids)
        for workout_id in ids:
            if watched := self._rides.get(workout_id):
                await self._look_at(watched, rows.get(workout_id))

    async def _look_at(self, ride: Ride, row: Watched | None) -> None:
        if row is None:
            _end(ride, lambda _: event("gone", {}, "end"))
            return
        if row.folded_ms != ride.folded:
            ride.folded = row.folded_ms
            await self._find_missed(ride)
        if row.status in OVER:
            await self._end_over(ride)

    async def _find_missed(self, ride: Ride) -> None:
        """A fold has taken entries out of the stream: have viewers look for those not read before.

        One that arrived in the same millisecond as the last one read is found by the count.
        """
        before = ride.position
        if ride.folded < before.arrived or (ride.folded == before.arrived and not before.count):
            return
        after = await self._position_of(ride.workout)
        if ride.folded == before.arrived and after == before:
            return
        async with self._telling:
            ride.position = after
            for viewer in ride.viewers():
                viewer.catch_up()

    async def _end_over(self, ride: Ride) -> None:
        known = ride.workout
        workout = await find_workout(self._database, known.id, known.user_id)
        if workout is None:
            _end(ride, lambda _: event("gone", {}, "end"))
        else:
            _end(ride, lambda feed: feed.end(workout.status, workout.summary))

    async def look_at_tickets(self) -> None:
        """Drop whoever watches by a key or a share that opens nothing any more."""
        held = defaultdict[str, set[str]](set)
        for viewer in self.viewers:
            held[viewer.ticket.kind].add(viewer.ticket.id)
        for kind, ids in held.items():
            shut = await self._shut[kind](self._database, ids)
            for viewer in self.viewers:
                if viewer.ticket.kind == kind and viewer.ticket.id in shut:
                    viewer.drop()


def _digest(news: list[_News]) -> None:
    """Decode what is new, and make events of it."""
    for each in news:
        ride, made = each.ride, defaultdict[int, list[bytes]](list)
        feeds = tuple(ride.feeds.values())
        # While it was read, viewers may have been told to look for it themselves.
        entries = [(id_, fields) for id_, fields in each.entries if ride.position.is_before(id_)]
        if entries:
            samples = _decoded(ride, [fields[BATCH_FIELD] for _, fields in entries])
            ride.position = ride.position.after(entries[-1][0].decode(), samples.timestamps)
            for at, (feed, _) in enumerate(feeds):
                made[at] += feed.samples(samples, ride.position)
        if each.figures:
            newest, fields = each.figures[-1]
            ride.figures_at = newest.decode()
            ride.figures = msgspec.json.decode(fields[FIGURES_FIELD])
            for at, (feed, _) in enumerate(feeds):
                made[at].append(feed.summary(ride.figures))
        each.events = [(feeds[at][1], events) for at, events in made.items()]


def _decoded(ride: Ride, batches: list[bytes]) -> Samples:
    """In order of time. What no version here can read is left to the fold, which says so."""
    try:
        samples = merge(stream_codec.decode(batches))
    except (MalformedEntry, LeaveToNewer) as error:
        logger.info("cannot show a batch of %s: %s", ride.workout.id, error)
        return no_samples()
    removed = [(each.from_, each.to) for each in ride.workout.removed_ranges]
    return samples.outside(removed) if removed else samples


def _tell(news: _News) -> None:
    for viewers, events in news.events:
        for viewer in tuple(viewers):
            for each in events:
                viewer.push(each)


def _end(ride: Ride, last: Callable[[Feed], bytes]) -> None:
    for feed, viewers in tuple(ride.feeds.values()):
        said = last(feed)
        for viewer in tuple(viewers):
            viewer.push(said)
            viewer.end()
