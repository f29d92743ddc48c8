"""What the handlers of this room need of their process."""

from api.identity.auth import Authenticator
from api.identity.openid import ProviderClient
from api.identity.passwords import Passwords
from api.identity.throttle import Throttle
from api.web.state import Request, State


class IdentityState(State):
    """Resources by name."""

    authenticator: Authenticator
    passwords: Passwords
    throttle: Throttle
    providers: dict[str, ProviderClient]


IdentityRequest = Request[IdentityState]
