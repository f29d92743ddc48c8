"""What the handlers of this room need of their process."""

from api.identity.state import IdentityRequest, IdentityState

AppsState = IdentityState
AppsRequest = IdentityRequest
