"""A backup brings back what was in PostgreSQL and what was still waiting for it."""

import io
from collections.abc import Iterator
from uuid import UUID

import numpy as np
import pytest

from ops.admin import migrations
from ops.admin.accounts import create_account
from ops.admin.backup import back_up, restore
from ops.embedded.servers import embedded_servers
from ops.processes import ProcessFailed
from shared.connections import Database, Redis, open_database, open_redis
from shared.redis_keys import BATCH_FIELD, samples_key
from shared.samples import stream_codec
from shared.samples.columns import Samples
from shared.settings import Settings, read_settings
from tests.conftest import reachable_folder
from worker.jobs.fold import fold

T0 = 1_700_000_000_000


@pytest.fixture(scope="module")
def own_settings() -> Iterator[Settings]:
    """Servers that may be emptied."""
    with reachable_folder() as folder, embedded_servers(folder) as urls:
        migrations.apply(urls["DATABASE_URL"])
        yield read_settings(urls)


def add_batch(client: Redis, workout_id: UUID, first: int, count: int) -> None:
    times = T0 + 1000 * np.arange(first, first + count, dtype=np.int64)
    batch = Samples(times, {"power": np.full(count, 250.0)})
    client.xadd(samples_key(workout_id), {BATCH_FIELD: stream_codec.encode(batch)})


def start_workout(database: Database, settings: Settings) -> UUID:
    account = create_account(settings.database_url, "rider@example.com", "test")
    with database.connection() as connection:
        row = connection.execute(
            "INSERT INTO workouts (user_id) VALUES (%s) RETURNING id", [account.user_id]
        ).fetchone()
    assert row is not None
    workout_id: UUID = row["id"]
    return workout_id


def test_archived_and_waiting_samples_come_back(own_settings: Settings) -> None:
    urls = own_settings.database_url, own_settings.redis_url
    with open_database(own_settings) as database, open_redis(own_settings) as client:
        workout_id = start_workout(database, own_settings)
        add_batch(client, workout_id, 0, 60)
        fold(database, client, workout_id)
        add_batch(client, workout_id, 60, 40)
        backup = io.BytesIO()
        back_up(*urls, backup)

        with database.connection() as connection:
            connection.execute("DELETE FROM users")
        client.flushall()
        backup.seek(0)
        assert restore(*urls, backup) == 1
        fold(database, client, workout_id)
        with database.connection() as connection:
            row = connection.execute(
                "SELECT summary FROM workouts WHERE id = %s", [workout_id]
            ).fetchone()
    assert row is not None
    assert row["summary"]["sampleCount"] == 100
    assert row["summary"]["totalEnergy"] == 25  # 250 W for 100 s


def test_restoring_beside_the_same_samples_counts_nothing_twice(own_settings: Settings) -> None:
    urls = own_settings.database_url, own_settings.redis_url
    with open_database(own_settings) as database, open_redis(own_settings) as client:
        workout_id = start_workout(database, own_settings)
        add_batch(client, workout_id, 0, 60)
        backup = io.BytesIO()
        back_up(*urls, backup)
        backup.seek(0)
        restore(*urls, backup)
        assert client.xlen(samples_key(workout_id)) == 2
        fold(database, client, workout_id)
        with database.connection() as connection:
            row = connection.execute(
                "SELECT summary FROM workouts WHERE id = %s", [workout_id]
            ).fetchone()
    assert row is not None
    assert row["summary"]["sampleCount"] == 60


def test_what_is_no_backup_is_refused_and_changes_nothing(own_settings: Settings) -> None:
    urls = own_settings.database_url, own_settings.redis_url
    with pytest.raises(ProcessFailed, match="not a backup"):
        restore(*urls, io.BytesIO(b"no tar"))
    assert all(applied for _, applied in migrations.status(own_settings.database_url))
