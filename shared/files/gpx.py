"""GPX files: tracks of positions, with the sensors in extensions of several makers."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from shared.files import xml
from shared.files.outgoing import PROGRAM
from shared.files.points import Point, columns_of, moment_of, pause_between, times_of
from shared.files.readings import readings, reason_without
from shared.files.recording import (
    Device,
    FileRefused,
    NotAnActivity,
    Pause,
    Recording,
    UnreadableFile,
)
from shared.files.sport_names import sport_of_others, sport_of_words
from shared.samples.columns import Samples

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
_LONGEST_BREAK: Final = 3600  # seconds from a track to one that goes on with it
_LONGEST_PAUSE: Final = 6 * 3600  # seconds between segments of one ride
_PLAIN_TEXTS: Final = {"name", "desc", "cmt", "src", "type"}  # of a track


def read_gpx(text: str, received: int) -> list[Recording]:
    """The rides of a GPX document that arrived at ``received`` (ms).

    A track is a ride, unless it goes on where the one before it has ended less than an hour before.
    One that pauses for longer than a ride may is several, unless we wrote it.
    """
    document = _Document()
    problem = xml.parse(text, document)
    rides = (track.recording(received) for track in _rides_of(document.tracks))
    found = [replace(ride, device=document.device) for ride in rides if ride is not None]
    if not found:
        raise _refusal(document, problem, received)
    return [*found[:-1], found[-1].warned(problem)]


class _Track:
    """What stands within a ``trk``."""

    def __init__(self, said: Point | None = None) -> None:
        self.said: Point = {} if said is None else said
        self.segments: list[list[Point]] = []

    def recording(self, received: int) -> Recording | None:
        """None without a point that has a time."""
        columns = columns_of([point for one in self.segments for point in one], _CHANNELS)
        samples, warnings = readings(columns.times, columns.channels, received)
        if not len(samples) or not samples.channels:
            return None
        return Recording(
            samples,
            sport=self._sport(samples),
            title=self.said.get("name"),
            description=self.said.get("desc") or self.said.get("cmt"),
            pauses=tuple(self._pauses()),
            utc_offset=columns.utc_offset,
            warnings=(*columns.warnings, *warnings),
        )

    def _sport(self, samples: Samples) -> str | None:
        said = self.said.get("type")
        return sport_of_words(said) or (sport_of_others(samples) if said else None)

    def parts(self) -> Iterator["_Track"]:
        """Itself, or a track for each ride in it."""
        if self.said.get("src") == PROGRAM:
            yield self
            return
        part = _Track(self.said)
        for segment in self.segments:
            waited = _seconds_between(part.segments, [segment])
            if waited is not None and waited >= _LONGEST_PAUSE:
                yield part
                part = _Track(self.said)
            part.segments.append(segment)
        yield part

    def has_times(self) -> bool:
        """Whether any point has one."""
        return _first_time(point for segment in self.segments for point in segment) is not None

    def goes_on_in(self, later: "_Track") -> bool:
        """Whether the other track is more of the same ride."""
        waited = _seconds_between(self.segments, later.segments)
        same_sport = self.said.get("type") == later.said.get("type")
        return same_sport and waited is not None and 0 <= waited < _LONGEST_BREAK

    def _pauses(self) -> Iterator[Pause]:
        """A new segment begins where the recording had stopped."""
        for segment, following in zip(self.segments, self.segments[1:], strict=False):
            yield from pause_between(segment, following)


def _rides_of(tracks: list[_Track]) -> list[_Track]:
    """Tracks of one ride in one, and rides of one track apart."""
    rides: list[_Track] = []
    for part in (part for track in tracks for part in track.parts()):
        if rides and rides[-1].goes_on_in(part):
            rides[-1].segments += part.segments
        elif part.has_times():
            rides.append(part)
    return rides


def _seconds_between(earlier: list[list[Point]], later: list[list[Point]]) -> float | None:
    """From the last time of the earlier segments to the first of the later ones."""
    end = _first_time(point for segment in reversed(earlier) for point in reversed(segment))
    start = _first_time(point for segment in later for point in segment)
    return None if end is None or start is None else (start - end) / 1000


def _first_time(points: Iterable[Point]) -> int | None:
    moments = (moment_of(point.get("time")) for point in points)
    return next((moment.ms for moment in moments if moment), None)


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


def _refusal(document: _Document, problem: str | None, received: int) -> FileRefused:
    points = [one for track in document.tracks for segment in track.segments for one in segment]
    if any("time" in point for point in points):
        return UnreadableFile(reason_without(times_of(points), received))
    if points:
        return NotAnActivity("this GPX file holds a track without times: a route, not a ride")
    if document.routes:
        return NotAnActivity("this GPX file holds a route or places, not a ride")
    if problem:
        return UnreadableFile("this GPX file is damaged before its first point")
    return NotAnActivity("this GPX file holds no track")
