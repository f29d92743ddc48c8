"""What the handlers of this room share."""

from api.clients.listening import Listening
from api.clients.log import StreamLog
from api.clients.rides import StreamRides
from api.live.state import LiveState
from api.web.state import Request


class ClientsState(LiveState):
    """Resources by name."""

    stream_log: StreamLog
    stream_rides: StreamRides
    listening: Listening


ClientsRequest = Request[ClientsState]
