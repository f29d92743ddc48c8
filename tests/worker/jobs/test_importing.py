"""Imports: in whose turn, what each leaves behind, and what becomes of one that is given up."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from ops.admin.accounts import create_account
from shared.connections import Database, Redis, Row
from shared.events import ImportRequest
from shared.failpoints import Failed
from shared.redis_keys import GROUP, SLOW_FILE, Queue, asked_key
from shared.settings import Settings
from shared.uploads import pack
from tests.api.files.ride_files import fit, gpx, tcx, zip_of
from worker.files.reader import ReaderKilled
from worker.files.slow import SlowSlot
from worker.jobs.dispatch import Dispatcher
from worker.jobs.importing import ImportJob
from worker.jobs.sweep import Sweeper
from worker.queue.dead_letters import letter_about
from worker.queue.lane import Delivery


class Uploads:
    """The uploads of one user, as the API stores them."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        account = create_account(settings.database_url, f"{uuid4()}@example.com", "test")
        self.user_id = account.user_id

    def add(self, data: bytes, on_duplicate: str = "reject") -> UUID:
        """A file that waits for its import."""
        original = pack(data)
        with self._database.connection() as connection:
            row = connection.execute(
                "INSERT INTO uploads (user_id, size, sha256, on_duplicate)"
                " VALUES (%s, %s, %s, %s) RETURNING id",
                [self.user_id, len(data), sha256(data).digest(), on_duplicate],
            ).fetchone()
            assert row
            connection.execute(
                "INSERT INTO upload_files VALUES (%s, %s, %s)",
                [row["id"], original.compressed, original.data],
            )
        upload_id: UUID = row["id"]
        return upload_id

    def row(self, upload_id: UUID) -> Row:
        with self._database.connection() as connection:
            row = connection.execute(
                "SELECT * FROM shown_uploads WHERE id = %s", [upload_id]
            ).fetchone()
        assert row
        return row

    def workouts(self) -> list[Row]:
        with self._database.connection() as connection:
            return connection.execute(
                "SELECT * FROM workouts WHERE user_id = %s ORDER BY created_at", [self.user_id]
            ).fetchall()


Another = Callable[[], Uploads]


@pytest.fixture
def another(database: Database, redis_client: Redis, settings: Settings) -> Another:
    """The uploads of further users."""
    return lambda: Uploads(database, settings)


@pytest.fixture
def uploads(another: Another) -> Uploads:
    return another()


@pytest.fixture(autouse=True)
def nothing_due(database: Database) -> None:
    """What other tests have left is over."""
    with database.connection() as connection:
        connection.execute("UPDATE uploads SET status = 'failed' WHERE status <> 'done'")


def make_job(database: Database, client: Redis, settings: Settings, **changed: Any) -> ImportJob:
    return ImportJob(database, client, msgspec.structs.replace(settings, **changed))


@pytest.fixture
def job(database: Database, redis_client: Redis, settings: Settings) -> Iterator[ImportJob]:
    job = make_job(database, redis_client, settings)
    yield job
    job.close()


def event_of(upload_id: UUID) -> dict[bytes, bytes]:
    return {
        name.encode(): value.encode() for name, value in ImportRequest(upload_id).fields().items()
    }


def asked(client: Redis) -> list[UUID]:
    entries: Any = client.xrange(Queue.IMPORTS)
    return [ImportRequest.from_fields(fields).upload_id for _, fields in entries]


# In whose turn.


def test_one_user_s_thousand_files_stand_behind_another_s_first(
    another: Another, dispatcher: Dispatcher, redis_client: Redis
) -> None:
    greedy, modest = another(), another()
    many = [greedy.add(b"%d" % number) for number in range(100)]
    dispatcher.dispatch()
    first = asked(redis_client)
    assert set(first) < set(many)  # the stream is kept short
    last = modest.add(b"one")
    redis_client.xtrim(Queue.IMPORTS, 0)
    dispatcher.dispatch()
    assert last in asked(redis_client)


def test_an_import_is_asked_for_once_while_its_event_waits_or_is_in_hand(
    uploads: Uploads, dispatcher: Dispatcher, redis_client: Redis
) -> None:
    upload = uploads.add(gpx(60))
    dispatcher.dispatch()
    dispatcher.dispatch()
    assert asked(redis_client) == [upload]
    redis_client.xgroup_create(Queue.IMPORTS, GROUP, id="0", mkstream=True)
    redis_client.xreadgroup(GROUP, "somebody", {Queue.IMPORTS: ">"})
    redis_client.delete(asked_key(upload, Queue.IMPORTS))
    dispatcher.dispatch()
    assert asked(redis_client) == [upload]


# What it leaves behind.


def test_an_import_that_is_repeated_changes_nothing(uploads: Uploads, job: ImportJob) -> None:
    upload = uploads.add(gpx(600, power=200))
    assert job.run(event_of(upload))
    (workout,) = uploads.workouts()
    assert not job.run(event_of(upload))
    assert uploads.workouts() == [workout]
    assert uploads.row(upload)["workout_ids"] == [workout["id"]]


def test_a_file_that_gives_no_ride_is_read_once(uploads: Uploads, job: ImportJob) -> None:
    upload = uploads.add(b"no ride")
    assert job.run(event_of(upload))
    assert not job.run(event_of(upload))


def test_an_upload_that_is_gone_is_nothing_to_do(job: ImportJob) -> None:
    assert not job.run(event_of(uuid4()))


def test_a_file_whose_bytes_are_gone_fails(
    uploads: Uploads, job: ImportJob, database: Database
) -> None:
    upload = uploads.add(gpx(60))
    with database.connection() as connection:
        connection.execute("DELETE FROM upload_files WHERE upload_id = %s", [upload])
    job.run(event_of(upload))
    assert (uploads.row(upload)["status"], uploads.workouts()) == ("failed", [])


def test_the_same_ride_imported_at_the_same_time_by_two_workers_is_one_workout(
    uploads: Uploads, database: Database, redis_client: Redis, settings: Settings
) -> None:
    """Whoever comes second waits, and then sees the first one's."""
    jobs = [make_job(database, redis_client, settings) for _ in range(2)]
    sent = [uploads.add(fit(600)), uploads.add(tcx(600))]
    with ThreadPoolExecutor(2) as threads:
        done = [
            threads.submit(job.run, event_of(each)) for job, each in zip(jobs, sent, strict=True)
        ]
        assert [each.result() for each in done] == [True, True]
    for job in jobs:
        job.close()
    assert {uploads.row(each)["status"] for each in sent} == {"done", "duplicate"}
    assert len(uploads.workouts()) == 1


def test_a_file_that_two_workers_take_at_the_same_time_is_imported_once(
    uploads: Uploads, database: Database, redis_client: Redis, settings: Settings
) -> None:
    """As after a lease that ran out: both read it, and one writes."""
    jobs = [make_job(database, redis_client, settings) for _ in range(2)]
    upload = uploads.add(fit(600), "keep")
    with ThreadPoolExecutor(2) as threads:
        done = list(threads.map(lambda job: job.run(event_of(upload)), jobs))
    for job in jobs:
        job.close()
    assert len(uploads.workouts()) == 1
    assert True in done
    assert uploads.row(upload)["status"] == "done"


def test_a_file_that_eats_memory_fails_and_the_next_one_goes_in(
    uploads: Uploads, database: Database, redis_client: Redis, settings: Settings
) -> None:
    job = make_job(database, redis_client, settings, max_import_bytes=32 << 20)
    large, small = uploads.add(tcx(100_000)), uploads.add(tcx(10))
    job.run(event_of(large))
    assert "more memory than it may" in uploads.row(large)["reason"]
    job.run(event_of(small))
    assert uploads.row(small)["status"] == "done"
    job.close()


def test_a_ride_of_more_samples_than_may_be_fails_and_leaves_nothing(
    uploads: Uploads, database: Database, redis_client: Redis, settings: Settings
) -> None:
    job = make_job(database, redis_client, settings, max_ride_samples=50)
    upload = uploads.add(gpx(60))
    job.run(event_of(upload))
    assert "50 readings" in uploads.row(upload)["reason"]
    assert uploads.workouts() == []
    job.close()


def test_who_has_as_many_workouts_as_may_be_gets_no_further(
    uploads: Uploads, database: Database, redis_client: Redis, settings: Settings
) -> None:
    job = make_job(database, redis_client, settings, max_rides=1)
    first, second = uploads.add(gpx(60)), uploads.add(gpx(60, 1_600_000_000_000))
    job.run(event_of(first))
    job.run(event_of(second))
    assert "1 workouts" in uploads.row(second)["reason"]
    assert len(uploads.workouts()) == 1
    job.close()


def test_a_zip_whose_expansion_is_repeated_has_each_file_once(
    uploads: Uploads, job: ImportJob
) -> None:
    upload = uploads.add(zip_of(a__gpx=gpx(60), b__gpx=gpx(70)))
    assert job.run(event_of(upload))
    assert not job.run(event_of(upload))
    assert uploads.row(upload)["members"] == {"queued": 2}
    assert uploads.row(upload)["status"] == "processing"


def test_an_import_that_is_given_up_says_so_to_its_user(uploads: Uploads, job: ImportJob) -> None:
    upload = uploads.add(gpx(60))
    delivery = Delivery(Queue.IMPORTS, uuid4().hex.encode(), event_of(upload), 5)
    for _ in range(2):
        job.give_up(letter_about(delivery, Failed("a bug")))
    row = uploads.row(upload)
    assert (row["status"], "may be sent again" in row["reason"]) == ("failed", True)
    assert job.run(event_of(upload))  # as a replay asks for it
    assert uploads.row(upload)["status"] == "done"


def test_a_slow_file_waits_for_another_one_that_is_being_read(
    uploads: Uploads,
    database: Database,
    redis_client: Redis,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is known as slow then: not even a worker that has more patience begins it."""
    job = make_job(database, redis_client, settings, slow_import_seconds=1, max_import_seconds=3)
    patient = make_job(database, redis_client, settings, slow_import_seconds=1000)
    upload = uploads.add(gpx(60))
    monkeypatch.setenv("FAILPOINT", "while-reading=spin")
    with SlowSlot(redis_client, after=0).watch(uuid4()):
        assert not job.run(event_of(upload))
        monkeypatch.delenv("FAILPOINT")
        assert not patient.run(event_of(upload))
        assert uploads.row(upload)["status"] == "processing"
    assert patient.run(event_of(upload))
    assert uploads.row(upload)["status"] == "done"
    assert not redis_client.exists(SLOW_FILE)
    job.close()
    patient.close()


def test_a_zip_that_is_slow_to_unpack_waits_as_well(
    uploads: Uploads,
    database: Database,
    redis_client: Redis,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = make_job(database, redis_client, settings, slow_import_seconds=1, max_import_seconds=3)
    upload = uploads.add(zip_of(a__gpx=gpx(60), b__gpx=gpx(70)))
    monkeypatch.setenv("FAILPOINT", "while-reading=spin")
    with SlowSlot(redis_client, after=0).watch(uuid4()):
        assert not job.run(event_of(upload))
    monkeypatch.delenv("FAILPOINT")
    assert job.run(event_of(upload))
    assert uploads.row(upload)["members"] == {"queued": 2}
    job.close()


@pytest.mark.parametrize("make", [gpx, lambda seconds: zip_of(a__gpx=gpx(seconds))])
def test_a_file_whose_reading_process_is_killed_is_left_to_a_later_delivery(
    uploads: Uploads,
    job: ImportJob,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[int], bytes],
) -> None:
    """As the kernel does when memory is short: that says nothing about the file."""
    upload = uploads.add(make(60))
    monkeypatch.setenv("FAILPOINT", "while-reading=kill")
    with pytest.raises(ReaderKilled):
        job.run(event_of(upload))
    assert uploads.row(upload)["status"] == "processing"
    monkeypatch.delenv("FAILPOINT")
    assert job.run(event_of(upload))
    assert uploads.row(upload)["reason"] is None


def test_a_file_is_purged_with_the_last_workout_that_came_out_of_it(
    uploads: Uploads, job: ImportJob, database: Database, redis_client: Redis, settings: Settings
) -> None:
    first, second = gpx(60), gpx(60, 1_600_000_000_000)
    upload = uploads.add(first.replace(b"</gpx>", second.removeprefix(b"<gpx>")))
    job.run(event_of(upload))
    rides = uploads.row(upload)["workout_ids"]
    assert len(rides) == 2
    for left, ride in enumerate(rides[::-1]):
        assert len(uploads.workouts()) == 2 - left
        assert uploads.row(upload)["status"] == "done"
        with database.connection() as connection:
            connection.execute(
                "UPDATE workouts SET status = 'DELETED', deleted_at = now() - interval '31 days'"
                " WHERE id = %s",
                [ride],
            )
        Sweeper(database, redis_client, settings).sweep()
    with database.connection() as connection:
        found = connection.execute("SELECT id FROM uploads WHERE id = %s", [upload]).fetchall()
    assert (found, uploads.workouts()) == ([], [])


def purge(
    database: Database, client: Redis, settings: Settings, workout_ids: Sequence[UUID]
) -> None:
    """Delete them long enough ago, and let a worker sweep."""
    with database.connection() as connection:
        connection.execute(
            "UPDATE workouts SET status = 'DELETED', deleted_at = now() - interval '31 days'"
            " WHERE id = ANY(%s)",
            [list(workout_ids)],
        )
    Sweeper(database, client, settings).sweep()


def kept(database: Database, uploads: Uploads) -> dict[UUID, bool]:
    """The user's uploads, and whether each has its original."""
    with database.connection() as connection:
        rows = connection.execute(
            "SELECT id, data IS NOT NULL AS kept FROM uploads"
            " LEFT JOIN upload_files ON upload_id = id WHERE user_id = %s",
            [uploads.user_id],
        ).fetchall()
    return {row["id"]: row["kept"] for row in rows}


def test_what_was_found_to_be_the_ride_is_purged_with_it(
    uploads: Uploads, job: ImportJob, database: Database, redis_client: Redis, settings: Settings
) -> None:
    sent = [uploads.add(fit(600)), uploads.add(tcx(600)), uploads.add(gpx(600), "merge")]
    other = uploads.add(gpx(60, 1_600_000_000_000))
    for each in (*sent, other):
        job.run(event_of(each))
    (workout,) = uploads.row(sent[0])["workout_ids"]
    assert uploads.row(sent[1])["status"] == "duplicate"
    purge(database, redis_client, settings, [workout])
    assert kept(database, uploads) == {other: True}


def test_a_zip_loses_its_bytes_with_the_first_ride_that_is_purged_and_its_row_with_the_last(
    uploads: Uploads, job: ImportJob, database: Database, redis_client: Redis, settings: Settings
) -> None:
    """The other file of the zip has an original of its own."""
    archive = uploads.add(zip_of(a__gpx=gpx(60), b__gpx=gpx(60, 1_600_000_000_000)))
    job.run(event_of(archive))
    members = [each for each in kept(database, uploads) if each != archive]
    for each in members:
        job.run(event_of(each))
    rides = [uploads.row(each)["workout_ids"][0] for each in members]
    purge(database, redis_client, settings, rides[:1])
    assert kept(database, uploads) == {archive: False, members[1]: True}
    purge(database, redis_client, settings, rides[1:])
    assert kept(database, uploads) == {}
