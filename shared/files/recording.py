"""What a file says of one ride, whatever the format; and why a file is refused."""

from dataclasses import dataclass, replace
from typing import Annotated, Final

from msgspec import Meta, Struct, field

from shared.errors import TrackerError
from shared.samples.columns import Samples

EARLIEST_OFFSET: Final = -12 * 3600  # of a time zone, in seconds
LATEST_OFFSET: Final = 14 * 3600

# What the document says of a number: its unit.
Watts = Annotated[float, Meta(description="W")]
Kilojoules = Annotated[float, Meta(description="kJ")]
Kilocalories = Annotated[float, Meta(description="kcal")]
Beats = Annotated[float, Meta(description="bpm")]
Turns = Annotated[float, Meta(description="rpm")]
Metres = Annotated[float, Meta(description="m")]
MetresPerSecond = Annotated[float, Meta(description="m/s")]
Seconds = Annotated[float, Meta(description="s")]
UnixMs = Annotated[int, Meta(description="ms since the Unix epoch")]


class FileRefused(TrackerError):
    """The file gives no ride; the message says why, in words for the rider."""


class UnreadableFile(FileRefused):
    """The file is damaged, too large, or of a format that is not read here."""


class NotAnActivity(FileRefused):
    """The file can be read, and what it holds is no ride: settings, a course, a planned workout."""


class Figures(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """What the device itself computed, as it stored it; None where it stored nothing.

    Named like our own figures, and in their units: seconds, metres, m/s, W, kJ, bpm, rpm.
    """

    elapsed_time: Seconds | None = None
    timer_time: Seconds | None = None
    total_distance: Metres | None = None
    avg_speed: MetresPerSecond | None = None
    max_speed: MetresPerSecond | None = None
    avg_power: Watts | None = None
    max_power: Watts | None = None
    normalized_power: Watts | None = None
    total_energy: Kilojoules | None = None
    training_stress_score: Annotated[float | None, Meta(description="TSS")] = None
    intensity_factor: Annotated[float | None, Meta(description="Normalized Power over FTP")] = None
    threshold_power: Watts | None = None
    avg_heartrate: Beats | None = None
    max_heartrate: Beats | None = None
    avg_cadence: Turns | None = None
    max_cadence: Turns | None = None
    total_elevation_gain: Metres | None = None
    total_elevation_loss: Metres | None = None
    calories: Kilocalories | None = None


NO_FIGURES: Final = Figures()


@dataclass(frozen=True)
class Lap:
    """A lap as the device cut it: from ``start`` to before ``end``, in ms since the Unix epoch."""

    start: int
    end: int
    figures: Figures = NO_FIGURES


@dataclass(frozen=True)
class Pause:
    """The timer stood still from ``start`` to ``end``, in ms since the Unix epoch."""

    start: UnixMs
    end: UnixMs


@dataclass(frozen=True)
class Device:
    """What recorded the ride, or the program that wrote the file."""

    maker: str | None = None
    product: str | None = None
    serial: str | None = None


class Span(Struct, frozen=True):
    """From one moment to another: ms since the Unix epoch, the end excluded."""

    from_: UnixMs = field(name="from")
    to: UnixMs


class Remedies(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a rider has put right by hand: what sets no records, and which spikes were real."""

    excluded: bool = False
    excluded_ranges: tuple[Span, ...] = ()
    vouched_ranges: tuple[Span, ...] = ()


NO_REMEDIES: Final = Remedies()


@dataclass(frozen=True, eq=False)
class Recording:
    """One ride of a file.

    ``samples``: at least one, in order of time; of equal times the one later in the file is later.
    ``sport``: a plain name (``gravel-cycling``), None where the file does not say.
    ``utc_offset``: local time less UTC in seconds, where the device says what its clock showed.
    ``time_zone``: the IANA name of the zone where the ride began, where positions tell.
    ``warnings``: what was lost or put right, a sentence each, for the rider.
    """

    samples: Samples
    sport: str | None = None
    title: str | None = None
    description: str | None = None
    laps: tuple[Lap, ...] = ()
    pauses: tuple[Pause, ...] = ()
    device: Device = Device()
    figures: Figures = NO_FIGURES
    utc_offset: int | None = None
    time_zone: str | None = None
    warnings: tuple[str, ...] = ()
    remedies: Remedies = NO_REMEDIES

    @property
    def start(self) -> int:
        """The first sample's time, in ms since the Unix epoch."""
        return int(self.samples.timestamps[0])

    @property
    def end(self) -> int:
        """The last sample's time, in ms since the Unix epoch."""
        return int(self.samples.timestamps[-1])

    def warned(self, *warnings: str | None) -> "Recording":
        """The same with further warnings; None adds nothing."""
        return replace(self, warnings=(*self.warnings, *(one for one in warnings if one)))


def plausible_offset(seconds: float) -> int | None:
    """A UTC offset to the quarter of an hour; None where no time zone has it."""
    rounded = round(seconds / 900) * 900
    return rounded if EARLIEST_OFFSET <= rounded <= LATEST_OFFSET else None
