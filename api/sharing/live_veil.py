"""A ride under way as others see it: nobody knows yet where it will end. Pure.

So positions are held back until the rider is far enough away; then they are shown, unless they lie
in a circle. Odometers are left out.
"""

from collections.abc import Sequence
from copy import copy
from typing import Any, Final

import numpy as np

from api.sharing.figures import running_without_hints
from api.sharing.hiding import (
    EVERYWHERE,
    HIDDEN,
    MOST_ENDS,
    PAUSE,
    Circle,
    Fix,
    Trail,
    end_circle,
    find_hidden,
    fixes,
)
from api.sharing.wire import MOST_PLACES
from shared.samples.columns import BoolArray, Samples, concatenate, merge, no_samples

_LATER: Final = ("lat", "lng", "speed")


class LiveVeil:
    """``circles``: of named places; ``metres``: how far around its ends nothing is shown."""

    holds_back = True

    def __init__(self, circles: Sequence[Circle], metres: float, salt: bytes) -> None:
        self._circles = list(circles)
        self._metres = metres
        self._salt = salt
        self._trail = Trail(metres, salt)
        self._latest: Fix | None = None
        self._held = no_samples()  # positions that are not shown yet

    def copy(self) -> "LiveVeil":
        """One that has seen the same, and goes on by itself."""
        other = copy(self)
        other._circles, other._trail = list(self._circles), copy(self._trail)
        return other

    def samples(self, samples: Samples) -> Samples:
        """The samples without their positions, and with them those that need not wait any more."""
        plain = {name: each for name, each in samples.channels.items() if name not in HIDDEN}
        self._note_ends(samples)
        self._trail.extend(*fixes(samples))
        self._hold(samples)
        free = self._are_free()
        shown = self._held.select(free)
        self._held = self._held.select(~free)
        shown = shown.select(~find_hidden(shown, self._circles))
        return merge(concatenate([Samples(samples.timestamps, plain), shown]))

    def figures(self, figures: Any) -> Any:
        """Without what tells of the rider's body, and of the way through what is hidden."""
        return running_without_hints(figures)

    def _note_ends(self, samples: Samples) -> None:
        """Where the ride began, and both ends of a pause, are hidden from now on."""
        times, lat, lng = fixes(samples)
        if not len(times):
            return
        latest = self._latest
        if latest is None:
            self._hide_end((int(times[0]), float(lat[0]), float(lng[0])))
        elif times[0] - latest[0] > PAUSE:
            self._hide_end(latest)
            self._hide_end((int(times[0]), float(lat[0]), float(lng[0])))
        pauses = np.flatnonzero(np.diff(times) > PAUSE)[: MOST_ENDS + 1]
        for at in np.concatenate((pauses, pauses + 1)).tolist():
            self._hide_end((int(times[at]), float(lat[at]), float(lng[at])))
        if latest is None or times[-1] > latest[0]:
            self._latest = int(times[-1]), float(lat[-1]), float(lng[-1])

    def _hide_end(self, fix: Fix) -> None:
        if len(self._circles) > MOST_ENDS + MOST_PLACES:
            self._circles = [EVERYWHERE]
        elif self._metres and EVERYWHERE not in self._circles:
            self._circles.append(end_circle(fix[1], fix[2], self._metres, self._salt))

    def _hold(self, samples: Samples) -> None:
        """Those without a position are left out: their speed is never shown."""
        named = {name: each for name, each in samples.channels.items() if name in _LATER}
        fixed = np.isin(samples.timestamps, fixes(samples)[0])
        fresh = Samples(samples.timestamps, named).select(fixed)
        self._held = merge(concatenate([self._held, fresh]))

    def _are_free(self) -> BoolArray:
        """Which positions lie so far behind that an end here would not hide them."""
        near = self._trail.circle()
        if near is None:
            return np.ones(len(self._held), bool)
        return ~near.contains(self._held.channel("lat"), self._held.channel("lng"))
