"""What the handlers of one API process share, opened by the lifespan."""

from typing import TypedDict

from starlette.requests import Request as StarletteRequest

from api.export.slots import Exports
from api.identity.auth import Authenticator
from api.identity.openid import ProviderClient
from api.identity.passwords import Passwords
from api.identity.throttle import Throttle
from api.ingest.ownership import Ownerships
from api.ingest.quota import Quota
from api.ingest.stream_writer import StreamWriter
from api.web.body import BodyBudget
from shared.connections import AsyncDatabase, AsyncRedis
from shared.settings import Settings


class ApiState(TypedDict):
    """Resources by name; a request reads them as ``request.state["database"]``."""

    settings: Settings
    database: AsyncDatabase
    redis: AsyncRedis
    authenticator: Authenticator
    ownerships: Ownerships
    writer: StreamWriter
    quota: Quota
    bodies: BodyBudget
    passwords: Passwords
    throttle: Throttle
    exports: Exports
    providers: dict[str, ProviderClient]


class Request(StarletteRequest[ApiState]):
    """A request to this API."""

    @property
    def state(self) -> ApiState:
        """What the handlers share, without Starlette's wrapping: it is asked for often."""
        state: ApiState = self.scope["state"]
        return state
