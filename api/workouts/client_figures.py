"""Figures that clients of the original service read in a summary, beside those of the table."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from api.workouts.store import Workout, read_short_curves
from shared.connections import AsyncDatabase


async def add_client_figures(
    database: AsyncDatabase, user_id: UUID, workouts: Sequence[Workout]
) -> None:
    """Add `powerCurve` and `trainingLoad`, which is `trainingStressScore`, to each summary."""
    summaries: dict[UUID, Any] = {each.id: each.summary for each in workouts if each.summary}
    if not summaries:
        return
    curves = await read_short_curves(database, user_id, list(summaries))
    for id_, summary in summaries.items():
        summary["powerCurve"] = curves.get(id_, [])
        summary["trainingLoad"] = summary.get("trainingStressScore")
