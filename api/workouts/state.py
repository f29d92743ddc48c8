"""What the handlers of this room share."""

from api.ingest.state import IngestState
from api.web.state import Request
from api.workouts.finished import Announcements


class WorkoutsState(IngestState):
    """Resources by name."""

    announcements: Announcements


WorkoutsRequest = Request[WorkoutsState]
