"""Laps of a ride, pauses, and what a device tells of itself: as they are stored and shown."""

from typing import Annotated, Any, Final, cast

import msgspec
from msgspec import Meta, Struct

from shared.files.recording import (
    Beats,
    Figures,
    Kilojoules,
    Metres,
    MetresPerSecond,
    Turns,
    UnixMs,
    Watts,
)

MOST_LAPS: Final = 1000  # of a ride


class LapFigures(Struct, frozen=True, kw_only=True, rename="camel"):
    """The figures of a lap, by the definitions and in the units of the summary's."""

    duration: Annotated[float, Meta(description="s: from the start to the end of the lap")]
    avg_power: Watts | None
    max_power: Watts | None
    normalized_power: Watts | None
    total_energy: Kilojoules | None
    avg_heartrate: Beats | None
    max_heartrate: Beats | None
    avg_cadence: Turns | None
    max_cadence: Turns | None
    total_distance: Metres | None
    avg_speed: MetresPerSecond | None
    total_elevation_gain: Metres | None


class Lap(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """From ``start`` to before ``end``, in ms since the Unix epoch.

    ``implied``: the start is where the lap before ends. ``device``: what the device said of the
    lap itself. ``start`` and ``summary`` are there once the lap was folded.
    """

    start: UnixMs | None = None
    end: UnixMs
    implied: bool = False
    device: Figures | None = None
    summary: LapFigures | None = None


class PauseShown(Struct, frozen=True, rename="camel"):
    """The device's timer stood still from ``start`` to ``end``, in ms since the Unix epoch."""

    start: UnixMs
    end: UnixMs


class DeviceShown(Figures, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """What recorded the ride, and the figures that it computed itself; ours are in the summary."""

    maker: str | None = None
    product: str | None = None
    serial: str | None = None


def laps_of(stored: object) -> list[Lap]:
    """The laps of a row."""
    return msgspec.convert(cast(Any, stored), list[Lap])
