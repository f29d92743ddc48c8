"""What is answered about one workout: what it is after a change, or that there is no such one."""

from uuid import UUID

from msgspec import UNSET, Struct

from api.identity.auth import Caller
from api.web.problems import NotFound, WrongState
from api.web.state import State
from api.workouts.store import Workout, find_workout


class WorkoutChange(Struct):
    """A workout as it is after the change.

    For a key without the scope `read`, title and description are null and nothing is excluded,
    cropped or removed; figures are null but for the key that has just completed the workout.
    """

    workout: Workout
    success: bool = True


def seen_by(caller: Caller, workout: Workout, *, figures: bool = False) -> Workout:
    """The workout as far as the caller's key may read it: with the scope `read`, all of it.

    A key that only uploads sees that it is there and in which state, and with ``figures`` those.
    """
    if "read" in caller.scopes:
        return workout
    workout.title = workout.description = None
    workout.excluded, workout.excluded_ranges, workout.vouched_ranges = False, [], []
    workout.crop, workout.removed_ranges = None, []
    workout.device = workout.laps = workout.pauses = UNSET
    if not figures:
        workout.end_time = workout.duration = workout.summary = None
    return workout


def require_samples(workout: Workout) -> None:
    """What changes the figures needs the samples. Raises WrongState."""
    if workout.samples_deleted_at is not UNSET:
        raise WrongState("its samples are no longer kept: its figures stay as they are")


async def require_workout(state: State, workout_id: UUID, caller: Caller) -> Workout:
    """The caller's workout. Raises NotFound."""
    workout = await find_workout(state["database"], workout_id, caller.user_id)
    if workout is None:
        raise NotFound("no such workout")
    return workout
