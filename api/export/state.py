"""What the handlers of this room share."""

from api.export.slots import Exports
from api.ingest.state import IngestState
from api.web.state import Request


class ExportState(IngestState):
    """Resources by name."""

    exports: Exports


ExportRequest = Request[ExportState]
