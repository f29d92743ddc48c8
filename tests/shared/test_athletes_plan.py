"""A coach's screen is read by index only: days of fifty riders, without their rows."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from api.season.totals import FATIGUE_DAYS, FITNESS_DAYS, REMEMBERED_DAYS
from bench.coaching import write_athletes
from bench.history import connect
from ops.embedded.postgres import superuser_url
from shared.connections import DatabaseConnection
from shared.sql import load_queries
from tests.conftest import Rider

ATHLETES = 20
RIDES = 500


@pytest.fixture
def connection(database_url: str) -> Iterator[DatabaseConnection]:
    with connect(superuser_url(database_url)) as connection:
        yield connection


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def test_form_is_read_from_an_index_alone(
    connection: DatabaseConnection, database_url: str, rider: Rider
) -> None:
    reader = UUID(rider.account.user_id)
    write_athletes(superuser_url(database_url), str(reader), ATHLETES, RIDES)
    connection.execute("VACUUM ANALYZE workouts")
    wanted = {
        "user_id": reader,
        "fitness": float(FITNESS_DAYS),
        "fatigue": float(FATIGUE_DAYS),
        "remembered": REMEMBERED_DAYS,
    }
    explain = (
        b"EXPLAIN (ANALYZE, FORMAT JSON) " + load_queries("athletes")["list_athletes"].encode()
    )
    row = connection.execute(explain, wanted).fetchone()
    assert row is not None
    read = [each for each in nodes(row["QUERY PLAN"][0]["Plan"]) if "Relation Name" in each]
    of_rides = [each for each in read if each["Relation Name"] == "workouts"]
    form = max(of_rides, key=rows_of)
    assert (form["Node Type"], form["Index Name"]) == ("Index Only Scan", "workouts_load")
    # One a day, each athlete's begun some minutes later.
    assert rows_of(form) == pytest.approx(ATHLETES * RIDES, rel=0.01)
    of_rides.remove(form)
    assert sum(map(rows_of, of_rides)) <= 8 * ATHLETES  # the last ride, and those of a week


def rows_of(node: dict[str, Any]) -> int:
    """How many it has read, those among them that were left out again."""
    dropped = node.get("Rows Removed by Filter", 0)
    return int((node["Actual Rows"] + dropped) * node["Actual Loops"])
