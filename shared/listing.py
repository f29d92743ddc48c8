"""The list of a rider's workouts: what it can be sorted by, and the statement of each order."""

from enum import StrEnum
from functools import cache
from typing import Final, LiteralString

from psycopg.sql import SQL, Composed, Identifier, Placeholder

from shared.figures import FIGURES
from shared.sql import load_queries

# The list can be sorted by these, and has a range of each.
LISTED: Final = {figure: figure.listed for figure in FIGURES if figure.listed}


class Sort(StrEnum):
    """What the list is sorted by. Workouts without the figure come last in either order.

    Those, and equals, are sorted by their start.
    """

    _ignore_ = "members, figure"  # names in this body that are none of the values
    START_TIME = "startTime"
    members = vars()
    for figure in LISTED:
        members[figure.name.upper()] = figure.member
    SPORT = "sport"
    STATUS = "status"


class Order(StrEnum):
    """From the latest or the highest, or the other way round."""

    DESC = "desc"
    ASC = "asc"


COLUMNS: Final = {sort: sort.name.lower() for sort in Sort}
_DIRECTIONS: Final[dict[Order, dict[str, SQL]]] = {
    Order.DESC: {"order": SQL("DESC"), "beyond": SQL("<")},
    Order.ASC: {"order": SQL("ASC"), "beyond": SQL(">")},
}
_TYPES: Final = {int: Identifier("int4"), float: Identifier("float8")}
_QUERIES: Final = load_queries("workouts")


def _matching() -> Composed:
    """Every filter of the list: those of its own, and the range of each figure."""
    within = SQL(_QUERIES["within_range"])
    ranges = [
        within.format(
            column=Identifier(figure.name),
            type=_TYPES[listed.kind],
            least=Placeholder(f"min_{figure.name}"),
            most=Placeholder(f"max_{figure.name}"),
        )
        for figure, listed in LISTED.items()
    ]
    return SQL(_QUERIES["matching_workouts"]).format(ranges=SQL("\n    ").join(ranges))


_MATCHING: Final = _matching()


@cache
def list_statement(sort: Sort, order: Order) -> LiteralString:
    """The statement of a page of the list."""
    template, column = SQL(_QUERIES["list_workouts"]), Identifier(COLUMNS[sort])
    return template.format(matching=_MATCHING, column=column, **_DIRECTIONS[order]).as_string()


COUNT_WORKOUTS: Final = SQL(_QUERIES["count_workouts"]).format(matching=_MATCHING).as_string()
