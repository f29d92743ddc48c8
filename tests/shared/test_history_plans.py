"""A history is read by index only: the plans over many users' workouts, by the real schema.

Of 50,000 workouts the planner decides as of the million of `make bench`, where the share of the
user who is asked for is the same: without an index it misses the same ones in both.
"""

from collections.abc import Iterator

import pytest
from psycopg.sql import SQL, Identifier

from bench.history import PAGE, Question, answer, connect, faults_of, questions, write_history
from ops.admin import migrations
from ops.embedded.postgres import superuser_url
from ops.embedded.servers import embedded_servers
from shared.connections import DatabaseConnection
from shared.listing import Order, Sort
from tests.conftest import reachable_folder

pytestmark = pytest.mark.xdist_group("history")  # one process writes the workouts, once
WORKOUTS = 50_000
NEEDED = {
    "workouts_history": "sorts",
    "workouts_by_avg_power": "sorts",
    "workouts_by_normalized_power": "sorts",
    "workouts_by_total_energy": "sorts",
    "workouts_by_duration": "sorts",
    "workouts_by_sport": "sorts",
    "workouts_by_status": "sorts",
    "workouts_words": "does not go by workouts_words",
    "workout_curves_user": "reads all of workout_curves",
    "workout_bests_by_sport": "reads all of workout_bests",
}


@pytest.fixture(scope="module")
def connection() -> Iterator[DatabaseConnection]:
    """To a database of its own, which nobody else makes larger."""
    with reachable_folder() as folder, embedded_servers(folder) as urls:
        migrations.apply(urls["DATABASE_URL"])
        with connect(superuser_url(urls["DATABASE_URL"])) as connection:
            yield connection


@pytest.fixture(scope="module")
def asked(connection: DatabaseConnection) -> list[Question]:
    """Of the user with 250 of the workouts, five of them deleted."""
    write_history(connection, WORKOUTS)
    return questions(connection)


def faults(connection: DatabaseConnection, asked: list[Question]) -> list[str]:
    return [fault for each in asked for fault in faults_of(connection, each)]


def test_history_and_season_are_read_by_index(
    connection: DatabaseConnection, asked: list[Question]
) -> None:
    assert faults(connection, asked) == []


@pytest.mark.parametrize("index", NEEDED)
def test_an_index_that_is_gone_is_missed(
    connection: DatabaseConnection, asked: list[Question], index: str
) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute(SQL("DROP INDEX {}").format(Identifier(index)))
        assert [fault for fault in faults(connection, asked) if NEEDED[index] in fault]


def test_no_plan_is_good_for_having_nothing_to_find(
    connection: DatabaseConnection, asked: list[Question]
) -> None:
    answers = {(each.subject, each.detail): answer(connection, each) for each in asked}
    assert all(answers.values())
    ends = [rows for (subject, detail), rows in answers.items() if detail]
    assert [len(rows) for rows in ends] == [PAGE] * 2 * len(Sort) * len(Order)
    last_by_cursor = answers["last page", "by startTime desc"]
    assert last_by_cursor == answers["last page, by offset", ""]
    assert answers["number of workouts", ""] == [{"total": 245}]
