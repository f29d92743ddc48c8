import re
from importlib.resources import files

import pytest

from shared.connections import Database
from shared.listing import COUNT_WORKOUTS, Order, Sort, list_statement
from shared.sql import load_queries

TOPICS = sorted(path.name[:-4] for path in files("shared.sql").iterdir() if ".sql" in path.name)
QUERIES = {
    f"{topic}.{name}": query for topic in TOPICS for name, query in load_queries(topic).items()
}
# The statements of the list are made from these.
for part in ("list_workouts", "count_workouts", "matching_workouts", "within_range"):
    del QUERIES[f"workouts.{part}"]
QUERIES |= {"workouts.count_workouts": COUNT_WORKOUTS}
QUERIES |= {
    f"workouts.list_workouts by {sort} {order}": list_statement(sort, order)
    for sort in Sort
    for order in Order
}


def test_every_query_of_a_file_is_loaded() -> None:
    for topic in TOPICS:
        text = (files("shared.sql") / f"{topic}.sql").read_text()
        assert len(load_queries(topic)) == text.count("-- name:") > 0


def test_a_query_is_its_statement_and_nothing_of_the_next() -> None:
    assert load_queries("users")["touch_keys"] == (
        "-- Note that keys have just been used. Written in batches, off the request path.\n"
        "UPDATE api_keys SET last_used_at = now() WHERE id = ANY(%(ids)s)"
    )


@pytest.mark.parametrize(
    "topic",
    [
        *("workouts", "season", "records", "riders", "ingest", "health", "uploads", "imports"),
        *("live", "shares", "clients", "own_webhooks", "changes", "athletes", "apps"),
    ],
)
def test_every_query_has_its_line_of_intent(topic: str) -> None:
    bare = [name for name, query in load_queries(topic).items() if not query.startswith("-- ")]
    assert bare == []


@pytest.mark.parametrize("name", QUERIES)
def test_postgresql_can_plan_every_query(database: Database, name: str) -> None:
    query = QUERIES[name]
    parameters = dict.fromkeys(re.findall(r"%\((\w+)\)[sb]", query))
    with database.connection() as connection:
        plan = connection.execute(f"EXPLAIN {query}", parameters).fetchall()
    assert plan


# Those that need no user: asked by the workers or by ops.
OF_NO_USER = {"workouts.read_channels", "riders.find_user", "riders.mark_stale"}
OF_NO_USER |= {"athletes.note_reads", "shares.find_share", "shares.find_shut_shares"}
OF_NO_USER |= {"ingest.find_access_changes", "ingest.purge_access_changes"}
OF_NO_USER |= {"riders.count_marked", "uploads.keep_file", "uploads.note_object"}
OF_NO_USER |= {"changes.get_log"}
OF_USERS = (
    *("workouts", "riders", "season", "ingest", "uploads", "shares", "clients"),
    *("own_webhooks", "changes", "athletes"),
)


@pytest.mark.parametrize("name", [name for name in QUERIES if name.partition(".")[0] in OF_USERS])
def test_every_query_of_the_api_over_a_users_rows_carries_the_user(name: str) -> None:
    assert ("%(user_id)s" in QUERIES[name]) == (name not in OF_NO_USER)
