"""`from` and `to` of queries: days and times are those of the rider, unless they say otherwise."""

from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from api.identity.auth import Caller
from api.identity.profile import time_zone_or_own
from api.identity.state import IdentityState
from api.web.problems import Fault, Unprocessable
from api.web.query import read_moment

Moments = tuple[datetime | None, datetime | None]


class Bounds(Protocol):
    """A query, or a body, with both; None leaves an end open."""

    @property
    def from_(self) -> str | float | None:
        """From when."""

    @property
    def to(self) -> str | float | None:
        """Before when."""


async def moments_of(
    state: IdentityState, caller: Caller, query: Bounds, time_zone: str | None = None
) -> Moments:
    """From when, and to when. A date is the first moment of its day, so that `to` excludes it.

    What has no offset is of the time zone given, or of the caller's own, which is asked for only
    then. Raises Unprocessable for what is no moment, and for an end before the start.
    """
    start, end = read_moment(query.from_, "from"), read_moment(query.to, "to")
    if time_zone is None and any(each and each.tzinfo is None for each in (start, end)):
        time_zone = await time_zone_or_own(state, caller, None)
    return in_order(in_zone(start, time_zone), in_zone(end, time_zone))


def in_order(start: datetime | None, end: datetime | None) -> Moments:
    """The moments. Raises Unprocessable where `from` is after `to`."""
    if start and end and start > end:
        raise Unprocessable("from is after to", [Fault("is after `to`", "from")])
    return start, end


def in_zone(moment: datetime | None, time_zone: str | None) -> datetime | None:
    """The moment, in that time zone if it names none.

    A time that clocks skip is counted by the offset before: a midnight that does not exist is the
    first moment of its day. Of a time that comes twice it is the first.
    """
    if moment is None or moment.tzinfo is not None or time_zone is None:
        return moment
    return moment.replace(tzinfo=ZoneInfo(time_zone))
