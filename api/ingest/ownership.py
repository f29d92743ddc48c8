"""Whose a workout is, cached so that an upload costs PostgreSQL nothing."""

from functools import partial
from typing import Final
from uuid import UUID

from api.ingest.ride_sizes import RideSizes
from api.ingest.store import find_ownership
from api.web.cache import Cache, Entry
from api.web.problems import NotFound
from shared.connections import AsyncDatabase

# Seconds; both must be well within redis_keys.SEALED_FOR.
FRESH_FOR: Final = 6 * 3600.0
OUTAGE_BOUND: Final = 12 * 3600.0
_MOST_WITH_REMOVED: Final = 10_000  # rides


class Ownerships:
    """Answers "may this user upload to that workout, and is it over?".

    ``sizes`` learns by the way how many samples the workout has, and this which were removed from
    it: a process that has not heard of that yet takes them, and the fold drops them.
    """

    def __init__(self, database: AsyncDatabase, sizes: RideSizes) -> None:
        self._database = database
        self._sizes = sizes
        self._removed: dict[UUID, list[int]] = {}  # of the few rides that there are with any
        self._finished = Cache[tuple[UUID, UUID], bool](200_000, FRESH_FOR, OUTAGE_BOUND)

    async def is_finished(self, workout_id: UUID, user_id: UUID) -> bool:
        """Whether the workout was over when last seen. Raises NotFound unless it is the user's.

        An owner never changes. A ride that ends after it was seen here is noticed by its sealed
        key, which the upload itself reads.
        """
        load = partial(self._look_up, workout_id, user_id)
        return await self._finished.get((workout_id, user_id), load, allow_stale=True)

    def remembered(self, workout_id: UUID, user_id: UUID) -> Entry[bool] | None:
        """As ``is_finished``, where that needs no look; None says nothing."""
        return self._finished.fresh((workout_id, user_id))

    def known_until(self, entry: Entry[bool]) -> float:
        """Until when ``remembered`` would give this once more, unless it is dropped."""
        return self._finished.fresh_until(entry)

    def removed_from(self, workout_id: UUID) -> list[int]:
        """Where ranges begin and end (ms), in turn, that were removed from the ride for good."""
        return self._removed.get(workout_id, [])

    def remember(self, workout_id: UUID, user_id: UUID, *, finished: bool) -> None:
        """Note what a handler has just learned or done."""
        self._finished.put((workout_id, user_id), finished)

    def forget(self, workout_id: UUID, user_id: UUID) -> None:
        """Ask PostgreSQL again next time."""
        self._finished.drop((workout_id, user_id))

    def forget_all(self) -> None:
        """Ask PostgreSQL again about every workout."""
        self._finished.drop_where(lambda _: True)

    async def _look_up(self, workout_id: UUID, user_id: UUID) -> bool:
        found = await find_ownership(self._database, workout_id, user_id)
        if found is None:
            raise NotFound("no such workout")
        self._sizes.learn(workout_id, found.archived)
        self._learn_removed(workout_id, found.removed)
        return found.finished

    def _learn_removed(self, workout_id: UUID, removed: list[int]) -> None:
        self._removed.pop(workout_id, None)
        if len(self._removed) >= _MOST_WITH_REMOVED:
            del self._removed[next(iter(self._removed))]  # the fold still drops them
        if removed:
            self._removed[workout_id] = removed
