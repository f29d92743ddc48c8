"""What the list of workouts is asked: filters, the order, and a place in it."""

import base64
import re
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Generic, TypeVar, cast
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from api.identity.local_days import Moments
from api.web.problems import Fault, Unprocessable, about
from api.web.query import Moment, no_cursor, read_moment
from api.workouts.store import Status, Workout
from shared.figures import Figure, Listed
from shared.listing import COLUMNS, LISTED, Order, Sort
from shared.sports import ALL, sport_family

T = TypeVar("T")
MOST_LISTED: Final = 1000  # workouts of a page

Words = Annotated[str, Meta(max_length=200, pattern="^[^\x00]*$")]  # PostgreSQL knows no NUL
# A lone `$` would let a last newline pass.
Sport = Annotated[str, Meta(min_length=1, max_length=50, pattern=r"^[A-Za-z0-9_-]+$(?!\n)")]
_TWO_PLACES: Final = "send `page` or `cursor`, not both"
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
Start = Annotated[datetime, Meta(tz=True)]


class Listing(Struct, rename="camel"):
    """The order, the place in it: `page`, or the `nextCursor` of the page before; and filters."""

    page: Annotated[int, Meta(ge=1, le=100_000, description="Which page, without a `cursor`")] = 1
    limit: Annotated[int, Meta(ge=1, le=MOST_LISTED, description="Workouts of a page")] = 20
    cursor: Annotated[
        str | None, Meta(description="The `nextCursor` of a page with the same `sort` and `order`")
    ] = None
    sort: Annotated[Sort, Meta(description="By what they are listed")] = Sort.START_TIME
    order: Annotated[Order, Meta(description="Rising or falling")] = Order.DESC
    status: Annotated[Status | None, Meta(description="Only those in this state")] = None
    sport: Annotated[
        Sport | None, Meta(description="As the ride was called; `all` for every sport")
    ] = None
    from_: Annotated[Moment | None, Meta(description="Starts at or after")] = msgspec.field(
        default=None, name="from"
    )
    to: Annotated[Moment | None, Meta(description="Starts before")] = None
    q: Annotated[
        Words | None,
        Meta(
            description='Words of the title or description; `or`, `-without`, "in a row". '
            "Neither case nor accents matter."
        ),
    ] = None


def _range(figure: Figure, listed: Listed) -> list[tuple[str, Any, None]]:
    """The two parameters of a range."""
    bound: Any = Annotated[listed.kind, Meta(ge=0, le=listed.most)]
    least, most = (
        Annotated[bound | None, Meta(description=f"{end} `{figure.member}`, {figure.unit}")]
        for end in listed.ends
    )
    return [(f"min_{figure.name}", least, None), (f"max_{figure.name}", most, None)]


def _deprecated(kind: Any, text: str) -> Any:
    """A parameter that nobody needs who reads this document."""
    described = {"deprecated": True}
    return Annotated[kind | None, Meta(description=text, extra_json_schema=described)]


_OF_THE_ORIGINAL: Final = (
    ("user_id", str, "The caller's own, or `me`: of anybody else there are none"),
    ("start_date", Moment, "As `from`, in place of it"),
    ("end_date", Moment, "The last day or moment, itself included, in place of `to`"),
)
# Made from the table of figures. A workout without a figure is in no range of it.
ListQuery: Final = cast(
    type[Listing],
    msgspec.defstruct(
        "ListQuery",
        [member for figure, listed in LISTED.items() for member in _range(figure, listed)],
        bases=(Listing,),
        rename="camel",
    ),
)
# The same with the filters that clients of the original service know.
CompatibleListQuery: Final = cast(
    type[Listing],
    msgspec.defstruct(
        "CompatibleListQuery",
        [(name, _deprecated(kind, text), None) for name, kind, text in _OF_THE_ORIGINAL],
        bases=(ListQuery,),
        rename="camel",
    ),
)
_MEMBERS: Final = {field.name: field.encode_name for field in msgspec.structs.fields(ListQuery)}


class Place(Struct, Generic[T], array_like=True, forbid_unknown_fields=True):
    """Where a page ended: its last workout, and the order that it is a place of."""

    sort: Sort
    order: Order
    value: T
    start_time: Start
    id: UUID


def _place(listed: Listed) -> Any:
    """A place by a figure: of an integer, no more than its column can be compared with."""
    bounds = Meta(ge=0, le=listed.most) if listed.kind is int else Meta()
    value: Any = Annotated[listed.kind, bounds]
    return Place[value | None]


_PLACES: Final[dict[Sort, Any]] = {
    Sort.START_TIME: Place[Start],
    Sort.SPORT: Place[Sport],
    Sort.STATUS: Place[Status],
    **{Sort(figure.member): _place(listed) for figure, listed in LISTED.items()},
}


def with_dates(query: Any) -> Listing:
    """The query with `from` and `to` for its `startDate` and `endDate`. Raises Unprocessable."""
    asked: Listing = query
    _require_one_of(query.from_, query.start_date, ("from", "startDate"))
    _require_one_of(query.to, query.end_date, ("to", "endDate"))
    if query.start_date:
        read_moment(query.start_date, "startDate")
        asked.from_ = query.start_date
    if query.end_date:
        asked.to = _just_after(query.end_date)
    return asked


def _require_one_of(one: str | None, other: str | None, names: tuple[str, str]) -> None:
    """Raises Unprocessable for two names of one thing."""
    if one and other:
        detail = f"send `{names[0]}` or `{names[1]}`, not both"
        raise Unprocessable(detail, about(detail, *names))


def _just_after(text: str) -> str | None:
    """The first moment that is not of the day, or not within the millisecond, of the text.

    None after the last day that there can be.
    """
    moment = read_moment(text, "endDate")
    assert moment is not None  # the text is not empty  # noqa: S101
    is_day = _DAY.fullmatch(text) is not None
    length = timedelta(days=1) if is_day else timedelta(milliseconds=1)
    with suppress(OverflowError):
        return (moment + length).isoformat()
    return None


def filters_of(query: Listing, moments: Moments) -> dict[str, Any]:
    """The filters as parameters, with the moments that `from` and `to` mean.

    Raises Unprocessable for a range that ends before it begins.
    """
    filters = msgspec.structs.asdict(query)
    for figure in LISTED:
        _require_range(filters, figure.name)
    start, end = moments
    sport = None if sport_family(query.sport or ALL) == ALL else query.sport
    return {**filters, "sport": sport, "from": start, "to": end}


def place_of(query: Listing) -> dict[str, Any]:
    """The place as parameters.

    Raises Unprocessable for a cursor of another order, or of none, and for one beside a page.
    """
    if query.cursor and query.page != 1:  # 1 is what a generated client may send of itself
        raise Unprocessable(_TWO_PLACES, about(_TWO_PLACES, "page"))
    place = _read_cursor(query) if query.cursor else None
    return {
        "after_value": place and place.value,
        "after_time": place and place.start_time,
        "after_id": place and place.id,
        "after_no_value": place is not None and place.value is None,
        "offset": 0 if place else (query.page - 1) * query.limit,
    }


def next_cursor(query: Listing, found: list[Workout]) -> str | None:
    """Where the next page begins: after the last workout of this one, in the list's order."""
    if len(found) <= query.limit:
        return None
    last = found[query.limit - 1]
    place = Place(query.sort, query.order, _value_of(last, query.sort), last.start_time, last.id)
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def _require_range(filters: dict[str, Any], name: str) -> None:
    low, high = filters[f"min_{name}"], filters[f"max_{name}"]
    if low is not None and high is not None and low > high:
        member = _MEMBERS[f"min_{name}"]
        detail = f"is above {_MEMBERS[f'max_{name}']}"
        raise Unprocessable(f"{member} {detail}", [Fault(detail, member)])


def _value_of(workout: Workout, sort: Sort) -> object:
    """What the list is sorted by: a member of the workout, or else a figure of its summary."""
    column = COLUMNS[sort]
    if hasattr(workout, column):
        return getattr(workout, column)
    summary: Any = workout.summary  # a dict, whatever its type says
    return (summary or {}).get(sort)


def _read_cursor(query: Listing) -> Place[Any]:
    place: Place[Any] | None
    try:
        text = base64.urlsafe_b64decode(query.cursor or "")
        place = msgspec.json.decode(text, type=_PLACES[query.sort])
    except (ValueError, msgspec.DecodeError):
        place = None
    if place is None or (place.sort, place.order) != (query.sort, query.order):
        raise no_cursor(query.cursor)
    return place
