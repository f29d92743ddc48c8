"""What the handlers of this room share."""

from api.export.slots import Exports
from api.files.state import FilesState
from api.sharing.state import SharingState
from api.web.state import Request


class ExportState(FilesState, SharingState):
    """Resources by name."""

    exports: Exports


ExportRequest = Request[ExportState]
