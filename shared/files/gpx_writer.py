"""A ride as a GPX track, with what the sensors measured in extensions.

Beats, turns, speed and temperature in Garmin's TrackPointExtension, power in Garmin's
PowerExtension and as the plain ``power`` that most programs read, the odometer in Cluetrust's
gpxdata. The format has no place for laps, figures and balance.

A point of GPX must have a position: where none was measured it is the last one, marked by
``<fix>none</fix>``. ``<src>`` names this program: a track of ours is one ride, however long it
pauses.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from shared.files.outgoing import PROGRAM, OutgoingRide
from shared.files.recording import Recording
from shared.files.xml_text import HEAD, element, plain, texts_of, time_of, times_of
from shared.samples.columns import FloatArray, Samples

_GARMIN: Final = "http://www.garmin.com/xmlschemas"
_NAMESPACES: Final = (
    'xmlns="http://www.topografix.com/GPX/1/1"'
    f' xmlns:gpxtpx="{_GARMIN}/TrackPointExtension/v2"'
    f' xmlns:pwr="{_GARMIN}/PowerExtension/v1"'
    ' xmlns:gpxdata="http://www.cluetrust.com/XML/GPXDATA/1/0"'
)
_BYTE: Final = 254
_ANY: Final = float("inf")
_PLACE: Final = ("lat", "lng")
_OTHERS: Final = (
    *("altitude", "heartrate", "cadence", "speed", "temperature", "power", "distance"),
)


def write_gpx(recording: Recording) -> bytes:
    """The recording as a GPX file."""
    return b"".join(gpx_pieces(OutgoingRide.of(recording)))


def gpx_pieces(ride: OutgoingRide) -> Iterator[bytes]:
    """The file in pieces. A new segment begins after each pause."""
    creator = plain(ride.device.product or PROGRAM)
    named = element("name", ride.title) + element("desc", ride.description)
    yield f'{HEAD}<gpx version="1.1" creator="{creator}" {_NAMESPACES}>\n'.encode()
    yield f"<metadata><time>{time_of(ride.start)}</time></metadata>\n".encode()
    source = element("src", PROGRAM)
    yield f"<trk>{named}{source}{element('type', ride.sport)}\n<trkseg>\n".encode()
    channels = [name for name in (*_PLACE, *_OTHERS) if name in ride.channels]
    held, segment = _first_place(ride), 0
    for part, samples in ride.parts(channels, [pause.end for pause in ride.pauses]):
        if part != segment:
            yield b"</trkseg>\n<trkseg>\n"
            segment = part
        places = _Places(samples, held)
        held = places.last
        yield _points(samples, places).encode()
    yield b"</trkseg>\n</trk>\n</gpx>\n"


Place = tuple[float, float]  # degrees


def _first_place(ride: OutgoingRide) -> Place:
    """Where the receiver first knew where it was; 0/0 if it never did."""
    if not {*_PLACE} <= {*ride.channels}:
        return (0.0, 0.0)
    for window in ride.measured(_PLACE):
        known = ~np.isnan(window.channels["lat"]) & ~np.isnan(window.channels["lng"])
        if known.any():
            at = int(np.argmax(known))
            return (float(window.channels["lat"][at]), float(window.channels["lng"][at]))
    return (0.0, 0.0)


class _Places:
    """A position for each sample: the last known one where it has none itself.

    ``known``: whether it has.
    """

    def __init__(self, samples: Samples, held: Place) -> None:
        columns = [samples.channel(name) for name in _PLACE]
        self.known = ~np.isnan(columns[0]) & ~np.isnan(columns[1])
        before = np.maximum.accumulate(np.where(self.known, np.arange(len(samples)), -1))
        self.lat, self.lng = (
            _held(column, before, start) for column, start in zip(columns, held, strict=True)
        )
        self.last = (float(self.lat[-1]), float(self.lng[-1]))


def _held(values: FloatArray, before: np.ndarray, start: float) -> FloatArray:
    return np.where(before >= 0, values[before], start)


def _points(samples: Samples, places: _Places) -> str:
    """A line a sample, of the elements in the schema's order."""
    columns = [
        places.lat.tolist(),
        np.where(places.lng >= 180, -180, places.lng).tolist(),
        _texts(samples, "altitude", "<ele>%.1f</ele>", -_ANY),
        times_of(samples.timestamps),
        map(str.__add__, _fixes(places), _extensions(samples)),
    ]
    return "".join(
        f'<trkpt lat="{lat:.7f}" lon="{lng:.7f}">{height}<time>{time}</time>{rest}</trkpt>\n'
        for lat, lng, height, time, rest in zip(*columns, strict=True)
    )


def _fixes(places: _Places) -> list[str]:
    return ["" if known else "<fix>none</fix>" for known in places.known.tolist()]


def _extensions(samples: Samples) -> list[str]:
    body = zip(
        _texts(samples, "temperature", "<gpxtpx:atemp>%.1f</gpxtpx:atemp>", -_ANY),
        _texts(samples, "heartrate", "<gpxtpx:hr>%.0f</gpxtpx:hr>", 0.5, _BYTE),
        _texts(samples, "cadence", "<gpxtpx:cad>%.0f</gpxtpx:cad>", 0, _BYTE),
        _texts(samples, "speed", "<gpxtpx:speed>%.3f</gpxtpx:speed>"),
        strict=True,
    )
    watts = _texts(samples, "power", "%.0f")
    odometer = _texts(samples, "distance", "<gpxdata:distance>%.2f</gpxdata:distance>")
    return [
        _extended("".join(sensors), _power(power) + metres)
        for sensors, power, metres in zip(body, watts, odometer, strict=True)
    ]


def _power(watts: str) -> str:
    return f"<power>{watts}</power><pwr:PowerInWatts>{watts}</pwr:PowerInWatts>" if watts else ""


def _extended(sensors: str, others: str) -> str:
    if sensors:
        sensors = f"<gpxtpx:TrackPointExtension>{sensors}</gpxtpx:TrackPointExtension>"
    return f"<extensions>{others}{sensors}</extensions>" if sensors or others else ""


def _texts(
    samples: Samples, channel: str, template: str, lowest: float = 0, highest: float = _ANY
) -> list[str]:
    return texts_of(samples.channel(channel), template, lowest, highest)
