"""Imports: files that users have sent become workouts."""

import logging
from collections.abc import Callable
from functools import partial
from typing import ClassVar, Final
from uuid import UUID

from shared.connections import Database, DatabaseConnection, Redis
from shared.errors import MalformedEntry
from shared.events import Announcement, Fields, FoldRequest, ImportRequest
from shared.failpoints import failpoint
from shared.files.archives import is_zip
from shared.files.recording import FileRefused, Recording
from shared.files.words import tell
from shared.originals import OriginalMissing, new_name, open_originals, stored_in
from shared.redis_keys import Queue, asked_key
from shared.settings import Settings
from shared.uploads import FAULT, Original, Packed, UploadStatus, unpack
from worker.files import store
from worker.files.placing import Bounds, place
from worker.files.reader import FileReader, ReaderDied, ReaderKilled
from worker.files.slow import SlotTaken, SlowSlot, Watch
from worker.files.store import Result, Upload
from worker.jobs.announcing import announce, note_write
from worker.queue.dead_letters import DeadLetter, write_letter
from worker.rides import store as rides

_CRASHED: Final = "the program that reads files cannot cope with this one"
_NO_FILES: Final = "this archive holds no file that may be a ride"
_GONE: Final = "the file is no longer there"
logger = logging.getLogger(__name__)


class ImportJob:
    """Imports the uploads that events ask for. One that is given up is failed.

    Reading happens outside any transaction, in a process that can be killed. Then one transaction
    makes the workouts and ends the upload. ``note``: is told what became of each.
    """

    kind: ClassVar = ImportRequest.KIND

    def __init__(
        self,
        database: Database,
        redis: Redis,
        settings: Settings,
        note: Callable[[UploadStatus], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._redis = redis
        self._note = note
        self._bounds = Bounds(settings.max_ride_samples, settings.max_rides)
        self._originals = open_originals(settings)
        self._slot = SlowSlot(redis, settings.slow_import_seconds)
        self._reader = FileReader(settings.max_import_seconds, settings.max_import_bytes)

    def close(self) -> None:
        """End the process that reads files."""
        self._reader.close()

    def subject_of(self, event: Fields) -> bytes | None:
        """The upload's id."""
        return event.get(b"upload")

    def run(self, event: Fields) -> bool:
        """Import. Raises MalformedEntry, LeaveToNewer, ReaderKilled."""
        upload_id = ImportRequest.from_fields(event).upload_id
        self._redis.delete(asked_key(upload_id, Queue.IMPORTS))
        try:
            with self._slot.watch(upload_id) as watch:
                return self._run(upload_id, watch)
        except SlotTaken:  # its row still says that it waits: the dispatcher asks again
            logger.info("put off %s: another slow file is being read", upload_id)
            return False

    def _run(self, upload_id: UUID, watch: Watch) -> bool:
        with self._database.connection() as connection:
            upload = store.begin(connection, upload_id)
            original = store.read_file(connection, upload_id) if upload else None
        if upload is None:
            return False
        result = self._import(upload, self._bytes_of(original), watch)
        if result:
            self._tell(upload, result)
        return result is not None

    def give_up(self, letter: DeadLetter) -> None:
        """Write the letter, and say in the upload that the fault is ours."""
        try:
            upload_id = ImportRequest.from_fields(letter.event).upload_id
        except MalformedEntry:
            upload_id = None
        with self._database.connection() as connection:
            write_letter(connection, letter)
            if upload_id:
                store.end(connection, upload_id, Result(UploadStatus.FAILED, FAULT))
        if upload_id:
            announce(self._redis, Announcement(self.kind, upload_id, UploadStatus.FAILED))

    def _bytes_of(self, original: Original | None) -> bytes | None:
        """The file; None if it is gone. Raises ServiceUnavailable while its store is away."""
        if original is None:
            return None
        data = original.data
        try:
            if original.object:
                data = stored_in(self._originals).read_now(original.object)
        except OriginalMissing:
            return None
        return unpack(Packed(original.compressed, data or b""))

    def _keep(self, upload: Upload, data: bytes) -> str | None:
        """The name of the object that has the bytes from now on; None where rows have them."""
        if self._originals is None:
            return None
        name = new_name(upload.user_id)
        with self._database.connection() as connection:
            store.note_object(connection, name)
        self._originals.put_now(name, data)
        return name

    def _import(self, upload: Upload, data: bytes | None, watch: Watch) -> Result | None:
        """What became of it; None if another worker was sooner. Raises ReaderKilled."""
        try:
            if data is None:
                raise FileRefused(_GONE)
            if is_zip(data) and upload.parent_id is None:
                return self._unpack(upload, data, watch)
            recordings = tell(self._read(upload, data, watch), upload.words)
            failpoint("after-reading")
            return self._place(upload, recordings)
        except FileRefused as error:
            return self._end(upload, Result(UploadStatus.FAILED, str(error)))
        except ReaderKilled:
            raise
        except ReaderDied as error:
            logger.error("gave up reading %s: %s", upload.id, error)
            return self._end(upload, Result(UploadStatus.FAILED, _CRASHED))

    def _read(self, upload: Upload, data: bytes, watch: Watch) -> list[Recording]:
        """The rides of the file. Raises FileRefused, ReaderDied."""
        try:
            return self._reader.read_rides(data, upload.received, watch.look)
        except ReaderDied as error:  # by somebody else's hand, perhaps: once more tells
            logger.warning("could not read %s: %s", upload.id, error)
        return self._reader.read_rides(data, upload.received, watch.look)

    def _place(self, upload: Upload, recordings: list[Recording]) -> Result | None:
        with self._database.connection() as connection:
            rides.limit_waits(connection)
            rides.lock_rides_of(connection, upload.user_id)
            if not store.lock_upload(connection, upload.id):
                return None
            result = _again(connection, upload) or place(
                connection, upload, recordings, self._bounds
            )
            store.end(connection, upload.id, result)
            failpoint("before-commit")
        failpoint("after-commit")
        return result

    def _unpack(self, upload: Upload, data: bytes, watch: Watch) -> Result | None:
        """Make an upload of each file in a zip, all of them or none."""
        count = 0
        with self._database.connection() as connection:
            rides.limit_waits(connection)
            if not store.lock_upload(connection, upload.id):
                return None
            for member in self._reader.members(data, watch.look):
                store.add_member(connection, upload, member, partial(self._keep, upload))
                count += 1
            if not count:
                raise FileRefused(_NO_FILES)
            result = Result(UploadStatus.DONE)
            store.end(connection, upload.id, result)
            failpoint("before-commit")
        return result

    def _end(self, upload: Upload, result: Result) -> Result | None:
        with self._database.connection() as connection:
            return result if store.end(connection, upload.id, result) else None

    def _tell(self, upload: Upload, result: Result) -> None:
        logger.info("imported %s: %s", upload.id, result.reason or result.status)
        self._note(result.status)
        note_write(self._redis, upload.user_id)
        announce(self._redis, Announcement(self.kind, upload.id, result.status))
        if upload.parent_id:
            announce(self._redis, Announcement(self.kind, upload.parent_id, result.status))
        for workout_id in result.workout_ids:
            announce(self._redis, Announcement(FoldRequest.KIND, workout_id, "COMPLETED"))


def _again(connection: DatabaseConnection, upload: Upload) -> Result | None:
    """The result for bytes that were imported before, unless that is asked for again."""
    if upload.on_duplicate != "reject":
        return None
    duplicates = store.find_same_bytes(connection, upload)
    if not duplicates:
        return None
    return Result(UploadStatus.DUPLICATE, duplicates[0].why, duplicates=duplicates)
