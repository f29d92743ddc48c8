"""What the handlers of this room share."""

from api.live.watching import Watching
from api.web.state import Request
from api.workouts.state import WorkoutsState


class LiveState(WorkoutsState):
    """Resources by name."""

    watching: Watching


LiveRequest = Request[LiveState]
