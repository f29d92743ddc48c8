"""What the handlers of this room share."""

from api.live.state import LiveState
from api.web.state import Request


class SharingState(LiveState):
    """Resources by name."""


SharingRequest = Request[SharingState]
