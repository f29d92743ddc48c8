"""A period of a season in a sport, as queries give it."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from api.identity.auth import Caller
from api.identity.profile import time_zone_or_own
from api.identity.state import IdentityState
from api.season.sport import SportName
from api.season.store import Period
from api.web.query import Moment, moment_of
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
    zone = await time_zone_or_own(state, caller, None)
    return Period(moment_of(query.from_, "from", zone), moment_of(query.to, "to", zone))
