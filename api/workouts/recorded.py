"""Samples as they are answered, made from the table of channels as those that are uploaded."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shared.samples.channels import CHANNELS, Channel

_Time = Annotated[int, Meta(description="Unix epoch in milliseconds")]


def _value_of(channel: Channel) -> Any:
    return Annotated[float, Meta(description=f"{channel.name} in {channel.unit}")]


RecordedSample: Any = msgspec.defstruct(
    "RecordedSample",
    [
        ("timestamp", _Time),
        *[(channel.name, _value_of(channel) | UnsetType, UNSET) for channel in CHANNELS],
    ],
    namespace={"__doc__": "One reading, without the members that were not measured."},
)
RecordedColumns: Any = msgspec.defstruct(
    "RecordedColumns",
    [
        ("timestamp", list[_Time]),
        *[
            (channel.name, list[_value_of(channel) | None] | UnsetType, UNSET)  # type: ignore[misc]
            for channel in CHANNELS
        ],
    ],
    namespace={"__doc__": "Columns of equal lengths; null where a value was not measured."},
)
