"""What an upload is answered."""

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta, Struct

from api.ingest.batch import PackedBatch
from api.web.problems import Fault

_MOST_DROPPED_LISTED: Final = 100
_NONE: Final[Mapping[str, str | None]] = {}

Epoch = Annotated[
    str,
    Meta(
        description="Another one than before says that samples that are not durable may be lost:"
        " send them again",
        examples=["3f2a9c41d07be658"],
    ),
]


class Receipt(Struct, rename="camel", omit_defaults=True):
    """The batch is stored. `dropped` lists what a lenient upload left out, at most 100 of it.

    `ignored`: of the first three batches of a ride, members of samples that nobody knows, with the
    channels that may be meant.
    """

    accepted: int
    received_through: Annotated[
        int | None, Meta(description="The latest timestamp of the batch, in ms")
    ]
    epoch: Epoch
    dropped_count: int = 0
    dropped: list[Fault] = []
    ignored: dict[str, str | None] = {}


def receipt_of(
    batch: PackedBatch, epoch: str, ignored: Mapping[str, str | None] = _NONE
) -> Receipt:
    """The receipt of a batch that is stored."""
    dropped = list(batch.dropped[:_MOST_DROPPED_LISTED])
    latest, count = batch.latest, len(batch.dropped)
    return Receipt(batch.samples, latest, epoch, count, dropped, dict(ignored))
