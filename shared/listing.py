"""The list of a rider's workouts: what it can be sorted by, and the statement of each order."""

from enum import StrEnum
from functools import cache
from typing import Final, LiteralString

from psycopg.sql import SQL

from shared.sql import load_queries


class Sort(StrEnum):
    """What the list is sorted by. Workouts without the figure come last in either order.

    Those, and equals, are sorted by their start.
    """

    START_TIME = "startTime"
    AVG_POWER = "avgPower"
    NORMALIZED_POWER = "normalizedPower"
    TOTAL_ENERGY = "totalEnergy"
    DURATION = "duration"
    SPORT = "sport"
    STATUS = "status"


class Order(StrEnum):
    """From the latest or the highest, or the other way round."""

    DESC = "desc"
    ASC = "asc"


COLUMNS: Final[dict[Sort, LiteralString]] = {
    Sort.START_TIME: "start_time",
    Sort.AVG_POWER: "avg_power",
    Sort.NORMALIZED_POWER: "normalized_power",
    Sort.TOTAL_ENERGY: "total_energy",
    Sort.DURATION: "duration",
    Sort.SPORT: "sport",
    Sort.STATUS: "status",
}
_DIRECTIONS: Final[dict[Order, dict[str, SQL]]] = {
    Order.DESC: {"order": SQL("DESC"), "beyond": SQL("<")},
    Order.ASC: {"order": SQL("ASC"), "beyond": SQL(">")},
}
_QUERIES: Final = load_queries("workouts")
_MATCHING: Final = SQL(_QUERIES["matching_workouts"])


@cache
def list_statement(sort: Sort, order: Order) -> LiteralString:
    """The statement of a page of the list."""
    template, column = SQL(_QUERIES["list_workouts"]), SQL(COLUMNS[sort])
    return template.format(matching=_MATCHING, column=column, **_DIRECTIONS[order]).as_string()


COUNT_WORKOUTS: Final = SQL(_QUERIES["count_workouts"]).format(matching=_MATCHING).as_string()
