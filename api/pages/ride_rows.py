"""A ride as a row among others."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from api.workouts.store import Status, Workout

_STATES: Final = {
    Status.ACTIVE: "Under way",
    Status.PAUSED: "Paused",
    Status.PROCESSING: "Being computed",
    Status.FAILED: "Failed",
}

# Heads of the table, and what the list is sorted by for them.
COLUMNS: Final = (
    ("Date", "startTime"),
    ("Ride", None),
    ("Power", None),
    ("Time", "duration"),
    ("Distance", None),
    ("Work", "totalEnergy"),
    ("NP", "normalizedPower"),
    ("IF", None),
    ("TSS", None),
)
_ON_PHONES: Final = frozenset({"Ride", "Power", "TSS"})
_WORDS: Final = frozenset({"Date", "Ride", "Power"})


@dataclass(frozen=True)
class Column:
    """A head of the table. ``address``: sorts by it, the other way round if it is ``sorted``."""

    name: str
    address: str | None = None
    sorted: str | None = None  # as aria-sort says it

    @property
    def is_number(self) -> bool:
        """Whether what is below is right-aligned."""
        return self.name not in _WORDS

    @property
    def is_roomy(self) -> bool:
        """Whether a phone has no room for it."""
        return self.name not in _ON_PHONES


@dataclass(frozen=True)
class RideRow:
    """``state``: why it has no final figures, if so. ``has_power``: there is a line to draw.
    ``is_live``: it can be watched.
    """

    id: UUID
    name: str
    sport: str
    started_at: datetime
    state: str | None
    summary: dict[str, Any]
    has_power: bool
    is_live: bool


def row_of(workout: Workout) -> RideRow:
    """The ride, with the figures that it has so far."""
    summary: dict[str, Any] = msgspec.to_builtins(workout.summary) or {}
    return RideRow(
        workout.id,
        workout.title or "Ride",
        workout.sport.replace("_", " ").replace("-", " ").capitalize(),
        workout.start_time,
        _STATES.get(workout.status),
        summary,
        summary.get("avgPower") is not None,
        workout.status in (Status.ACTIVE, Status.PAUSED),
    )


PLAIN_COLUMNS: Final = [Column(name) for name, _ in COLUMNS]
