"""GPX files: tracks of positions, with the sensors in extensions of several makers."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from shared.files import xml
from shared.files.points import Point, columns_of, pause_between
from shared.files.readings import readings
from shared.files.recording import (
    NOTHING_USABLE,
    Device,
    FileRefused,
    NotAnActivity,
    Pause,
    Recording,
    UnreadableFile,
)
from shared.files.sport_names import sport_of_words

ROOT: Final = "gpx"

# Channel → names in small letters: of GPX itself, Garmin's TrackPointExtension and
# PowerExtension, Cluetrust's gpxdata, and the plain ones of Strava and others.
_CHANNELS: Final = {
    "power": ("power", "powerinwatts", "watts"),
    "cadence": ("cad", "cadence", "rpm"),
    "heartrate": ("hr", "heartrate", "heart_rate", "bpm"),
    "speed": ("speed",),
    "distance": ("distance",),
    "altitude": ("ele", "altitude"),
    "lat": ("lat",),
    "lng": ("lon",),
    "temperature": ("atemp", "temp", "temperature"),
}
_PLAIN_TEXTS: Final = {"name", "desc", "cmt", "type"}  # of a track


def read_gpx(text: str, received: int) -> list[Recording]:
    """The tracks of a GPX document that arrived at ``received`` (ms), each a ride."""
    document = _Document()
    problem = xml.parse(text, document)
    rides = (track.recording(received) for track in document.tracks)
    found = [replace(ride, device=document.device) for ride in rides if ride is not None]
    if not found:
        raise _refusal(document, problem)
    return [*found[:-1], found[-1].warned(problem)]


class _Track:
    """What stands within a ``trk``."""

    def __init__(self) -> None:
        self.said: Point = {}
        self.segments: list[list[Point]] = []

    def recording(self, received: int) -> Recording | None:
        """None without a point that has a time."""
        columns = columns_of([point for one in self.segments for point in one], _CHANNELS)
        samples, warnings = readings(columns.times, columns.channels, received)
        if not len(samples) or not samples.channels:
            return None
        return Recording(
            samples,
            sport=sport_of_words(self.said.get("type")),
            title=self.said.get("name"),
            description=self.said.get("desc") or self.said.get("cmt"),
            pauses=tuple(self._pauses()),
            utc_offset=columns.utc_offset,
            warnings=(*columns.warnings, *warnings),
        )

    def _pauses(self) -> Iterator[Pause]:
        """A new segment begins where the recording had stopped."""
        for segment, following in zip(self.segments, self.segments[1:], strict=False):
            yield from pause_between(segment, following)


class _Document:
    """Follows the elements, and keeps what stands within tracks."""

    def __init__(self) -> None:
        self.tracks: list[_Track] = []
        self.device = Device()
        self.routes = False
        self._path: list[str] = []
        self._point: Point | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Open a track, a segment or a point."""
        self._path.append(name)
        if name == "gpx":
            self.device = Device(product=attributes.get("creator") or None)
        elif name in ("rte", "wpt"):
            self.routes = True
        elif name == "trk":
            self.tracks.append(_Track())
        elif name == "trkseg" and self.tracks:
            self.tracks[-1].segments.append([])
        elif name == "trkpt" and self.tracks:
            self._open_point(attributes)

    def end(self, name: str, text: str) -> None:
        """Keep a text where it belongs, and close the point that ends."""
        self._path.pop()
        if name == "trkpt":
            self._close_point()
        elif self._point is not None and text:
            self._point.setdefault(name.lower(), text)
        elif text and name in _PLAIN_TEXTS and self._path[-1:] == ["trk"]:
            self.tracks[-1].said[name] = text

    def _open_point(self, attributes: dict[str, str]) -> None:
        track = self.tracks[-1]
        if not track.segments:
            track.segments.append([])
        self._point = {name: attributes[name] for name in ("lat", "lon") if name in attributes}
        track.segments[-1].append(self._point)

    def _close_point(self) -> None:
        """A position that is none of the receiver's is no measurement."""
        if self._point is not None and self._point.get("fix") == "none":
            for name in ("lat", "lon"):
                self._point.pop(name, None)
        self._point = None


def _refusal(document: _Document, problem: str | None) -> FileRefused:
    points = [one for track in document.tracks for segment in track.segments for one in segment]
    if any("time" in point for point in points):
        return UnreadableFile(NOTHING_USABLE)
    if points:
        return NotAnActivity("this GPX file holds a track without times: a route, not a ride")
    if document.routes:
        return NotAnActivity("this GPX file holds a route or places, not a ride")
    if problem:
        return UnreadableFile("this GPX file is damaged before its first point")
    return NotAnActivity("this GPX file holds no track")
