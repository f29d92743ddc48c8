"""Catching up: everything that has changed comes, in whatever order transactions commit."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from shared.connections import Database
from tests.api.answers import eventually, problem_of
from tests.api.files.ride_files import ended, send
from tests.conftest import Rider


def note(connection: Any, rider: Rider, subject: str, kind: str = "workout") -> None:
    """Write into the log as triggers do: one row a thing."""
    connection.execute(
        "SELECT note_change(%s, %s, %s, false)", [rider.account.user_id, kind, subject]
    )


@pytest.fixture
def begin(database_url: str) -> Iterator[Callable[[], psycopg.Connection[Any]]]:
    """Opens transactions that commit when the test says so."""
    opened = []

    def connect() -> psycopg.Connection[Any]:
        opened.append(psycopg.connect(database_url))
        return opened[-1]

    yield connect
    for each in opened:
        each.close()


def ask(rider: Rider, since: str | None = None, **query: Any) -> dict[str, Any]:
    asked = {**query, **({"since": since} if since else {})}
    response = rider.client.get("/api/changes", params=asked)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def catch_up(rider: Rider, since: str | None = None, **query: Any) -> tuple[list[Any], str]:
    """All that there is, and the place after it."""
    found = list[Any]()
    while True:
        answer = ask(rider, since, **query)
        found, since = [*found, *answer["changes"]], answer["cursor"]
        if not answer["more"]:
            return found, answer["cursor"]


def catch(rider: Rider, since: str, count: int) -> tuple[list[Any], str]:
    """So many changes after a place, each of which may wait for other transactions that write."""
    found = list[Any]()

    def has_come() -> bool:
        nonlocal since
        more, since = catch_up(rider, since)
        found.extend(more)
        return len(found) >= count

    eventually(has_come)
    assert len(found) == count, found
    return found, since


def settled(rider: Rider) -> str:
    """The place after all that has been done until now."""
    _, cursor = catch_up(rider)
    places = {"places": [{"name": "home", "lat": 47, "lng": 8}]}
    assert rider.client.put("/api/users/me/places", json=places).is_success

    def is_told() -> bool:
        nonlocal cursor
        found, cursor = catch_up(rider, cursor)
        return "places" in {each["kind"] for each in found}

    eventually(is_told)
    return cursor


def ids(found: list[Any]) -> list[str]:
    return [each["id"] for each in found]


def test_at_first_every_ride_and_file_comes_the_oldest_first(
    rider: Rider, database: Database
) -> None:
    """Those that were there before the log was, too."""
    rides = [rider.start(title=title) for title in "abc"]
    upload = send(rider, b"no ride")["id"]
    ended(rider, upload)
    with database.connection() as connection:
        connection.execute(
            "UPDATE workouts SET start_time = '2020-01-01T00:00Z' WHERE id = %s", [rides[2]]
        )
        connection.execute("DELETE FROM changes WHERE user_id = %s", [rider.account.user_id])
    for limit in (1, 2, 3, 4, 100):
        found, cursor = catch_up(rider, limit=limit)
        assert ids(found) == [rides[2], *rides[:2], upload]
        assert [each["kind"] for each in found] == [*["workout"] * 3, "upload"]
        assert catch_up(rider, cursor) == ([], cursor)
    assert found[0]["workout"] == rider.workout(rides[2])
    assert found[3]["upload"] == rider.client.get(f"/api/uploads/{upload}").json()["upload"]


def test_a_change_comes_once_with_what_the_thing_is_now(rider: Rider) -> None:
    ride = rider.start(title="before")
    _, cursor = catch_up(rider)
    for title in ("between", "after"):
        rider.client.patch(f"/api/workouts/{ride}", json={"title": title})
    found, later = catch(rider, cursor, 1)
    assert [(each["id"], each["workout"]["title"]) for each in found] == [(ride, "after")]
    assert catch_up(rider, later) == ([], later)


def test_what_was_deleted_is_told_without_what_it_was(rider: Rider) -> None:
    ride = rider.start()
    _, cursor = catch_up(rider)
    rider.client.delete(f"/api/workouts/{ride}")
    [change], _ = catch(rider, cursor, 1)
    assert (change["id"], change["deleted"], "workout" in change) == (ride, True, False)


def test_a_ride_that_is_gone_by_now_is_deleted_whatever_the_log_says(
    rider: Rider, database: Database
) -> None:
    _, cursor = catch_up(rider)
    with database.connection() as connection:
        note(connection, rider, str(lost := uuid4()))
    [change], _ = catch(rider, cursor, 1)
    assert (change["id"], change["deleted"]) == (str(lost), True)


def test_a_transaction_that_commits_late_is_not_missed(
    rider: Rider, begin: Callable[[], psycopg.Connection[Any]]
) -> None:
    """It began before what was read already, and has the lower number."""
    early, late = rider.start(title="early"), rider.start(title="late")
    cursor = settled(rider)
    slow, quick = begin(), begin()
    note(slow, rider, early)
    note(quick, rider, late)
    quick.commit()
    assert catch_up(rider, cursor)[0] == []  # what comes after it waits for it
    slow.commit()
    found, cursor = catch(rider, cursor, 2)
    assert ids(found) == [early, late]
    assert catch_up(rider, cursor)[0] == []


def test_a_transaction_that_is_open_at_first_is_not_missed(
    rider: Rider, begin: Callable[[], psycopg.Connection[Any]]
) -> None:
    slow = begin()
    ride = slow.execute(
        "INSERT INTO workouts (user_id, start_time) VALUES (%s, now()) RETURNING id",
        [rider.account.user_id],
    ).fetchone()
    assert ride
    found, cursor = catch_up(rider)
    assert found == []
    slow.commit()
    assert ids(catch(rider, cursor, 1)[0]) == [str(ride[0])]


def test_what_changes_while_pages_are_read_comes_again(rider: Rider) -> None:
    rides = [rider.start(title=str(nth)) for nth in range(3)]
    settled(rider)
    first = ask(rider, limit=1)
    assert ids(first["changes"]) == rides[:1]
    rider.client.patch(f"/api/workouts/{rides[0]}", json={"title": "changed"})
    rest, _ = catch(rider, first["cursor"], 3)
    assert [(each["id"], each["workout"]["title"]) for each in rest] == [
        (rides[1], "1"),
        (rides[2], "2"),
        (rides[0], "changed"),
    ]


def test_other_kinds_come_without_what_they_are(rider: Rider) -> None:
    _, cursor = catch_up(rider)
    thresholds = {"effectiveFrom": "2024-01-01", "ftp": 250}
    rider.client.put("/api/users/me/thresholds", json=thresholds)
    [change], _ = catch(rider, cursor, 1)
    del change["changedAt"]
    own = rider.account.user_id
    assert change == {"kind": "thresholds", "id": own, "deleted": False}


def test_nobody_else_s_changes_come(
    rider: Rider, make_rider: Callable[[], Rider], database: Database
) -> None:
    theirs = make_rider()
    (nothing, cursor), (_, place_of_theirs) = catch_up(rider), catch_up(theirs)
    ride = theirs.start(title="private")
    assert ids(catch(theirs, place_of_theirs, 1)[0]) == [ride]
    assert (nothing, catch_up(rider)[0], catch_up(rider, place_of_theirs)[0]) == ([], [], [])
    with database.connection() as connection:
        note(connection, rider, ride)  # as no trigger does: of what is another's nothing is told
    [change], _ = catch(rider, cursor, 1)
    assert (change["deleted"], "workout" in change) == (True, False)


@pytest.mark.parametrize(
    "since",
    ["x", "W10=", "bnVsbA==", "WyJsb2ciXQ==", "WyJsb2ciLCJ4IiwtMSwwXQ==", "é", "%00"],
)
def test_a_malformed_cursor_is_422(rider: Rider, since: str) -> None:
    problem = problem_of(rider.client.get("/api/changes", params={"since": since}), 422)
    assert problem["errors"][0]["member"] == "since"


def gone(rider: Rider, cursor: str) -> bool:
    """Whether the cursor is of another database."""
    answer = rider.client.get("/api/changes", params={"since": cursor})
    if answer.is_success:
        return False
    assert problem_of(answer, 410)["type"] == "/problems/cursor-gone"
    return True


@pytest.mark.parametrize(("at", "other"), [(1, "1.2"), (2, 2**62)])
def test_a_cursor_of_another_database_is_gone(rider: Rider, at: int, other: Any) -> None:
    """Of one that was moved, or whose transactions are set back."""
    _, cursor = catch_up(rider)
    place = json.loads(base64.urlsafe_b64decode(cursor))
    place[at] = other
    assert gone(rider, base64.urlsafe_b64encode(json.dumps(place).encode()).decode())


def test_a_cursor_of_before_a_restore_is_gone(rider: Rider, database: Database) -> None:
    """A restore makes every table anew."""
    _, cursor = catch_up(rider)
    with database.connection() as connection:
        connection.execute("ALTER TABLE changes RENAME TO former")
        connection.execute("CREATE TABLE changes (LIKE former INCLUDING ALL)")
    try:
        assert gone(rider, cursor)
    finally:
        with database.connection() as connection:
            connection.execute("DROP TABLE changes")
            connection.execute("ALTER TABLE former RENAME TO changes")
    assert not gone(rider, cursor)


def test_what_has_not_changed_is_304(rider: Rider) -> None:
    rider.start()
    _, cursor = catch_up(rider)
    answer = rider.client.get("/api/changes", params={"since": cursor})
    held = {"If-None-Match": answer.headers["etag"]}
    again = rider.client.get("/api/changes", params={"since": cursor}, headers=held)
    assert again.status_code == 304


def test_so_many_changes_come_at_a_time(rider: Rider) -> None:
    _, cursor = catch_up(rider)
    rides = [rider.start() for _ in range(3)]
    catch(rider, cursor, 3)
    answer = ask(rider, cursor, limit=2)
    assert (ids(answer["changes"]), answer["more"]) == (rides[:2], True)
    answer = ask(rider, answer["cursor"], limit=1)
    assert (ids(answer["changes"]), answer["more"]) == (rides[2:], False)
    for limit in (0, 101):
        problem_of(rider.client.get("/api/changes", params={"limit": limit}), 422)
