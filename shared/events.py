"""Events: what the API and the sweeper ask of the workers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from shared.errors import MalformedEntry

Fields = Mapping[bytes, bytes]


@dataclass(frozen=True)
class FoldRequest:
    """Fold this workout's waiting batches into PostgreSQL."""

    KIND: ClassVar = "fold"
    workout_id: UUID

    def fields(self) -> dict[Any, Any]:
        """The request as a stream entry."""
        return {"kind": self.KIND, "workout": str(self.workout_id)}

    @classmethod
    def from_fields(cls, fields: Fields) -> "FoldRequest":
        """The request of a stream entry. Raises MalformedEntry for anything else."""
        try:
            if fields[b"kind"] != cls.KIND.encode():
                raise MalformedEntry(f"an event of the kind {fields[b'kind']!r}")
            return cls(UUID(fields[b"workout"].decode("ascii")))
        except (KeyError, ValueError) as error:
            raise MalformedEntry(f"not a fold request: {dict(fields)!r}") from error
