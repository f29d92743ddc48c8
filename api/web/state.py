"""What the handlers of one API process share; the rooms above extend it with their own."""

from typing import TypedDict, TypeVar

from starlette.requests import Request as StarletteRequest

from api.web.body import BodyBudget
from api.web.sending import AnswerBudget
from shared.connections import AsyncDatabase, AsyncRedis
from shared.monitoring.counts import RequestCounts
from shared.replicas import Replica
from shared.settings import Settings


class State(TypedDict):
    """Resources by name, opened by the lifespan: ``request.state["database"]``."""

    settings: Settings
    database: AsyncDatabase
    replica: Replica | None
    redis: AsyncRedis
    bodies: BodyBudget
    answers: AnswerBudget
    counts: RequestCounts


S = TypeVar("S", bound=State)


class Request(StarletteRequest[S]):
    """A request to this API, by the state that its handler needs."""

    @property
    def state(self) -> S:
        """What the handlers share, without the object that Starlette would wrap it in each time."""
        state: S = self.scope["state"]
        return state
