"""What webhooks are sent, as the document describes it: a type for each event."""

from collections.abc import Mapping
from typing import Annotated, Any, Final
from uuid import UUID

from msgspec import Meta, Struct

from api.files.store import Upload
from api.season.store import Metric
from api.webhooks.wire import Event
from api.workouts.store import Workout
from shared.moments import Instant


class RideMessage(Struct):
    """A ride is over and its figures are there, or it has changed since: the ride as it is."""

    type: Event
    timestamp: Instant
    data: Workout


class DeletedRide(Struct, rename="camel"):
    """Which ride, and whose."""

    id: UUID
    user_id: UUID


class DeletionMessage(Struct):
    """A ride is deleted."""

    type: Event
    timestamp: Instant
    data: DeletedRide


class PreviousRecord(Struct, rename="camel"):
    """The best until then, and the ride that it is of."""

    value: Annotated[float, Meta(description="In watts, beats a minute or metres a second")]
    workout_id: UUID


class NewRecord(Struct, rename="camel"):
    """The best of a rider in a sport over a duration. `previous` is null of a first one."""

    sport: str
    metric: Metric
    duration: Annotated[int, Meta(description="Seconds")]
    value: Annotated[float, Meta(description="In watts, beats a minute or metres a second")]
    started_at: Instant
    previous: PreviousRecord | None


class NewRecords(Struct, rename="camel"):
    """The records, and the ride that has set them."""

    workout_id: UUID
    records: list[NewRecord]


class RecordMessage(Struct):
    """A ride has set records."""

    type: Event
    timestamp: Instant
    data: NewRecords


class UploadMessage(Struct):
    """A file gave no ride."""

    type: Event
    timestamp: Instant
    data: Upload


MESSAGES: Final[Mapping[str, Any]] = {
    "workout.completed": RideMessage,
    "workout.updated": RideMessage,
    "workout.deleted": DeletionMessage,
    "record.set": RecordMessage,
    "upload.failed": UploadMessage,
}
