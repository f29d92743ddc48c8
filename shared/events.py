"""Events: what the API and the sweeper ask of the workers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.errors import MalformedEntry


@dataclass(frozen=True)
class FoldRequest:
    """Fold this workout's waiting batches into PostgreSQL."""

    workout_id: UUID

    def fields(self) -> dict[Any, Any]:
        """The event as a stream entry."""
        return {"kind": "fold", "workout": str(self.workout_id)}

    @classmethod
    def from_fields(cls, fields: Mapping[bytes, bytes]) -> "FoldRequest":
        """The event of a stream entry. Raises MalformedEntry for anything else."""
        try:
            if fields[b"kind"] != b"fold":
                raise MalformedEntry(f"an event of unknown kind {fields[b'kind']!r}")
            return cls(UUID(fields[b"workout"].decode("ascii")))
        except (KeyError, ValueError) as error:
            raise MalformedEntry(f"not a fold request: {dict(fields)!r}") from error
