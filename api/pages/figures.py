"""Figures of a ride as pages show them: name, number, unit, definition, and the device's own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from api.pages.formats import MISSING, Formats, Shown
from shared.figures import FIGURES

_DEFINITIONS: Final = {each.member: each.definition for each in FIGURES}
_UNITS: Final = {each.member: each.unit for each in FIGURES}


@dataclass(frozen=True)
class Kind:
    """A figure that is shown. ``device``: how its counterpart is called in a device's figures."""

    member: str
    name: str
    device: str | None = None
    digits: int = 0


@dataclass(frozen=True)
class ShownFigure:
    """``value`` and ``unit`` are ours; ``device`` and ``difference`` are None without the other.

    ``needs``: what a figure that is missing would take.
    """

    member: str
    name: str
    value: str
    unit: str
    definition: str
    device: str | None = None
    difference: str | None = None
    needs: str | None = None


# The eight that a ride begins with.
FIRST: Final = (
    Kind("movingTime", "Moving time", "timerTime"),
    Kind("totalDistance", "Distance", "totalDistance"),
    Kind("totalElevationGain", "Climb", "totalElevationGain"),
    Kind("totalEnergy", "Work", "totalEnergy"),
    Kind("normalizedPower", "Normalized", "normalizedPower"),
    Kind("intensityFactor", "Intensity", "intensityFactor", 2),
    Kind("trainingStressScore", "TSS", "trainingStressScore"),
    Kind("avgHeartrate", "Heart rate", "avgHeartrate"),
)
GROUPS: Final = (
    (
        "Time and way",
        (
            Kind("duration", "Elapsed time", "elapsedTime"),
            Kind("movingTime", "Moving time"),
            Kind("recordedTime", "Recorded time", "timerTime"),
            Kind("totalDistance", "Distance", "totalDistance"),
            Kind("avgSpeed", "Average speed", "avgSpeed"),
            Kind("maxSpeed", "Top speed", "maxSpeed"),
            Kind("totalElevationGain", "Climb", "totalElevationGain"),
            Kind("totalElevationLoss", "Descent", "totalElevationLoss"),
        ),
    ),
    (
        "Power",
        (
            Kind("avgPower", "Average power", "avgPower"),
            Kind("maxPower", "Highest power", "maxPower"),
            Kind("normalizedPower", "Normalized power", "normalizedPower"),
            Kind("xPower", "xPower"),
            Kind("totalEnergy", "Work", "totalEnergy"),
            Kind("variabilityIndex", "Variability index", digits=2),
            Kind("intensityFactor", "Intensity factor", "intensityFactor", 2),
            Kind("trainingStressScore", "TSS", "trainingStressScore"),
            Kind("wPrimeBalanceMin", "Lowest W′ balance", digits=1),
        ),
    ),
    (
        "Heart rate and cadence",
        (
            Kind("avgHeartrate", "Average heart rate", "avgHeartrate"),
            Kind("maxHeartrate", "Highest heart rate", "maxHeartrate"),
            Kind("decoupling", "Decoupling", digits=1),
            Kind("avgCadence", "Average cadence", "avgCadence"),
            Kind("avgCadenceWithZeros", "Average cadence with zeros"),
            Kind("maxCadence", "Highest cadence", "maxCadence"),
        ),
    ),
    (
        "Recording",
        (
            Kind("sampleCount", "Samples"),
            Kind("recordingInterval", "Recording interval", digits=1),
            Kind("coverage", "Covered by power"),
            Kind("gapCount", "Gaps"),
            Kind("spikeCount", "Spikes"),
            Kind("strayCount", "Groups of strays"),
            Kind("overwrittenCount", "Overwritten samples"),
        ),
    ),
)
_DURATIONS: Final = frozenset({"duration", "movingTime", "recordedTime"})
_SPEEDS: Final = frozenset({"avgSpeed", "maxSpeed"})
_HEIGHTS: Final = frozenset({"totalElevationGain", "totalElevationLoss"})
_NEEDS_FTP: Final = "It needs power, and an FTP that held on the day of the ride."
_NEEDS: Final = {"intensityFactor": _NEEDS_FTP, "trainingStressScore": _NEEDS_FTP}
Numbers = Mapping[str, Any]


def shown_figures(
    kinds: tuple[Kind, ...], summary: Numbers, device: Numbers, formats: Formats
) -> Iterator[ShownFigure]:
    """The figures of a summary, beside those of the device."""
    for kind in kinds:
        precise = summary.get("precise", {}).get(kind.member)
        value = summary.get(kind.member) if precise is None else precise
        theirs = device.get(kind.device) if kind.device else None
        text, unit = write_figure(kind, value, formats)
        yield ShownFigure(
            kind.member,
            kind.name,
            text,
            unit if value is not None else "",
            _capital(_DEFINITIONS[kind.member]),
            None if theirs is None else write_figure(kind, theirs, formats)[0],
            _difference(kind, value, theirs, formats),
            _NEEDS.get(kind.member) if value is None else None,
        )


def write_figure(kind: Kind, value: float | None, formats: Formats) -> Shown:
    """A figure in the reader's units."""
    member = kind.member
    if member in _DURATIONS:
        return formats.duration(value), ""
    if member == "totalDistance":
        return formats.distance(value)
    if member in _SPEEDS:
        return formats.speed(value)
    if member in _HEIGHTS:
        return formats.height(value)
    if member == "coverage":
        return formats.number(None if value is None else value * 100), "%"
    return formats.number(value, kind.digits), _UNITS[member]


def _difference(
    kind: Kind, ours: float | None, theirs: float | None, formats: Formats
) -> str | None:
    """How far ours is from the device's, in percents of theirs."""
    if ours is None or theirs is None:
        return None
    if write_figure(kind, ours, formats) == write_figure(kind, theirs, formats):
        return "same"
    if not theirs:
        return MISSING
    percent = (ours - theirs) / theirs * 100
    sign = "+" if percent >= 0.05 else ""
    return f"{sign}{formats.number(percent, 1)}\u2009%"


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
