"""Watts per kilogram: a power over the athlete's weight on the day that it was ridden."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from msgspec import Meta

from shared.figures import DECIMALS

PerKilogram = Annotated[
    float | None, Meta(description="W/kg by the weight of that day; null without one")
]


@dataclass(frozen=True)
class Weighing:
    """Kilograms from a day on, in the user's time zone."""

    effective_from: date
    weight: float
    time_zone: str


class Weights:
    """The weights an athlete has given: each holds from its day until the next one's."""

    def __init__(self, weighings: Sequence[Weighing]) -> None:
        ordered = sorted(weighings, key=lambda each: each.effective_from)
        self._days = [each.effective_from for each in ordered]
        self._kilograms = [each.weight for each in ordered]
        self._zone = ZoneInfo(ordered[0].time_zone if ordered else "UTC")

    def per_kilogram(self, power: float, when: date | datetime) -> float | None:
        """W/kg on a day, or at a moment of it; None if no weight was given by that day."""
        day = when.astimezone(self._zone).date() if isinstance(when, datetime) else when
        known = bisect_right(self._days, day)
        return round(power / self._kilograms[known - 1], DECIMALS) if known else None
