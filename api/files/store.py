"""Uploads as PostgreSQL has them, for their users alone."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from shared.connections import AsyncDatabase, BoundedConnection
from shared.files.words import Words
from shared.moments import Instant
from shared.sql import load_queries
from shared.uploads import UNFINISHED, Duplicate, OnDuplicate, Packed, UploadStatus

QUERIES = load_queries("uploads")
_PIECE = 256 * 1024  # bytes of an original that are read at a time
_PATIENCE = 60.0  # seconds for PostgreSQL to take a file of the largest size


class Upload(Struct, rename="camel"):
    """A file that was sent, and what became of it.

    `workoutIds`: the workouts that it made or changed; of a zip, only where it is not in a list.
    `duplicates`: its rides that were there already, `duplicateOf` the first of them; of a zip as
    `workoutIds`. `reason`: why it failed, or is a duplicate. `warnings`: what could not be read, or
    was put right. `members`: of a zip, how many of its files are in which status; it is `done` if
    one of them is.
    """

    id: UUID
    filename: str | None
    size: Annotated[int, Meta(description="Bytes")]
    sha256: str
    status: UploadStatus
    on_duplicate: OnDuplicate
    reason: str | None
    warnings: list[str]
    workout_ids: list[UUID]
    duplicates: list[Duplicate]
    parent_id: Annotated[UUID | None, Meta(description="The zip that it came out of")]
    members: dict[str, int] | None
    created_at: Instant
    updated_at: Instant
    duplicate_of: UUID | None = None

    def __post_init__(self) -> None:
        # A row has these as PostgreSQL has them.
        digest: Any = self.sha256
        self.sha256 = bytes(digest).hex()
        self.status = UploadStatus(self.status)
        self.on_duplicate = OnDuplicate(self.on_duplicate)
        duplicates: Any = self.duplicates
        self.duplicates = [Duplicate(UUID(each["workoutId"]), each["why"]) for each in duplicates]
        self.duplicate_of = self.duplicates[0].workout_id if self.duplicates else None
        if self.members and self.status not in UNFINISHED:
            self._tell_of_files(self.members)

    def _tell_of_files(self, members: dict[str, int]) -> None:
        """Say of a zip how many of its files failed, and why it is no more than it is."""
        total, failed = sum(members.values()), members.get(UploadStatus.FAILED, 0)
        if failed:
            files = "file" if total == 1 else "files"
            self.warnings = [*self.warnings, f"{failed} of {total} {files} failed"]
        if self.status is UploadStatus.FAILED:
            self.reason = self.reason or "no file of this archive gave a ride; see each of them"
        elif self.status is UploadStatus.DUPLICATE:
            self.reason = self.reason or "every ride of this archive is there already"


class SentFile(Upload, rename="camel"):
    """An upload as an export has it; `file` is the name of its original there, if it has one."""

    file: str | None = None


@dataclass(frozen=True)
class NewUpload:
    """A file as it was sent."""

    user_id: UUID
    key_id: str
    filename: str | None
    size: int
    sha256: bytes
    on_duplicate: OnDuplicate
    language: str
    words: Words


@dataclass(frozen=True)
class Kept:
    """How many files are kept of a user, and how many bytes they are."""

    files: int
    bytes: int


@dataclass(frozen=True)
class Held:
    """How the bytes of a file are stored: in its row, or as an object."""

    compressed: bool
    object: str | None


@dataclass(frozen=True)
class _Made:
    workout_id: UUID


@dataclass(frozen=True)
class _Id:
    id: UUID


@dataclass(frozen=True)
class _Piece:
    data: bytes


async def find_unfinished(connection: BoundedConnection, sent: NewUpload) -> Upload | None:
    """An upload of the same bytes by the same user, for the same end, that is not ended yet."""
    return await connection.row(
        Upload,
        QUERIES["find_unfinished"],
        user_id=sent.user_id,
        sha256=sent.sha256,
        on_duplicate=sent.on_duplicate,
    )


async def find_made(connection: BoundedConnection, sent: NewUpload) -> list[UUID]:
    """The workouts that the same bytes have made, or were found to be, and that are there still."""
    made = await connection.rows(
        _Made, QUERIES["find_made"], user_id=sent.user_id, sha256=sent.sha256
    )
    return list(dict.fromkeys(each.workout_id for each in made))


async def count_kept(connection: BoundedConnection, user_id: UUID) -> Kept:
    """Count, and let nobody keep another file of the user before the transaction ends."""
    await connection.execute(QUERIES["lock_uploads"], {"user_id": user_id})
    return await connection.row(Kept, QUERIES["count_kept"], user_id=user_id) or Kept(0, 0)


async def note_object(database: AsyncDatabase, name: str) -> None:
    """Note the name of an object that is about to be put: it is deleted if it is of no use."""
    async with database.connection() as connection:
        await connection.execute(QUERIES["note_object"], {"name": name})


async def create_upload(
    connection: BoundedConnection, sent: NewUpload, original: Packed, name: str | None
) -> Upload:
    """Keep the file, or the name of the object that has it; the row asks for its import."""
    upload = await connection.row(
        Upload,
        QUERIES["create_upload"],
        user_id=sent.user_id,
        key_id=sent.key_id,
        filename=sent.filename,
        size=sent.size,
        sha256=sent.sha256,
        on_duplicate=sent.on_duplicate,
        language=sent.language,
        title=sent.words.title,
        description=sent.words.description,
        sport=sent.words.sport,
    )
    assert upload is not None  # INSERT … RETURNING gives a row  # noqa: S101
    with _patient(connection):
        await connection.execute(QUERIES["keep_file"], original.row(upload.id, name))
    return upload


async def find_upload(
    database: AsyncDatabase, upload_id: UUID, user_id: UUID, key_id: str | None = None
) -> Upload | None:
    """The user's upload, or with ``key_id`` only if that key has sent it."""
    async with database.connection() as connection:
        return await read_upload(connection, upload_id, user_id, key_id)


async def read_upload(
    connection: BoundedConnection, upload_id: UUID, user_id: UUID, key_id: str | None = None
) -> Upload | None:
    """The same in the transaction of the caller."""
    named = {"id": upload_id, "user_id": user_id, "key_id": key_id}
    return await connection.row(Upload, QUERIES["get_upload"], **named)


async def find_uploads(database: AsyncDatabase, ids: Sequence[UUID], user_id: UUID) -> list[Upload]:
    """Those of the given uploads that are there and the user's."""
    async with database.connection() as connection:
        return await connection.rows(Upload, QUERIES["get_uploads"], ids=ids, user_id=user_id)


async def list_uploads(
    database: AsyncDatabase,
    user_id: UUID,
    *,
    parent_id: UUID | None,
    status: UploadStatus | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Upload]:
    """The user's uploads, or the files of a zip, newest first; those ``after`` a place."""
    after_time, after_id = after or (None, None)
    async with database.connection() as connection:
        return await connection.rows(
            Upload,
            QUERIES["list_uploads"],
            user_id=user_id,
            parent_id=parent_id,
            status=status,
            after_time=after_time,
            after_id=after_id,
            limit=limit,
        )


async def list_upload_ids(database: AsyncDatabase, user_id: UUID) -> list[UUID]:
    """Every upload of the user, newest first; those out of a zip, too."""
    async with database.connection() as connection:
        found = await connection.rows(_Id, QUERIES["list_upload_ids"], user_id=user_id)
    return [each.id for each in found]


async def find_sent_files(
    database: AsyncDatabase, ids: Sequence[UUID], user_id: UUID, time_zone: str
) -> list[SentFile]:
    """Those of the given uploads that are there and the user's, in the same order.

    In ``time_zone`` is the day that the names of originals begin with.
    """
    named = {"ids": ids, "user_id": user_id, "time_zone": time_zone}
    async with database.connection() as connection:
        return await connection.rows(SentFile, QUERIES["get_sent_files"], **named)


async def find_original(database: AsyncDatabase, upload_id: UUID, user_id: UUID) -> Held | None:
    """Where the bytes of the user's upload are; None without any."""
    named = {"id": upload_id, "user_id": user_id}
    async with database.connection() as connection:
        return await connection.row(Held, QUERIES["find_original"], **named)


async def list_same_bytes(
    database: AsyncDatabase, user_id: UUID, digest: bytes, limit: int
) -> list[Upload]:
    """The user's uploads of these bytes, newest first; not those whose workouts are all deleted."""
    asked = {"user_id": user_id, "sha256": digest, "limit": limit}
    async with database.connection() as connection:
        return await connection.rows(Upload, QUERIES["list_same_bytes"], **asked)


async def read_pieces(
    database: AsyncDatabase, upload_id: UUID, user_id: UUID
) -> AsyncIterator[bytes]:
    """The bytes of a file's row as they are stored, in pieces.

    No connection is held while one is on its way.
    """
    start = 1
    while True:
        async with database.connection() as connection:
            piece = await connection.row(
                _Piece,
                QUERIES["read_piece"],
                id=upload_id,
                user_id=user_id,
                start=start,
                count=_PIECE,
            )
        if piece is None or not piece.data:
            return
        yield piece.data
        start += _PIECE


@contextmanager
def _patient(connection: BoundedConnection) -> Iterator[None]:
    """Wait longer than for any other answer."""
    usual = connection.time_limit
    connection.time_limit = max(usual, _PATIENCE)
    try:
        yield
    finally:
        connection.time_limit = usual
