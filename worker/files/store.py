"""Uploads in PostgreSQL: begun, read and ended, all in the transaction of the caller."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb
from psycopg.types.multirange import Multirange
from psycopg.types.range import Int8Range

from shared.connections import DatabaseConnection
from shared.files.recording import NO_REMEDIES, Remedies, Span
from shared.files.takeouts import File
from shared.files.words import Words, plain
from shared.sql import load_queries
from shared.uploads import FAULT, Duplicate, OnDuplicate, Original, UploadStatus, pack

QUERIES = load_queries("imports")
Keep = Callable[[bytes], str | None]


@dataclass(frozen=True)
class Upload:
    """A file that is being imported."""

    id: UUID
    user_id: UUID
    parent_id: UUID | None
    key_id: str | None
    filename: str | None
    sha256: bytes
    on_duplicate: str
    language: str
    created_at: datetime
    title: str | None = None
    description: str | None = None
    sport: str | None = None

    @property
    def words(self) -> Words:
        """What was said of the file's ride when it was sent."""
        return Words(self.title, self.description, self.sport)

    @property
    def received(self) -> int:
        """When it arrived, in ms."""
        return int(self.created_at.timestamp() * 1000)


@dataclass(frozen=True)
class Result:
    """What became of an upload; ``workout_ids``: those made or changed."""

    status: UploadStatus
    reason: str | None = None
    warnings: Sequence[str] = ()
    workout_ids: Sequence[UUID] = ()
    duplicates: Sequence[Duplicate] = field(default_factory=list)


@dataclass(frozen=True)
class NewWorkout:
    """What a file tells of a ride beside its samples."""

    title: str | None
    description: str | None
    sport: str
    start_time: datetime
    laps: Any
    pauses: Any
    device: Any
    time_zone: str | None = None
    remedies: Remedies = NO_REMEDIES


def begin(connection: DatabaseConnection, upload_id: UUID) -> Upload | None:
    """Mark the upload as being processed; None if it is ended, but not by our FAULT, or gone."""
    named = {"id": upload_id, "fault": FAULT}
    with connection.cursor(row_factory=class_row(Upload)) as cursor:
        return cursor.execute(QUERIES["begin_import"], named).fetchone()


def read_file(connection: DatabaseConnection, upload_id: UUID) -> Original | None:
    """The original, or where it is; None if it is gone."""
    with connection.cursor(row_factory=class_row(Original), binary=True) as cursor:
        return cursor.execute(QUERIES["read_original"], {"id": upload_id}).fetchone()


def note_object(connection: DatabaseConnection, name: str) -> None:
    """Note the name of an object that is about to be put: it is deleted if it is of no use.

    In a transaction of its own: it must be there even if the caller's comes to nothing.
    """
    connection.execute(QUERIES["note_original"], {"name": name})


def lock_upload(connection: DatabaseConnection, upload_id: UUID) -> bool:
    """Let no other worker end the upload; False if one has."""
    return connection.execute(QUERIES["lock_upload"], {"id": upload_id}).fetchone() is not None


def find_same_bytes(connection: DatabaseConnection, upload: Upload) -> list[Duplicate]:
    """The workouts that the same bytes have made before, if they are there still."""
    named = {"id": upload.id, "user_id": upload.user_id, "sha256": upload.sha256}
    found = {
        row["workout_id"]: f"the same file was sent on {row['sent_at']:%Y-%m-%d}"
        for row in connection.execute(QUERIES["same_bytes"], named)
    }
    return [Duplicate(workout_id, why) for workout_id, why in found.items()]


def count_workouts(connection: DatabaseConnection, user_id: UUID) -> int:
    """How many workouts the user has, deleted ones until they are purged."""
    row = connection.execute(QUERIES["count_workouts_of"], {"user_id": user_id}).fetchone()
    return int(row["workouts"]) if row else 0


def create_workout(
    connection: DatabaseConnection, upload: Upload, told: NewWorkout, duplicate_of: UUID | None
) -> UUID:
    """A workout without samples so far, PROCESSING: the caller's transaction completes it."""
    row = connection.execute(
        QUERIES["create_imported"],
        {
            **_told(upload, told),
            "user_id": upload.user_id,
            "start_time": told.start_time,
            "excluded": told.remedies.excluded,
            "excluded_ranges": _multirange(told.remedies.excluded_ranges),
            "vouched_ranges": _multirange(told.remedies.vouched_ranges),
            "duplicate_of": duplicate_of,
        },
    ).fetchone()
    assert row is not None  # INSERT … RETURNING gives a row  # noqa: S101
    workout_id: UUID = row["id"]
    return workout_id


def retell(
    connection: DatabaseConnection,
    workout_id: UUID,
    upload: Upload,
    told: NewWorkout,
    *,
    replaces: bool,
) -> None:
    """Note what the file says of a workout that is there; all of it only if it ``replaces``."""
    told_now = {**_told(upload, told), "id": workout_id, "replaces": replaces}
    connection.execute(QUERIES["retell"], told_now)


def end(connection: DatabaseConnection, upload_id: UUID, result: Result) -> bool:
    """Write what became of the upload; False if that is written already."""
    ended = connection.execute(
        QUERIES["end_import"],
        {
            "id": upload_id,
            "status": result.status,
            "reason": result.reason,
            "warnings": list(result.warnings),
            "workout_ids": list(result.workout_ids),
            "duplicates": Jsonb(list(result.duplicates)),
        },
    )
    return ended.fetchone() is not None


def add_member(connection: DatabaseConnection, upload: Upload, member: File, keep: Keep) -> None:
    """A file out of a zip, which waits for its own import; or failed for a problem.

    ``keep`` puts its bytes into the store, where there is one, and gives the object's name.
    """
    data, problem = member.data, member.problem
    status = UploadStatus.FAILED if problem else UploadStatus.QUEUED
    row = connection.execute(
        QUERIES["create_member"],
        {
            "user_id": upload.user_id,
            "parent_id": upload.id,
            "key_id": upload.key_id,
            "filename": member.name,
            "size": len(data),
            "sha256": sha256(data).digest(),
            "on_duplicate": _how(upload, member),
            "language": upload.language,
            "status": status,
            "reason": problem,
            "created_at": upload.created_at,
            **asdict(plain(member.words)),
        },
    ).fetchone()
    if row and not problem:
        packed = pack(data)
        connection.execute(QUERIES["keep_original"], packed.row(row["id"], keep(packed.data)))


def _how(upload: Upload, member: File) -> OnDuplicate:
    how = OnDuplicate(upload.on_duplicate)
    return OnDuplicate.KEEP if how is OnDuplicate.REJECT and member.is_second else how


def _multirange(spans: Sequence[Span]) -> Multirange[int]:
    return Multirange([Int8Range(span.from_, span.to) for span in spans])


def _told(upload: Upload, told: NewWorkout) -> dict[str, Any]:
    return {
        "upload_id": upload.id,
        "title": told.title,
        "description": told.description,
        "sport": told.sport,
        "laps": Jsonb(told.laps),
        "pauses": Jsonb(told.pauses),
        "device": Jsonb(told.device),
        "time_zone": told.time_zone,
    }
