"""A period of a season in a sport, as queries give it."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from api.identity.auth import Caller
from api.identity.local_days import moments_of
from api.identity.state import IdentityState
from api.season.sport import SportName
from api.season.store import Period
from api.web.query import Moment
from shared.sports import CYCLING


class PeriodQuery(Struct):
    """Which rides: by their sport and their start."""

    sport: SportName = CYCLING
    from_: Annotated[Moment | None, Meta(description="Started at or after")] = msgspec.field(
        default=None, name="from"
    )
    to: Annotated[Moment | None, Meta(description="Started before")] = None


async def period_of(state: IdentityState, caller: Caller, query: PeriodQuery) -> Period:
    """Its days begin in the caller's time zone."""
    return Period(*await moments_of(state, caller, query))
