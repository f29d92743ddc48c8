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


@dataclass(frozen=True)
class RideRow:
    """``state``: why it has no final figures, if so. ``has_power``: there is a line to draw."""

    id: UUID
    name: str
    sport: str
    started_at: datetime
    state: str | None
    summary: dict[str, Any]
    has_power: bool


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
    )
