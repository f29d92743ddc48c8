"""What the handlers of this room share."""

from api.export.slots import Exports
from api.web.state import Request
from api.workouts.state import WorkoutsState


class ExportState(WorkoutsState):
    """Resources by name."""

    exports: Exports


ExportRequest = Request[ExportState]
