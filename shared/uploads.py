"""What API and workers agree on about files that users send."""

import zlib
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from msgspec import Struct

_WORTH_IT: Final = 0.95  # of the size: a file that stays larger is kept as it is


class OnDuplicate(StrEnum):
    """What becomes of a ride that is there already."""

    REJECT = "reject"  # the upload is a duplicate, and changes nothing
    REPLACE = "replace"  # the file's samples take the place of the stored ones
    MERGE = "merge"  # each channel comes from whichever recording has more of it
    KEEP = "keep"  # both are kept; the pair counts once


class UploadStatus(StrEnum):
    """How far an upload has come."""

    QUEUED = "queued"
    PROCESSING = "processing"
    DONE = "done"
    DUPLICATE = "duplicate"  # every ride of the file is there already
    FAILED = "failed"


# Why an upload failed, where that is no fault of the file.
FAULT: Final = (
    "this file could not be imported, by a fault of ours that was noted; it may be sent again"
)
READER_FAULT: Final = "this file could not be read, by a fault of ours that was noted"
FAULTS: Final = frozenset((FAULT, READER_FAULT))

UNFINISHED: Final = frozenset((UploadStatus.QUEUED, UploadStatus.PROCESSING))


class Duplicate(Struct, frozen=True, rename="camel"):
    """A ride of a file that is there already: as which workout, and why it is taken for it."""

    workout_id: UUID
    why: str


class Original(NamedTuple):
    """The bytes of a file as they are stored; None where an ``object`` of the store has them."""

    compressed: bool
    data: bytes | None
    object: str | None = None


class Packed(NamedTuple):
    """The bytes of a file, ready to be stored."""

    compressed: bool
    data: bytes

    def row(self, upload_id: UUID, name: str | None) -> dict[str, Any]:
        """Of ``upload_files``; without the bytes where the object of that name has them."""
        data = None if name else self.data
        return {"id": upload_id, "compressed": self.compressed, "data": data, "object": name}


def pack(data: bytes) -> Packed:
    """The file by zlib, unless that makes it hardly smaller.

    At its fastest: its best takes three times as long, and makes a FIT file 2 % smaller.
    """
    packed = zlib.compress(data, zlib.Z_BEST_SPEED)
    if len(packed) > _WORTH_IT * len(data):
        return Packed(False, data)
    return Packed(True, packed)


def unpack(original: Packed) -> bytes:
    """The file."""
    return zlib.decompress(original.data) if original.compressed else original.data
