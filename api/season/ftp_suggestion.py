"""What the FTP might be, by the rider's best efforts: suggested, and never applied by itself."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct
from starlette.responses import Response

from api.identity.auth import Caller
from api.identity.profile import time_zone_or_own
from api.identity.state import IdentityRequest
from api.season import store
from api.season.period import PeriodQuery, period_of
from api.season.sport import one_or_all
from api.season.store import Period
from api.season.totals import Best, CriticalPower, best_of, critical_power_of
from api.season.weights import PerKilogram, Weights
from api.web.query import read_query
from api.web.responses import json_response
from api.web.routing import Operation, Operations
from shared.critical_power import LONGEST, SHORTEST, Effort
from shared.moments import Instant

_LONG: Final = 1200  # seconds
_SHARE: Final = 0.95
_DAYS: Final = timedelta(days=90)
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)  # no sample is older


class SuggestionQuery(PeriodQuery):
    """Which rides: by their sport and their start.

    Without `from`, those of the 90 days before the day of `to`, or this day.
    """


class FtpSuggestion(Struct, rename="camel"):
    """What the rides of a period suggest as FTP, by two methods, each with its efforts.

    Nothing is changed: `PUT /api/users/me/thresholds` gives an FTP.
    """

    sport: str
    from_: Instant | None = msgspec.field(name="from")
    to: Instant | None
    suggested_ftp: Annotated[
        float | None, Meta(description="95 % of the best 20 minutes, in watts; null without any")
    ]
    watts_per_kilogram: PerKilogram
    best_twenty_minutes: Best | None
    reason: Annotated[str | None, Meta(description="Why there is no `suggestedFtp`; null with one")]
    critical_power: Annotated[
        CriticalPower, Meta(description="As `/api/critical-power` of the same period")
    ]


async def get_ftp_suggestion(request: IdentityRequest, caller: Caller) -> Response:
    """What the FTP might be: 95 % of the best 20 minutes, and critical power."""
    state, query = request.state, read_query(request, SuggestionQuery)
    name, sport = one_or_all(query.sport)
    zone = ZoneInfo(await time_zone_or_own(state, caller, None))
    period = _recent(await period_of(state, caller, query), datetime.now(zone))
    efforts = await store.list_efforts(
        state["database"], caller.user_id, sport, SHORTEST, LONGEST, period
    )
    weights = await store.read_weights(state["database"], caller.user_id)
    return json_response(_suggestion(name, efforts, weights, period))


def _recent(period: Period, now: datetime) -> Period:
    """The period, which begins with the 90th day before its end if it has no beginning.

    Days are those of the time zone of ``now``: asked again on a day, it is the same period.
    """
    if period.start:
        return period
    day = (max(period.end or now, _EARLIEST) - _DAYS).astimezone(now.tzinfo)
    return Period(day.replace(hour=0, minute=0, second=0, microsecond=0), period.end)


def _suggestion(
    sport: str, efforts: Sequence[Effort], weights: Weights, period: Period
) -> FtpSuggestion:
    best = next((best_of(each, weights) for each in efforts if each.duration == _LONG), None)
    fit, start, end = critical_power_of(sport, efforts, weights), period.start, period.end
    if best is None:
        reason = "no ride of the period has 20 minutes of power"
        return FtpSuggestion(sport, start, end, None, None, None, reason, fit)
    ftp = round(_SHARE * best.power, 1)
    of_weight = weights.per_kilogram(_SHARE * best.power, best.started_at)
    return FtpSuggestion(sport, start, end, ftp, of_weight, best, None, fit)


OPERATIONS = Operations(
    "season",
    "Figures over many rides",
    (
        Operation(
            "GET",
            "/api/users/me/ftp-suggestion",
            get_ftp_suggestion,
            {HTTPStatus.OK: FtpSuggestion},
            "read",
            query=SuggestionQuery,
            takes_athlete=True,
        ),
    ),
)
