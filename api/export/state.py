"""What the handlers of this room share."""

from api.export.slots import Exports
from api.files.state import FilesState
from api.live.state import LiveState
from api.web.state import Request


class ExportState(FilesState, LiveState):
    """Resources by name."""

    exports: Exports


ExportRequest = Request[ExportState]
