"""What API and workers tell one another: requests for work, and announcements of what happened.

A request is an entry of the stream of events, and stays there until its work is done. An
announcement is told once to whoever listens at that moment, so nothing may depend on hearing it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final
from uuid import UUID

import msgspec

from shared.errors import MalformedEntry

Fields = Mapping[bytes, bytes]
ASKED_BY: Final = "traceparent"


@dataclass(frozen=True)
class FoldRequest:
    """Fold this workout's waiting batches into PostgreSQL.

    ``asked_by``: the step of a trace that asks, see shared.tracing.
    """

    KIND: ClassVar = "fold"
    workout_id: UUID
    asked_by: str | None = field(default=None, compare=False)

    def fields(self) -> dict[Any, Any]:
        """The request as a stream entry."""
        trace = {ASKED_BY: self.asked_by} if self.asked_by else {}
        return {"kind": self.KIND, "workout": str(self.workout_id), **trace}

    @classmethod
    def from_fields(cls, fields: Fields) -> "FoldRequest":
        """The request of a stream entry. Raises MalformedEntry for anything else."""
        try:
            if fields[b"kind"] != cls.KIND.encode():
                raise MalformedEntry(f"an event of the kind {fields[b'kind']!r}")
            return cls(UUID(fields[b"workout"].decode("ascii")))
        except (KeyError, ValueError) as error:
            raise MalformedEntry(f"not a fold request: {dict(fields)!r}") from error


@dataclass(frozen=True)
class ImportRequest:
    """Import this upload's file."""

    KIND: ClassVar = "import"
    upload_id: UUID

    def fields(self) -> dict[Any, Any]:
        """The request as a stream entry."""
        return {"kind": self.KIND, "upload": str(self.upload_id)}

    @classmethod
    def from_fields(cls, fields: Fields) -> "ImportRequest":
        """The request of a stream entry. Raises MalformedEntry for anything else."""
        try:
            if fields[b"kind"] != cls.KIND.encode():
                raise MalformedEntry(f"an event of the kind {fields[b'kind']!r}")
            return cls(UUID(fields[b"upload"].decode("ascii")))
        except (KeyError, ValueError) as error:
            raise MalformedEntry(f"not a request for an import: {dict(fields)!r}") from error


@dataclass(frozen=True)
class MeasureRequest:
    """Say what the figures of a part of a ride are: from ``start`` to before ``end``, in ms.

    None is the first and the last sample of the ride.
    ``answer_id``: under which somebody waits for the answer, but not for long.
    """

    KIND: ClassVar = "measure"
    workout_id: UUID
    answer_id: UUID
    start: int | None = None
    end: int | None = None

    def fields(self) -> dict[Any, Any]:
        """The request as a stream entry."""
        named = {"workout": self.workout_id, "answer": self.answer_id}
        ends = {"start": self.start, "end": self.end}
        known = {name: end for name, end in ends.items() if end is not None}
        return {"kind": self.KIND, **{k: str(v) for k, v in (named | known).items()}}

    @classmethod
    def from_fields(cls, fields: Fields) -> "MeasureRequest":
        """The request of a stream entry. Raises MalformedEntry for anything else."""
        try:
            return cls(
                workout_id=UUID(fields[b"workout"].decode("ascii")),
                answer_id=UUID(fields[b"answer"].decode("ascii")),
                **{
                    end: int(fields[end.encode()])
                    for end in ("start", "end")
                    if end.encode() in fields
                },
            )
        except (KeyError, ValueError) as error:
            raise MalformedEntry(f"not a request for figures: {dict(fields)!r}") from error


class Announcement(msgspec.Struct, frozen=True):
    """Something has happened: ``kind`` of it, to the ``subject`` of that id, and how it ended.

    After a fold, the subject is the workout and the outcome its status; after an import, the upload
    and its status; after figures were asked for, whatever the answer is kept under.
    """

    kind: str
    subject: UUID
    outcome: str

    def encode(self) -> bytes:
        """The announcement as a message of the channel."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, message: bytes) -> "Announcement":
        """The announcement of a message; members that a newer version has added are ignored.

        Raises MalformedEntry.
        """
        try:
            return msgspec.json.decode(message, type=cls)
        except msgspec.DecodeError as error:
            raise MalformedEntry(f"not an announcement: {message!r}") from error
