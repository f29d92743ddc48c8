"""Which dates of a season are looked at, and beside which others. Pure."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

from api.web.problems import Unprocessable

Span = Literal["90-days", "365-days", "this-year", "last-year", "all", "year-before", "days"]
Days = tuple[date, date]  # the second one excluded
Chosen = tuple[date | None, date | None]  # by the rider, both included

# What may be chosen, and what beside it, as people read it.
SPANS: Final[dict[str, dict[Span, str]]] = {
    "dates": {
        "90-days": "Last 90 days",
        "365-days": "Last 365 days",
        "this-year": "This year",
        "last-year": "Last year",
        "all": "All time",
    },
    "beside": {
        "year-before": "The year before",
        "365-days": "Last 365 days",
        "last-year": "Last year",
        "all": "All time",
    },
}
# Which are tried, one after the other, where the rider has chosen none.
OFFERED: Final[tuple[Span, ...]] = ("90-days", "365-days", "all")
_DAY: Final = timedelta(days=1)
_EARLIEST: Final = date(2000, 1, 1)  # no sample is older
_LATEST: Final = date(2100, 1, 1)


@dataclass(frozen=True)
class Spans:
    """The dates chosen, and those beside them."""

    chosen: Days
    other: Days


def beside_of(dates: Span, wanted: Span) -> Span:
    """What the dates are compared with: others than themselves.

    There is no year before all time: what is older than a year is compared with what is not.
    """
    if dates == "all" and wanted in ("all", "year-before"):
        return "365-days"
    return "year-before" if dates == wanted != "days" else wanted


def spans_of(dates: Span, beside: Span, days: Chosen, other_days: Chosen, today: date) -> Spans:
    """The dates meant by both words. Raises Unprocessable for days that are none."""
    chosen = _days(days, today) if dates == "days" else _span(dates, today)
    if beside == "days":
        return Spans(chosen, _days(other_days, today))
    return Spans(chosen, _year_before(chosen) if beside == "year-before" else _span(beside, today))


def _span(span: Span, today: date) -> Days:
    end = today + _DAY
    year = date(today.year, 1, 1)
    return {
        "365-days": (end - 365 * _DAY, end),
        "this-year": (year, end),
        "last-year": (date(today.year - 1, 1, 1), year),
        "all": (_EARLIEST, end),
    }.get(span, (end - 90 * _DAY, end))


def _days(days: Chosen, today: date) -> Days:
    first, last = days[0] or _EARLIEST, days[1] or today
    if not _EARLIEST <= first <= last < _LATEST:
        raise Unprocessable(f"first must not be after last, and both in {_EARLIEST} to {_LATEST}")
    return first, last + _DAY


def _year_before(days: Days) -> Days:
    """As many days, a year earlier."""
    first, end = (max(each - 365 * _DAY, _EARLIEST) for each in days)
    return first, end
