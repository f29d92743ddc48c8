"""`make recompute`: marked rows are computed anew by the workers, while uploads go on."""

from datetime import UTC, datetime

import pytest

from ops.admin.recompute import Scope, await_recompute, mark_stale
from ops.processes import ProcessFailed
from shared.connections import Database
from tests.conftest import Rider

T0 = 1_700_000_000_000


def ride(rider: Rider) -> str:
    workout = rider.start()
    rider.upload(workout, [{"timestamp": T0 + 1000 * s, "power": 200} for s in range(60)])
    rider.complete(workout)
    return workout


def spoil(database: Database, workout: str) -> None:
    """As if an older version had computed the summary."""
    with database.connection() as connection:
        connection.execute(
            """UPDATE workouts SET summary = summary || '{"methodVersion": 0, "avgPower": 1}'
               WHERE id = %s""",
            [workout],
        )


def test_every_figure_comes_back_from_the_archive(
    rider: Rider, database: Database, database_url: str
) -> None:
    workout = ride(rider)
    right = rider.workout(workout)["summary"]
    spoil(database, workout)
    assert mark_stale(database_url, Scope(rider.account.email.upper())) == 1
    live = rider.start()
    rider.upload(live, [{"timestamp": T0, "power": 100}])
    assert rider.complete(live)["summary"]["avgPower"] == 100  # uploads go on meanwhile
    scope, seen = Scope(rider.account.email), list[int]()
    await_recompute(database_url, scope, seen.append)
    assert seen == sorted(seen, reverse=True)
    assert rider.workout(workout)["summary"] == right


def test_only_what_was_asked_for_is_computed_anew(
    rider: Rider, database: Database, database_url: str
) -> None:
    workout = ride(rider)
    after = datetime.fromtimestamp(T0 / 1000 + 1, UTC)
    assert mark_stale(database_url, Scope(rider.account.email, after)) == 0
    with pytest.raises(ProcessFailed, match="no user"):
        mark_stale(database_url, Scope("nobody@example.com"))
    with database.connection() as connection:
        row = connection.execute("SELECT stale FROM workouts WHERE id = %s", [workout]).fetchone()
    assert row == {"stale": False}


def test_waiting_for_workers_that_are_not_there_ends(
    rider: Rider, database: Database, database_url: str
) -> None:
    ride(rider)
    mark_stale(database_url, Scope(rider.account.email))
    with pytest.raises(ProcessFailed, match="no worker is at it"):
        await_recompute(database_url, Scope(rider.account.email), lambda _: None, patience=0.0)
