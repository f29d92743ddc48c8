"""What the handlers of this room share."""

from api.identity.state import IdentityState
from api.ingest.ownership import Ownerships
from api.ingest.quota import Quota
from api.ingest.ride_sizes import RideSizes
from api.ingest.sockets import Sockets
from api.ingest.stream_writer import StreamWriter
from api.ingest.unknown import FirstBatches
from api.ingest.waiting import WaitingBytes
from api.web.state import Request


class IngestState(IdentityState):
    """Resources by name."""

    ownerships: Ownerships
    writer: StreamWriter
    quota: Quota
    sockets: Sockets
    ride_sizes: RideSizes
    waiting: WaitingBytes
    first_batches: FirstBatches


IngestRequest = Request[IngestState]
