"""Originals in an object store: read by imports, put for files of zips, deleted when unneeded."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from shared.connections import Database, Redis
from shared.errors import ServiceUnavailable
from shared.originals import OriginalMissing, Originals, new_name, open_originals
from shared.settings import Settings
from shared.uploads import pack
from tests.api.files.ride_files import fit, gpx, zip_of
from tests.object_store import stored
from tests.worker.jobs.test_importing import Uploads, event_of, purge
from worker.jobs.importing import ImportJob
from worker.jobs.sweep import Sweeper

NOWHERE = "http://127.0.0.1:1"


class Stored(Uploads):
    """The uploads of one user, as an API with a store keeps them."""

    def __init__(self, database: Database, settings: Settings) -> None:
        super().__init__(database, settings)
        self.originals = opened(settings)

    def put(self, data: bytes) -> str:
        """An object that was noted, as before its row is written."""
        name = new_name(UUID(self.user_id))
        with self._database.connection() as connection:
            connection.execute("INSERT INTO stored_objects (name) VALUES (%s)", [name])
        self.originals.put_now(name, data)
        return name

    def add(self, data: bytes, on_duplicate: str = "reject") -> UUID:
        upload_id, name = super().add(data, on_duplicate), self.put(pack(data).data)
        with self._database.connection() as connection:
            connection.execute(
                "UPDATE upload_files SET data = NULL, object = %s WHERE upload_id = %s",
                [name, upload_id],
            )
        return upload_id

    def object_of(self, upload_id: UUID) -> str | None:
        with self._database.connection() as connection:
            row = connection.execute(
                "SELECT object FROM upload_files WHERE upload_id = %s AND data IS NULL", [upload_id]
            ).fetchone()
        name: str | None = row["object"] if row else None
        return name

    def members(self, upload_id: UUID) -> list[UUID]:
        with self._database.connection() as connection:
            rows = connection.execute("SELECT id FROM uploads WHERE parent_id = %s", [upload_id])
            return [row["id"] for row in rows]

    def has(self, name: str) -> bool:
        try:
            self.originals.read_now(name)
        except OriginalMissing:
            return False
        return True

    def age(self, minutes: int) -> None:
        """Let so many minutes pass for all objects."""
        with self._database.connection() as connection:
            connection.execute(
                "UPDATE stored_objects SET created_at = created_at - %s * interval '1 minute'",
                [minutes],
            )


def opened(settings: Settings) -> Originals:
    originals = open_originals(settings)
    assert originals
    return originals


@pytest.fixture
def with_store(settings: Settings, store_variables: dict[str, str]) -> Settings:
    return stored(settings, store_variables)


@pytest.fixture
def away(settings: Settings, store_variables: dict[str, str]) -> Settings:
    """The same store, while nobody answers there."""
    return stored(settings, {**store_variables, "ORIGINALS_ENDPOINT": NOWHERE})


@pytest.fixture
def uploads(database: Database, with_store: Settings) -> Stored:
    return Stored(database, with_store)


@pytest.fixture
def job(database: Database, redis_client: Redis, with_store: Settings) -> Iterator[ImportJob]:
    job = ImportJob(database, redis_client, with_store)
    yield job
    job.close()


def test_a_file_is_read_out_of_the_store(uploads: Stored, job: ImportJob) -> None:
    upload = uploads.add(fit(600))
    assert job.run(event_of(upload))
    assert uploads.row(upload)["status"] == "done"


def test_files_out_of_a_zip_are_put_into_the_store(uploads: Stored, job: ImportJob) -> None:
    upload = uploads.add(zip_of(a__gpx=gpx(60), b__fit=fit(60, second=9000), c__gpx=b""))
    job.run(event_of(upload))
    members = uploads.members(upload)
    assert len({uploads.object_of(each) for each in members} - {None}) == 3
    for each in members:
        job.run(event_of(each))
    assert uploads.row(upload)["members"] == {"done": 2, "failed": 1}


def test_what_postgresql_has_of_before_is_read_there(
    database: Database, settings: Settings, job: ImportJob
) -> None:
    before = Uploads(database, settings)
    upload = before.add(fit(600))
    assert job.run(event_of(upload))
    assert before.row(upload)["status"] == "done"


@pytest.mark.parametrize("data", [fit(600), zip_of(a__gpx=gpx(60))], ids=["file", "zip"])
def test_while_the_store_is_away_an_import_waits_and_loses_nothing(
    uploads: Stored,
    job: ImportJob,
    database: Database,
    redis_client: Redis,
    away: Settings,
    data: bytes,
) -> None:
    upload, cut_off = uploads.add(data), ImportJob(database, redis_client, away)
    with pytest.raises(ServiceUnavailable, match="does not answer"):
        cut_off.run(event_of(upload))
    cut_off.close()
    assert uploads.row(upload)["status"] == "processing"
    assert job.run(event_of(upload))
    for each in uploads.members(upload):
        job.run(event_of(each))
    assert uploads.row(upload)["status"] == "done"
    assert len(uploads.workouts()) == 1


def test_without_the_setting_an_import_waits_for_it(
    uploads: Stored, database: Database, redis_client: Redis, settings: Settings
) -> None:
    upload, job = uploads.add(fit(600)), ImportJob(database, redis_client, settings)
    with pytest.raises(ServiceUnavailable, match="ORIGINALS_URL"):
        job.run(event_of(upload))
    job.close()


def test_a_file_whose_object_is_gone_fails(uploads: Stored, job: ImportJob) -> None:
    upload = uploads.add(gpx(60))
    uploads.originals.delete_now([str(uploads.object_of(upload))])
    job.run(event_of(upload))
    assert (uploads.row(upload)["status"], uploads.workouts()) == ("failed", [])


def test_an_object_that_no_file_refers_to_is_deleted_once_it_is_old_enough(
    uploads: Stored, database: Database, redis_client: Redis, with_store: Settings
) -> None:
    """Ten minutes: until then whoever has put it may be about to write its row."""
    needed, orphan = uploads.object_of(uploads.add(gpx(60))), uploads.put(b"cut off")
    never_put = new_name(uuid4())
    with database.connection() as connection:
        connection.execute("INSERT INTO stored_objects (name) VALUES (%s)", [never_put])
    sweeper = Sweeper(database, redis_client, with_store)
    for minutes, kept in ((9, True), (2, False)):
        uploads.age(minutes)
        sweeper.sweep()
        assert uploads.has(orphan) is kept
    assert uploads.has(str(needed))
    assert names(database) & {orphan, never_put, needed} == {needed}


def test_an_object_is_left_to_a_transaction_that_is_about_to_refer_to_it(
    uploads: Stored, database: Database, redis_client: Redis, with_store: Settings
) -> None:
    """As of a zip of ten thousand files, all in one transaction."""
    name = uploads.put(b"of a zip")
    upload = Uploads.add(uploads, b"a file without bytes so far")
    uploads.age(11)
    with database.connection() as connection:
        connection.execute(
            "UPDATE upload_files SET data = NULL, object = %s WHERE upload_id = %s", [name, upload]
        )
        Sweeper(database, redis_client, with_store).sweep()
    assert uploads.has(name)
    assert uploads.object_of(upload) == name


def test_objects_go_with_the_ride_and_with_the_account(
    uploads: Stored,
    job: ImportJob,
    database: Database,
    redis_client: Redis,
    with_store: Settings,
) -> None:
    ride, account = uploads.add(fit(600)), uploads.add(gpx(60, 1_600_000_000_000))
    objects = [str(uploads.object_of(each)) for each in (ride, account)]
    job.run(event_of(ride))
    uploads.age(11)
    purge(database, redis_client, with_store, uploads.row(ride)["workout_ids"])
    assert [uploads.has(each) for each in objects] == [False, True]
    with database.connection() as connection:
        connection.execute("DELETE FROM users WHERE id = %s", [uploads.user_id])
    Sweeper(database, redis_client, with_store).sweep()
    assert not uploads.has(objects[1])


def test_a_sweep_while_the_store_is_away_keeps_the_names_for_the_next_one(
    uploads: Stored, database: Database, redis_client: Redis, away: Settings
) -> None:
    orphan = uploads.put(b"cut off")
    uploads.age(11)
    Sweeper(database, redis_client, away).sweep()
    assert orphan in names(database)


def names(database: Database) -> set[str]:
    with database.connection() as connection:
        return {row["name"] for row in connection.execute("SELECT name FROM stored_objects")}


def test_a_wrong_key_is_no_answer_and_is_not_told(
    with_store: Settings, store_variables: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    wrong = stored(with_store, {**store_variables, "ORIGINALS_SECRET": "another-secret"})
    with pytest.raises(ServiceUnavailable):
        opened(wrong).put_now("x", b"x")
    assert "PermissionDenied" in caplog.text
    assert "another-secret" not in caplog.text
