"""The table of channels: what a device measures, in which unit and within which bounds."""

from dataclasses import dataclass
from typing import Final

EARLIEST_TIMESTAMP: Final = 946_684_800_000  # 2000-01-01T00:00:00Z in ms
MAX_CLOCK_LEAD: Final = 86_400_000  # a device clock may run ahead by a day, in ms


@dataclass(frozen=True)
class Channel:
    """One measured quantity: its unit, its bounds, and the decimals devices usually send.

    ``no_value``: the marks by which sensors say that they measured nothing, within the bounds.
    """

    name: str
    unit: str
    minimum: float
    maximum: float
    decimals: int
    no_value: tuple[float, ...] = ()


# The order is part of the stream format: append, never reorder.
CHANNELS: Final = (
    Channel("power", "W", 0, 10_000, 1),
    Channel("cadence", "rpm", 0, 300, 1, (255,)),
    Channel("heartrate", "bpm", 0, 300, 1, (0, 255)),  # 0: a strap without contact
    Channel("speed", "m/s", 0, 100, 3, (65.535,)),
    Channel("distance", "m", 0, 100_000_000, 2, (42_949_672.95,)),
    Channel("altitude", "m", -1_000, 20_000, 1, (-500, 12_607)),
    Channel("lat", "deg", -90, 90, 7),
    Channel("lng", "deg", -180, 180, 7),
    Channel("temperature", "°C", -100, 127, 1, (127,)),
    # The left leg's share of the power.
    Channel("balance", "%", 0, 100, 1),
)
CHANNEL: Final = {channel.name: channel for channel in CHANNELS}
CHANNEL_NAMES: Final = tuple(CHANNEL)
