"""The published types of this room."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from api.files.store import Upload
from api.workouts.store import Workout
from shared.moments import Instant
from shared.webhooks import complete_message

_DAY: Final = 86_400
MOST_CHANGES: Final = 100  # of an answer

Event = Annotated[
    Literal[
        "workout.completed", "workout.updated", "workout.deleted", "record.set", "upload.failed"
    ],
    Meta(title="WebhookEvent"),
]
Events = Annotated[list[Event], Meta(min_length=1, max_length=5)]
DeliveryStatus = Annotated[Literal["waiting", "delivered", "failed"], Meta(title="DeliveryStatus")]
Url = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=2000,
        pattern="^[^\x00]*$",
        description="Begins with https://; its host is in none of the server's own networks",
    ),
]
ResponseStatus = Annotated[int | None, Meta(description="HTTP status that the receiver answered")]


class CreateWebhook(Struct):
    """Whom to tell of which events."""

    url: Url
    events: Events


class ChangeWebhook(Struct):
    """What is left out stays as it is. `enabled`: whether anything is delivered."""

    url: Url | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class RotateSecret(Struct):
    """For how many seconds the old secret signs beside the new one."""

    overlap: Annotated[float, Meta(ge=0, le=30 * _DAY, description="Seconds")] = _DAY


class LastDelivery(Struct, rename="camel"):
    """What became of the newest delivery."""

    id: Annotated[int, Meta(description="Of the delivery")]
    event: Event
    status: DeliveryStatus
    created_at: Instant
    tried_at: Instant | None
    response_status: ResponseStatus
    problem: str | None


class Webhook(Struct, rename="camel"):
    """A webhook without its secret. Disabled, it is told nothing, for the `disabledReason`.

    `waiting`: how many deliveries are still to be made. `oldSecretUntil`: until when the secret
    before the last rotation signs, too.
    """

    id: UUID
    url: str
    events: list[Event]
    enabled: bool
    disabled_at: Instant | None
    disabled_reason: str | None
    created_at: Instant
    old_secret_until: Instant | None
    waiting: Annotated[int, Meta(description="Deliveries")]
    last_delivery: LastDelivery | None

    def __post_init__(self) -> None:
        row: Any = self.last_delivery  # as PostgreSQL has it
        self.last_delivery = row and msgspec.convert(row, LastDelivery)


class WebhookAnswer(Struct):
    """One webhook."""

    webhook: Webhook


class WebhookChange(Struct):
    """A webhook as it is after the change."""

    webhook: Webhook
    success: bool = True


class FreshWebhook(Struct):
    """A webhook and its new secret, which is shown this once: a receiver verifies with it."""

    webhook: Webhook
    secret: str
    success: bool = True


class WebhookList(Struct):
    """All of them, newest first."""

    webhooks: list[Webhook]


class WebhookDeletion(Struct):
    """The webhook is gone, with its deliveries."""

    success: bool = True


class Delivery(Struct, rename="camel"):
    """A message to a webhook, and what became of it.

    `messageId` is the header `webhook-id` of every attempt, and `payload` their body. `subjectId`:
    the workout or upload that it is about. `nextAttemptAt`: while it waits. `problem`: why the last
    attempt failed.
    """

    id: Annotated[int, Meta(description="Later deliveries have higher ones")]
    message_id: str
    event: Event
    subject_id: UUID
    status: DeliveryStatus
    attempts: Annotated[int, Meta(description="How often it was sent")]
    created_at: Instant
    tried_at: Annotated[Instant | None, Meta(description="When it was sent last")]
    next_attempt_at: Instant | None
    response_status: ResponseStatus
    problem: str | None
    payload: Annotated[
        dict[str, Any],
        Meta(
            description="The body, as it is sent",
            extra_json_schema={"additionalProperties": True},
        ),
    ]

    def __post_init__(self) -> None:
        # A row has the figures that were stored; what is sent has all that there are now.
        self.payload = complete_message(self.payload)


class DeliveriesQuery(Struct):
    """Which deliveries."""

    limit: Annotated[int, Meta(ge=1, le=100, description="Deliveries of a page")] = 20
    cursor: Annotated[str | None, Meta(description="The `nextCursor` of a page")] = None
    status: Annotated[DeliveryStatus | None, Meta(description="Only those in this state")] = None


class DeliveryPagination(Struct, rename="camel"):
    """A place in the list."""

    limit: int
    next_cursor: str | None


class DeliveryList(Struct):
    """A page of deliveries, newest first."""

    deliveries: list[Delivery]
    pagination: DeliveryPagination


class DeliveryAnswer(Struct):
    """A delivery, which is now waiting to be made."""

    delivery: Delivery
    success: bool = True


class ChangesQuery(Struct):
    """From where on, and how much at once."""

    since: Annotated[
        str | None, Meta(description="The `cursor` of the answer before; without, everything")
    ] = None
    limit: Annotated[int, Meta(ge=1, le=MOST_CHANGES, description="Changes of an answer")] = 50


class Change(Struct, rename="camel"):
    """A thing that is new, is another one than before, or is gone.

    `kind`: a `workout` or an `upload`, with an `id`, comes with what it is now, unless it is
    `deleted`. Of the others it is only said that they have changed: a `share`, the `record`s of a
    sport (which is the `id`), and the rider's `thresholds`, `places` and `profile`. There may be
    more kinds some day: pass over those that you do not know.
    """

    kind: str
    id: str
    deleted: bool
    changed_at: Instant
    workout: Workout | UnsetType = UNSET
    upload: Upload | UnsetType = UNSET


class ChangeList(Struct):
    """What has changed since, each thing once, as it is now.

    `more`: whether there is more already, to be asked for at once with the `cursor`. Else keep that
    for the next time.
    """

    changes: list[Change]
    cursor: str
    more: bool
