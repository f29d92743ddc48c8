"""What streams have fed to rides in the last seconds, for where Redis has lost it.

A device of ours is told another epoch then, and sends again what it still has. Clients of the
original service know of no epoch and keep nothing: the process that has answered them does it in
their place.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from api.clients.messages import Reading

# Seconds: longer than a failover takes, with the time for which an old primary acknowledges.
KEPT_FOR: Final = 30.0
_MOST: Final = 1000  # of a ride


class _Fed(Struct):
    epoch: str  # of the last one
    readings: deque[tuple[float, Reading]]  # by when


class RecentReadings:
    """Those that this process has fed, of each ride by the epoch that was told for the last one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rides: OrderedDict[UUID, _Fed] = OrderedDict()  # the one fed last at the end

    def perhaps_lost(self, ride: UUID, epoch: str) -> list[Reading]:
        """All that are kept of a ride, if another epoch was told for the last one."""
        fed = self._rides.get(ride)
        if fed is None or fed.epoch == epoch:
            return []
        since = self._clock() - KEPT_FOR
        return [reading for moment, reading in fed.readings if moment >= since]

    def note(self, ride: UUID, epoch: str, readings: Sequence[Reading]) -> None:
        """These were fed, in this epoch, and so were those that `perhaps_lost` gave."""
        now = self._clock()
        fed = self._rides.setdefault(ride, _Fed(epoch, deque(maxlen=_MOST)))
        fed.epoch = epoch
        fed.readings.extend((now, reading) for reading in readings)
        _drop_old(fed, now)
        self._rides.move_to_end(ride)
        self._forget_old(now)

    def _forget_old(self, now: float) -> None:
        """Rides to which nothing was fed for so long."""
        while self._rides:
            ride, fed = next(iter(self._rides.items()))
            _drop_old(fed, now)
            if fed.readings:
                return
            del self._rides[ride]


def _drop_old(fed: _Fed, now: float) -> None:
    while fed.readings and fed.readings[0][0] < now - KEPT_FOR:
        fed.readings.popleft()
