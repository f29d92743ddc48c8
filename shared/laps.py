"""Laps of a ride, pauses, and what a device tells of itself: as they are stored and shown."""

from typing import Annotated, Any, Final, cast

import msgspec
from msgspec import Meta, Struct

from shared.files.recording import Figures

MOST_LAPS: Final = 1000  # of a ride


class LapFigures(Struct, frozen=True, kw_only=True, rename="camel"):
    """The figures of a lap, by the definitions and in the units of the summary's."""

    duration: Annotated[float, Meta(description="s: from the start to the end of the lap")]
    avg_power: float | None
    max_power: float | None
    normalized_power: float | None
    total_energy: float | None
    avg_heartrate: float | None
    max_heartrate: float | None
    avg_cadence: float | None
    max_cadence: float | None
    total_distance: float | None
    avg_speed: float | None
    total_elevation_gain: float | None


class Lap(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """From ``start`` to before ``end``, in ms since the Unix epoch.

    ``implied``: the start is where the lap before ends. ``device``: what the device said of the
    lap itself. ``start`` and ``summary`` are there once the lap was folded.
    """

    start: int | None = None
    end: int
    implied: bool = False
    device: Figures | None = None
    summary: LapFigures | None = None


class PauseShown(Struct, frozen=True, rename="camel"):
    """The device's timer stood still from ``start`` to ``end``, in ms since the Unix epoch."""

    start: int
    end: int


class DeviceShown(Figures, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """What recorded the ride, and the figures that it computed itself; ours are in the summary."""

    maker: str | None = None
    product: str | None = None
    serial: str | None = None


def laps_of(stored: object) -> list[Lap]:
    """The laps of a row."""
    return msgspec.convert(cast(Any, stored), list[Lap])
