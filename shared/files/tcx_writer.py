"""A ride as a TCX file, with power and speed in Garmin's extensions.

The format has no place for temperature and balance, and three sports: which one it was stands in
an extension of ours.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from shared.files.outgoing import PROGRAM, OutgoingRide
from shared.files.recording import Device, Recording
from shared.files.sport_names import sport_of_words
from shared.files.xml_text import HEAD, element, plain, texts_of, time_of, times_of
from shared.samples.columns import Samples
from shared.sports import CYCLING, sport_family

_GARMIN: Final = "http://www.garmin.com/xmlschemas"
_OURS: Final = "urn:bike-power-tracker"
_ROOT: Final = (
    f'{HEAD}<TrainingCenterDatabase xmlns="{_GARMIN}/TrainingCenterDatabase/v2"'
    f' xmlns:ns3="{_GARMIN}/ActivityExtension/v2"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n<Activities>\n'
)
_CHANNELS: Final = ("lat", "lng", "altitude", "distance", "heartrate", "cadence", "speed", "power")
_SPORTS: Final = {CYCLING: "Biking", "e-bike": "Biking", "handcycling": "Biking"}
_BYTE: Final = 254
_SHORT: Final = 65_535
_ANY: Final = float("inf")


def write_tcx(recording: Recording) -> bytes:
    """The recording as a TCX file."""
    return b"".join(tcx_pieces(OutgoingRide.of(recording)))


def tcx_pieces(ride: OutgoingRide) -> Iterator[bytes]:
    """The file in pieces. Laps follow one another: a sample is of the lap that began last."""
    yield _ROOT.encode()
    yield f'<Activity Sport="{_sport(ride.sport)}"><Id>{time_of(ride.start)}</Id>\n'.encode()
    yield from _Laps(ride).pieces()
    notes = element("Notes", ride.description or ride.title)
    yield f"{notes}{_creator(ride.device)}{_extension(ride.sport)}</Activity>\n".encode()
    yield b"</Activities>\n</TrainingCenterDatabase>\n"


class _Laps:
    """The laps, one after the other, and the tracks between pauses in each."""

    def __init__(self, ride: OutgoingRide) -> None:
        self._ride = ride
        self._laps = sorted(ride.laps_or_one(), key=lambda lap: lap.start)
        self._starts = [lap.start for lap in self._laps[1:]]  # what comes before is of the first
        self._channels = [name for name in _CHANNELS if name in ride.channels]
        self._ridden = self._distances()

    def pieces(self) -> Iterator[bytes]:
        """Their elements, with all points."""
        breaks = sorted({*self._starts, *(pause.end for pause in self._ride.pauses)})
        lap, track = 0, -1
        yield self._begin(0)
        for part, samples in self._ride.parts(self._channels, breaks):
            if part != track:
                if track >= 0:
                    yield b"</Track>\n"
                current = int(np.searchsorted(self._starts, samples.timestamps[0], side="right"))
                yield self._to(lap, current) + b"<Track>\n"
                lap, track = current, part
            yield _points(samples).encode()
        yield b"</Track>\n" + self._to(lap, len(self._laps) - 1) + self._finish(-1)

    def _to(self, lap: int, following: int) -> bytes:
        """From within one lap to within another; those between them have no points."""
        passed = range(lap, following)
        return b"".join(self._finish(index) + self._begin(index + 1) for index in passed)

    def _begin(self, index: int) -> bytes:
        lap = self._laps[index]
        figures = lap.figures
        seconds = figures.elapsed_time
        seconds = (lap.end - lap.start) / 1000 if seconds is None else seconds
        metres = figures.total_distance
        metres = self._ridden.get(index, 0.0) if metres is None else metres
        return (
            f'<Lap StartTime="{time_of(lap.start)}">'
            f"<TotalTimeSeconds>{seconds:.3f}</TotalTimeSeconds>"
            f"<DistanceMeters>{metres:.2f}</DistanceMeters>"
            f"{_number('MaximumSpeed', figures.max_speed, 3)}"
            f"<Calories>{min(_SHORT, figures.calories or 0):.0f}</Calories>"
            f"{_beats('AverageHeartRateBpm', figures.avg_heartrate)}"
            f"{_beats('MaximumHeartRateBpm', figures.max_heartrate)}"
            "<Intensity>Active</Intensity>"
            f"{_number('Cadence', figures.avg_cadence, 0, _BYTE)}"
            "<TriggerMethod>Manual</TriggerMethod>\n"
        ).encode()

    def _finish(self, index: int) -> bytes:
        figures = self._laps[index].figures
        extension = (
            _number("ns3:AvgSpeed", figures.avg_speed, 3)
            + _number("ns3:MaxBikeCadence", figures.max_cadence, 0, _BYTE)
            + _number("ns3:AvgWatts", figures.avg_power, 0, _SHORT)
            + _number("ns3:MaxWatts", figures.max_power, 0, _SHORT)
        )
        if extension:
            extension = f"<Extensions><ns3:LX>{extension}</ns3:LX></Extensions>"
        return f"{extension}</Lap>\n".encode()

    def _distances(self) -> dict[int, float]:
        """By the odometer, for the laps that do not say it."""
        silent = any(lap.figures.total_distance is None for lap in self._laps)
        if not silent or "distance" not in self._ride.channels:
            return {}
        ends: dict[int, tuple[float, float]] = {}
        for index, samples in self._ride.parts(["distance"], self._starts):
            measured = samples.channels["distance"]
            measured = measured[~np.isnan(measured)]
            if len(measured):
                ends[index] = (ends.get(index, measured)[0], measured[-1])
        return {index: max(0.0, float(last - first)) for index, (first, last) in ends.items()}


def _points(samples: Samples) -> str:
    """A line a sample, of the elements in the schema's order."""
    columns = [
        times_of(samples.timestamps),
        _positions(samples),
        _texts(samples, "altitude", "<AltitudeMeters>%.1f</AltitudeMeters>", -_ANY),
        _texts(samples, "distance", "<DistanceMeters>%.2f</DistanceMeters>"),
        _texts(
            samples, "heartrate", "<HeartRateBpm><Value>%.0f</Value></HeartRateBpm>", 0.5, _BYTE
        ),
        _texts(samples, "cadence", "<Cadence>%.0f</Cadence>", 0, _BYTE),
        _extensions(samples),
    ]
    return "".join(
        f"<Trackpoint><Time>{time}</Time>{''.join(rest)}</Trackpoint>\n"
        for time, *rest in zip(*columns, strict=True)
    )


def _positions(samples: Samples) -> list[str]:
    template = "<Position><LatitudeDegrees>%.7f</LatitudeDegrees>"
    north = _texts(samples, "lat", template, -_ANY)
    east = _texts(samples, "lng", "<LongitudeDegrees>%.7f</LongitudeDegrees></Position>", -_ANY)
    return [f"{lat}{lng}" if lat and lng else "" for lat, lng in zip(north, east, strict=True)]


def _extensions(samples: Samples) -> list[str]:
    speeds = _texts(samples, "speed", "<ns3:Speed>%.3f</ns3:Speed>")
    watts = _texts(samples, "power", "<ns3:Watts>%.0f</ns3:Watts>", 0, _SHORT)
    return [
        f"<Extensions><ns3:TPX>{speed}{power}</ns3:TPX></Extensions>" if speed or power else ""
        for speed, power in zip(speeds, watts, strict=True)
    ]


def _texts(
    samples: Samples, channel: str, template: str, lowest: float = 0, highest: float = _ANY
) -> list[str]:
    return texts_of(samples.channel(channel), template, lowest, highest)


def _number(name: str, value: float | None, decimals: int, highest: float = _ANY) -> str:
    return "" if value is None or value > highest else f"<{name}>{value:.{decimals}f}</{name}>"


def _beats(name: str, value: float | None) -> str:
    known = value is not None and 0.5 < value <= _BYTE
    return f"<{name}><Value>{value:.0f}</Value></{name}>" if known else ""


def _sport(name: str | None) -> str:
    """Of the three that there are."""
    family = sport_family(sport_of_words(name) or "")
    return "Running" if family == "running" else _SPORTS.get(family, "Other")


def _extension(sport: str | None) -> str:
    if not sport:
        return ""
    return f'<Extensions><Sport xmlns="{_OURS}">{plain(sport)}</Sport></Extensions>'


def _creator(device: Device) -> str:
    serial = device.serial or ""
    unit = serial if serial.isascii() and serial.isdigit() and int(serial) < 2**32 else "0"
    return (
        f'<Creator xsi:type="Device_t"><Name>{plain(device.product or PROGRAM)}</Name>'
        f"<UnitId>{unit}</UnitId><ProductID>0</ProductID><Version><VersionMajor>1</VersionMajor>"
        "<VersionMinor>0</VersionMinor></Version></Creator>"
    )
