"""What the handlers of this room share."""

from api.ingest.state import IngestState
from api.web.state import Request
from api.workouts.finished import Announcements
from api.workouts.streams import RideStreams


class WorkoutsState(IngestState):
    """Resources by name."""

    announcements: Announcements
    ride_streams: RideStreams


WorkoutsRequest = Request[WorkoutsState]
