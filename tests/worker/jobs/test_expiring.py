"""What is deleted when its time is over, and what stays."""

from uuid import UUID

import msgspec
import pytest

from shared.connections import Database, Redis
from shared.errors import InvalidSettings
from shared.settings import Settings, days_of, read_settings
from tests.worker.readings import steady
from tests.worker.workouts import Workouts
from worker.jobs.expiring import Expiry
from worker.jobs.fold import fold

DAY = 86_400.0


@pytest.fixture
def a_month(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, retention_samples="30d", retention_originals="40d")


def finish(workouts: Workouts, *, days_ago: float) -> UUID:
    """A ride of 100 s at 200 W that ended so many days ago."""
    ride = workouts.start()
    workouts.send(ride, steady(100, power=200))
    workouts.complete(ride)
    assert fold(workouts.database, workouts.redis, ride)
    workouts.backdate(ride, start_time=days_ago * DAY + 100, end_time=days_ago * DAY)
    return ride


def forget_other_rides(database: Database) -> None:
    with database.connection() as connection:
        connection.execute("UPDATE workouts SET end_time = now() WHERE end_time < now()")


def test_samples_of_old_rides_are_deleted_and_their_figures_stay(
    workouts: Workouts, database: Database, redis_client: Redis, a_month: Settings
) -> None:
    forget_other_rides(database)
    old, young = finish(workouts, days_ago=31), finish(workouts, days_ago=29)
    under_way = workouts.start(created_at=31 * DAY, start_time=31 * DAY)
    workouts.send(under_way, steady(10, power=200))
    fold(database, redis_client, under_way)
    before = workouts.row(old)
    assert before["sample_bytes"] == sum(len(each.data) for each in workouts.channels(old)) > 0

    assert not Expiry(database, a_month).expire()
    row = workouts.row(old)
    assert workouts.channels(old) == []
    assert row["samples_deleted_at"] is not None
    assert (row["summary"], row["sample_bytes"]) == (before["summary"], 0)
    for kept in (young, under_way):
        assert workouts.channels(kept) != []
        assert workouts.row(kept)["samples_deleted_at"] is None


def test_nothing_computes_a_ride_anew_whose_samples_are_deleted(
    workouts: Workouts, database: Database, redis_client: Redis, a_month: Settings
) -> None:
    """Neither another FTP nor a late batch: 100 s at 200 W stay 20 kJ."""
    forget_other_rides(database)
    ride = finish(workouts, days_ago=31)
    Expiry(database, a_month).expire()
    with database.connection() as connection:
        connection.execute("UPDATE workouts SET stale = true WHERE id = %s", [ride])
    workouts.send(ride, steady(10, power=900))
    assert fold(database, redis_client, ride)
    row = workouts.row(ride)
    assert row["summary"]["totalEnergy"] == 20
    assert (row["stale"], workouts.waiting(ride), workouts.channels(ride)) == (False, 0, [])


def test_a_ride_whose_figures_are_due_keeps_its_samples_until_then(
    workouts: Workouts, database: Database, redis_client: Redis, a_month: Settings
) -> None:
    forget_other_rides(database)
    ride = finish(workouts, days_ago=31)
    with database.connection() as connection:
        connection.execute("UPDATE workouts SET stale = true WHERE id = %s", [ride])
    Expiry(database, a_month).expire()
    assert workouts.channels(ride) != []


def test_it_is_done_in_portions_until_there_are_no_more(
    workouts: Workouts, database: Database, a_month: Settings
) -> None:
    forget_other_rides(database)
    rides = [finish(workouts, days_ago=days) for days in (33, 32, 31)]
    expiry = Expiry(database, a_month, portion=2)
    assert expiry.expire()
    assert [bool(workouts.channels(ride)) for ride in rides] == [False, False, True]
    assert not expiry.expire()
    assert workouts.channels(rides[2]) == []


def test_by_default_nothing_is_deleted(
    workouts: Workouts, database: Database, settings: Settings
) -> None:
    ride = finish(workouts, days_ago=4000)
    Expiry(database, settings).expire_if_due()
    assert workouts.channels(ride) != []


def add_upload(workouts: Workouts, status: str, days_ago: float) -> UUID:
    with workouts.database.connection() as connection:
        row = connection.execute(
            "INSERT INTO uploads (user_id, size, sha256, status, created_at)"
            " VALUES (%s, 3, sha256('abc'), %s, now() - make_interval(secs => %s)) RETURNING id",
            [workouts.user_id, status, days_ago * DAY],
        ).fetchone()
        assert row is not None
        connection.execute("INSERT INTO upload_files VALUES (%s, false, 'abc')", [row["id"]])
    upload_id: UUID = row["id"]
    return upload_id


def test_originals_of_files_go_once_they_were_read_and_their_rows_stay(
    workouts: Workouts, database: Database, a_month: Settings
) -> None:
    uploads = [
        add_upload(workouts, *each) for each in (("done", 41), ("queued", 41), ("failed", 39))
    ]
    Expiry(database, a_month).expire()
    with database.connection() as connection:
        kept = connection.execute(
            "SELECT uploads.id, data FROM uploads LEFT JOIN upload_files ON upload_id = uploads.id"
            " WHERE uploads.id = ANY(%s)",
            [uploads],
        ).fetchall()
    assert {row["id"]: row["data"] for row in kept} == {
        uploads[0]: None,
        uploads[1]: b"abc",
        uploads[2]: b"abc",
    }


def test_a_lifetime_is_of_days_and_no_shorter_than_a_month(settings: Settings) -> None:
    given = {"DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url}
    assert days_of(read_settings({**given, "RETENTION_SAMPLES": "365d"}).retention_samples) == 365
    for wrong in ("29d", "365", "1y", "0d"):
        with pytest.raises(InvalidSettings, match="RETENTION_SAMPLES"):
            read_settings({**given, "RETENTION_SAMPLES": wrong})
