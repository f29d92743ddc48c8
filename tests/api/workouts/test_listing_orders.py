"""The list of workouts in every order and range, beside a sort and a filter in Python."""

import random
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import pytest
from psycopg.types.json import Jsonb

from shared.connections import Database
from tests.api.answers import problem_of
from tests.conftest import Rider

Ride = dict[str, Any]

FIGURES: Final = ("avgPower", "normalizedPower", "totalEnergy")
SORTS: Final = ("startTime", *FIGURES, "duration", "sport", "status")
STATUSES: Final = ("ACTIVE", "PAUSED", "PROCESSING", "COMPLETED", "ARCHIVED", "FAILED")
LASTING: Final = tuple(each for each in STATUSES if each != "PROCESSING")  # which workers end
RANGES: Final = {
    "AvgPower": "avgPower",
    "NormalizedPower": "normalizedPower",
    "TotalEnergy": "totalEnergy",
    "Duration": "duration",
}
ID: Final = "6f1c1f0a-7f83-4d5e-9d55-0d5f6f0e8a11"
NOON: Final = "2024-05-01T12:00:00Z"


def insert(database: Database, rider: Rider, **members: Any) -> Ride:
    """A workout as the list shows it; ``summary`` and ``duration`` are as a fold writes them."""
    ride: Ride = {"status": "COMPLETED", "sport": "cycling", "startTime": datetime.now(UTC)}
    ride |= {"duration": None, "summary": None, "title": None, **members}
    summary = ride["summary"]
    with database.connection() as connection:
        row = connection.execute(
            """
            INSERT INTO workouts (user_id, status, sport, start_time, duration, summary, title)
            VALUES (%(user)s, %(status)s, %(sport)s, %(startTime)s, %(duration)s, %(json)s,
                %(title)s)
            RETURNING id
            """,
            {
                **ride,
                "user": rider.account.user_id,
                "json": ride["summary"] and Jsonb(ride["summary"]),
            },
        ).fetchone()
    assert row
    return {**ride, "id": str(row["id"]), **(summary or {})}


def random_ride(chance: random.Random) -> Ride:
    """Of few values, so that many are equal, and with gaps."""

    def maybe(value: float) -> float | None:
        return None if chance.random() < 0.25 else value

    figures = {name: maybe(chance.choice((0, 0.1, 150, 200.5))) for name in FIGURES}
    start = datetime(2024, 5, 1, tzinfo=UTC) + timedelta(microseconds=chance.randrange(5))
    return {
        "status": chance.choice(LASTING),
        "sport": chance.choice(("cycling", "gravel", "running")),
        "startTime": start,
        "duration": maybe(chance.choice((0, 60, 3600))),
        "summary": chance.choice((figures, figures, figures, {"avgPower": 150}, None)),
        "title": chance.choice(("Hill", "Polder", None)),
    }


def walk(rider: Rider, **query: Any) -> Iterator[Ride]:
    """Every workout, page by page; the first page's total must be their number."""
    place: dict[str, Any] = {}
    walked, total = 0, None
    while place.get("cursor", "") is not None:
        response = rider.client.get("/api/workouts", params={**query, **place})
        assert response.status_code == 200, response.text
        page = response.json()
        yield from page["workouts"]
        walked += len(page["workouts"])
        total = page["pagination"].get("total", total)
        place = {"cursor": page["pagination"]["nextCursor"]}
    assert walked == total


def in_order(rides: list[Ride], sort: str, order: str) -> list[str]:
    """The ids that the list must give."""

    def key(ride: Ride) -> tuple[Any, ...]:
        value = ride.get(sort)
        if sort == "status":
            value = STATUSES.index(ride["status"])
        return value, ride["startTime"], ride["id"]

    with_value = [ride for ride in rides if ride.get(sort) is not None]
    without = [ride for ride in rides if ride.get(sort) is None]
    parts = (sorted(with_value, key=key), sorted(without, key=lambda ride: key(ride)[1:]))
    return [ride["id"] for part in parts for ride in (part if order == "asc" else part[::-1])]


def random_filter(chance: random.Random) -> tuple[dict[str, Any], Callable[[Ride], bool]]:
    """Parameters, and what they let pass."""
    end, figure = chance.choice(list(RANGES.items()))
    low, high = sorted(chance.choices((0, 60, 150, 200, 3600), k=2))
    within = {f"min{end}": low, f"max{end}": high}
    sport, status = chance.choice(("cycling", "gravel")), chance.choice(LASTING)
    choices: list[tuple[dict[str, Any], Callable[[Ride], bool]]] = [
        (within, lambda ride: ride.get(figure) is not None and low <= ride[figure] <= high),
        ({f"min{end}": low}, lambda ride: ride.get(figure) is not None and low <= ride[figure]),
        ({f"max{end}": high}, lambda ride: ride.get(figure) is not None and ride[figure] <= high),
        ({"sport": sport}, lambda ride: ride["sport"] == sport),
        ({"status": status}, lambda ride: ride["status"] == status),
        ({"q": "hill"}, lambda ride: ride["title"] == "Hill"),
        ({}, lambda ride: bool(ride)),
    ]
    return chance.choice(choices)


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_cursors_walk_what_matches_in_order_each_workout_once(
    rider: Rider, database: Database, sort: str, order: str
) -> None:
    chance = random.Random(f"{sort} {order}")
    rides = [insert(database, rider, **random_ride(chance)) for _ in range(40)]
    for _ in range(12):
        parameters, passes = random_filter(chance)
        limit = chance.choice((1, 2, 3, 7, 40))
        walked = walk(rider, sort=sort, order=order, limit=limit, **parameters)
        expected = in_order([ride for ride in rides if passes(ride)], sort, order)
        assert [ride["id"] for ride in walked] == expected, parameters


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_give_the_same_order_as_cursors(
    rider: Rider, database: Database, sort: str, order: str
) -> None:
    chance = random.Random(f"pages {sort} {order}")
    rides = [insert(database, rider, **random_ride(chance)) for _ in range(20)]
    query: dict[str, Any] = {"sort": sort, "order": order, "limit": 3}
    pages = [
        rider.client.get("/api/workouts", params={**query, "page": page}).json()
        for page in range(1, 8)
    ]
    found = [ride["id"] for page in pages for ride in page["workouts"]]
    assert found == in_order(rides, sort, order)


def test_equal_and_unmeasured_rides_come_newest_first(rider: Rider, database: Database) -> None:
    days = [datetime(2024, 5, day, tzinfo=UTC) for day in (1, 2, 3, 4)]
    old, new = (insert(database, rider, startTime=day) for day in days[:2])
    strong = {"avgPower": 300}
    strong_old, strong_new = (
        insert(database, rider, startTime=day, summary=strong) for day in days[2:]
    )
    found = [ride["id"] for ride in walk(rider, sort="avgPower", limit=1)]
    assert found == [ride["id"] for ride in (strong_new, strong_old, new, old)]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_walk_does_not_stumble_over_rides_added_meanwhile(
    rider: Rider, database: Database, order: str
) -> None:
    known = [insert(database, rider, summary={"avgPower": power}) for power in (100, 200, 300)]
    known += [insert(database, rider) for _ in range(3)]
    found = [ride["id"] for ride in walk_while_adding(rider, database, order)]
    expected = in_order(known, "avgPower", order)
    assert [one for one in found if one in expected] == expected
    assert len(found) == len(set(found))


def walk_while_adding(rider: Rider, database: Database, order: str) -> Iterator[Ride]:
    query: dict[str, Any] = {"sort": "avgPower", "order": order, "limit": 1}
    while query.get("cursor", "") is not None:
        page = rider.client.get("/api/workouts", params=query).json()
        yield from page["workouts"]
        query["cursor"] = page["pagination"]["nextCursor"]
        # Behind the place in either order: were it before, the walk would have no end.
        insert(database, rider, summary={"avgPower": 0 if order == "asc" else 400})


def test_a_ride_without_the_figure_is_in_no_range_of_it(rider: Rider, database: Database) -> None:
    insert(database, rider)
    measured = insert(database, rider, summary={"avgPower": 0})
    for query in ({"minAvgPower": 0}, {"maxAvgPower": 10_000}):
        assert [ride["id"] for ride in walk(rider, **query)] == [measured["id"]]


@pytest.mark.parametrize("name", RANGES)
def test_a_range_includes_its_ends_and_may_not_be_turned_round(rider: Rider, name: str) -> None:
    turned = {f"min{name}": 2, f"max{name}": 1}
    problem = problem_of(rider.client.get("/api/workouts", params=turned), 422)
    assert problem["detail"] == f"min{name} is above max{name}"
    assert problem["errors"] == [{"detail": f"is above max{name}", "member": f"min{name}"}]
    point = {f"min{name}": 1, f"max{name}": 1}
    assert rider.client.get("/api/workouts", params=point).status_code == 200


@pytest.mark.parametrize("end", ["min", "max"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in RANGES for value in ("-1", "nan", "inf", "1e400", "x")),
        ("AvgPower", "10000.1"),
        ("NormalizedPower", "10000.1"),
        ("TotalEnergy", "1000000001"),
        ("Duration", "2147483648"),
        ("Duration", "1.5"),
    ],
)
def test_a_bound_that_is_no_measure_is_named(rider: Rider, end: str, name: str, value: str) -> None:
    response = rider.client.get("/api/workouts", params={end + name: value})
    assert problem_of(response, 422)["errors"][0]["member"] == end + name


@pytest.mark.parametrize(("name", "value"), [("sort", "title"), ("sort", "x"), ("order", "up")])
def test_an_order_that_is_none_is_named(rider: Rider, name: str, value: str) -> None:
    response = rider.client.get("/api/workouts", params={name: value})
    assert problem_of(response, 422)["errors"][0]["member"] == name


def refuses(rider: Rider, **query: str) -> None:
    problem = problem_of(rider.client.get("/api/workouts", params=query), 422)
    assert problem["detail"].endswith("is not a nextCursor of this list")


def test_a_cursor_is_of_its_sort_and_order_only(rider: Rider) -> None:
    for _ in range(2):
        rider.start()
    for sort in SORTS:
        query = {"sort": sort, "limit": 1}
        page = rider.client.get("/api/workouts", params=query).json()
        cursor = page["pagination"]["nextCursor"]
        for other in set(SORTS) - {sort}:
            refuses(rider, sort=other, cursor=cursor)
        refuses(rider, sort=sort, order="asc", cursor=cursor)


@pytest.mark.parametrize(
    ("sort", "place"),
    [
        ("avgPower", '"NaN"'),
        ("avgPower", "NaN"),
        ("avgPower", "1e400"),
        ("avgPower", "9" * 400),
        ("avgPower", "[]"),
        ("duration", "2147483648"),
        ("duration", "-1"),
        ("duration", "1.5"),
        ("sport", "null"),
        ("sport", r'"a\u0000"'),
        ("sport", r'"\ud800"'),
        ("status", '"DELETED"'),
        ("status", '"x"'),
        ("startTime", "null"),
        ("startTime", '"2024-05-01T12:00:00"'),
        ("startTime", '"99999-05-01T12:00:00Z"'),
    ],
)
def test_a_cursor_of_no_such_value_is_refused(rider: Rider, sort: str, place: str) -> None:
    text = f'["{sort}","desc",{place},"{NOON}","{ID}"]'
    refuses(rider, sort=sort, cursor=encoded(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "[" * 20_000,
        f'["startTime","desc","{NOON}","{NOON}"]',
        f'["startTime","desc","{NOON}","{NOON}","{ID}x"]',
        f'["startTime","desc","{NOON}","{NOON}","{ID}",{"[" * 20_000}',
        f'["startTime","desc","{NOON}","{NOON}","{ID}",1]',
        f'["title","desc","{NOON}","{NOON}","{ID}"]',
    ],
    ids=lambda text: text[:40],
)
def test_a_cursor_that_was_never_given_is_refused(rider: Rider, text: str) -> None:
    refuses(rider, cursor=encoded(text) or "=")


def test_a_cursor_at_the_ends_of_what_is_thinkable_is_a_place(rider: Rider) -> None:
    for sort, value in (
        ("avgPower", 1.7e308),
        ("avgPower", -5e-324),
        ("duration", 2**31 - 1),
        ("startTime", "9999-12-31T23:59:59-10:00"),
        ("startTime", "0001-01-01T00:00:00+10:00"),
    ):
        for moment in ("0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00"):
            place = msgspec.json.encode([sort, "desc", value, moment, ID]).decode()
            query = {"sort": sort, "cursor": encoded(place)}
            assert rider.client.get("/api/workouts", params=query).status_code == 200


def encoded(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode()
