"""What the handlers of this room share."""

from api.files.budget import FileBudget
from api.web.state import Request
from api.workouts.state import WorkoutsState


class FilesState(WorkoutsState):
    """Resources by name."""

    files: FileBudget


FilesRequest = Request[FilesState]
