"""What the handlers of this room share."""

from api.files.budget import FileBudget
from api.web.state import Request
from api.workouts.state import WorkoutsState
from shared.originals import Originals


class FilesState(WorkoutsState):
    """Resources by name."""

    files: FileBudget
    originals: Originals | None  # None where PostgreSQL has them


FilesRequest = Request[FilesState]
