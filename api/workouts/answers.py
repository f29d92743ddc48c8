"""What is answered about one workout: what it is after a change, or that there is no such one."""

from uuid import UUID

from msgspec import Struct

from api.identity.auth import Caller
from api.web.problems import NotFound
from api.web.state import State
from api.workouts.store import Workout, find_workout


class WorkoutChange(Struct):
    """A workout as it is after the change."""

    workout: Workout
    success: bool = True


async def require_workout(state: State, workout_id: UUID, caller: Caller) -> Workout:
    """The caller's workout. Raises NotFound."""
    workout = await find_workout(state["database"], workout_id, caller.user_id)
    if workout is None:
        raise NotFound("no such workout")
    return workout
