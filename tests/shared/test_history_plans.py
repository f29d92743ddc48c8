"""A history is read by index only: the plans over a million workouts, by the real schema."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.rows import dict_row

from bench.history_plans import Question, faults_of, plan_of, questions
from bench.history_rows import OF_HEAVY_RIDER, WORKOUTS, generate
from ops.admin import migrations
from ops.embedded.servers import embedded_servers
from shared.connections import Row
from shared.listing import Order, Sort
from tests.conftest import reachable_folder

Connection = psycopg.Connection[Row]


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    """To a database of its own, which nobody else makes larger."""
    with reachable_folder() as folder, embedded_servers(folder) as urls:
        migrations.apply(urls["DATABASE_URL"])
        with psycopg.connect(
            urls["DATABASE_URL"], autocommit=True, prepare_threshold=None, row_factory=dict_row
        ) as connection:
            yield connection


def test_history_and_season_are_read_by_index_among_a_million_workouts(
    connection: Connection,
) -> None:
    rider = generate(connection)
    asked = questions(connection, rider)
    counted = connection.execute("SELECT count(*) AS all FROM workouts").fetchone()
    assert counted == {"all": WORKOUTS}
    assert [fault for each in asked for fault in faults_of(each, plan_of(connection, each))] == []
    pages = [each for each in asked if each.sorted_by_index]
    assert len(pages) >= 6 + 2 * len(Sort) * len(Order)
    answers = {each.name: _answer(connection, each) for each in asked}
    assert all(answers.values())  # no plan is good for having nothing to find
    assert len(answers["last page, by cursor"]) == 20
    assert answers["last page, by cursor"] == answers["last page, by offset"]
    assert {len(answers[each.name]) for each in pages if each.name.startswith("by ")} == {20}
    assert answers["number of workouts"][0]["total"] == OF_HEAVY_RIDER * 49 // 50


def _answer(connection: Connection, question: Question) -> list[Row]:
    return connection.execute(question.statement.encode(), question.parameters).fetchall()
