"""What the handlers of this room share."""

from api.export.slots import Exports
from api.files.state import FilesState
from api.web.state import Request


class ExportState(FilesState):
    """Resources by name."""

    exports: Exports


ExportRequest = Request[ExportState]
