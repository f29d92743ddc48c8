"""TCX files: Garmin's older XML, which many programs still write."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from shared.files import xml
from shared.files.points import Point, columns_of, figure_of, moment_of, pause_between, times_of
from shared.files.readings import readings, reason_without
from shared.files.recording import (
    Device,
    Figures,
    FileRefused,
    Lap,
    NotAnActivity,
    Pause,
    Recording,
    UnreadableFile,
)
from shared.files.sport_names import sport_of_others, sport_of_words
from shared.samples.channels import CHANNEL
from shared.samples.columns import Samples

ROOT: Final = "TrainingCenterDatabase"

# Channel → names of elements, in small letters; `value` is known by the element around it.
_CHANNELS: Final = {
    "power": ("watts", "power"),
    "cadence": ("cadence", "runcadence"),
    "heartrate": ("heartratebpm",),
    "speed": ("speed",),
    "distance": ("distancemeters",),
    "altitude": ("altitudemeters",),
    "lat": ("latitudedegrees",),
    "lng": ("longitudedegrees",),
    "temperature": ("temperature", "temp", "atemp"),
}
_FIGURES: Final = {
    "elapsed_time": ("totaltimeseconds",),
    "total_distance": ("distancemeters",),
    "max_speed": ("maximumspeed",),
    "avg_speed": ("avgspeed",),
    "calories": ("calories",),
    "avg_heartrate": ("averageheartratebpm",),
    "max_heartrate": ("maximumheartratebpm",),
    "avg_cadence": ("cadence", "avgruncadence"),
    "max_cadence": ("maxbikecadence", "maxruncadence"),
    "avg_power": ("avgwatts",),
    "max_power": ("maxwatts",),
}


def read_tcx(text: str, received: int) -> list[Recording]:
    """The activities of a TCX document that arrived at ``received`` (ms), each a ride."""
    document = _Document()
    problem = xml.parse(text, document)
    rides = (activity.recording(received) for activity in document.activities)
    found = [ride for ride in rides if ride is not None]
    if not found:
        raise _refusal(document, problem, received)
    return [*found[:-1], found[-1].warned(problem)]


class _Track(NamedTuple):
    """Points without a break, and which lap they are of."""

    lap: int
    points: list[Point]


class _Activity:
    """What stands within an ``Activity``."""

    def __init__(self, sport: str | None) -> None:
        self.sport = sport
        self.said: Point = {}
        self.laps: list[Point] = []
        self.tracks: list[_Track] = []

    def recording(self, received: int) -> Recording | None:
        """None without a reading that has a time."""
        columns = columns_of([point for track in self.tracks for point in track.points], _CHANNELS)
        samples, warnings = readings(columns.times, columns.channels, received)
        if not len(samples) or not samples.channels:
            return None
        laps = tuple(self._laps())
        return Recording(
            samples,
            sport=self._sport(samples),
            description=self.said.get("notes"),
            laps=laps,
            pauses=tuple(self._pauses()),
            device=Device(product=self.said.get("name"), serial=self._serial()),
            figures=laps[0].figures if len(laps) == 1 else _summed(laps),
            utc_offset=columns.utc_offset,
            warnings=(*columns.warnings, *warnings),
        )

    def _sport(self, samples: Samples) -> str | None:
        said = self.said.get("sport") or self.sport
        return sport_of_words(said) or (sport_of_others(samples) if said else None)

    def _laps(self) -> Iterator[Lap]:
        for lap in self.laps:
            start, figures = moment_of(lap.get("time")), _figures(lap)
            if start is not None:
                yield Lap(start.ms, start.ms + round((figures.elapsed_time or 0) * 1000), figures)

    def _pauses(self) -> Iterator[Pause]:
        """A lap of several tracks was paused between them."""
        for track, following in zip(self.tracks, self.tracks[1:], strict=False):
            if track.lap == following.lap:
                yield from pause_between(track.points, following.points)

    def _serial(self) -> str | None:
        serial = self.said.get("unitid")
        return serial if serial and serial.strip("0") else None


class _Document:
    """Follows the elements, and keeps what stands within activities."""

    def __init__(self) -> None:
        self.activities: list[_Activity] = []
        self.other: set[str] = set()  # what else the file holds
        self._path: list[str] = []
        self._activity: _Activity | None = None
        self._lap: Point | None = None
        self._point: Point | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Open an activity, a lap, a track or a point."""
        self._path.append(name)
        if name in ("Course", "Workout"):
            self.other.add(name)
        elif name == "Activity":
            self._activity = _Activity(attributes.get("Sport"))
            self.activities.append(self._activity)
        elif self._activity is not None:
            self._open(self._activity, name, attributes)

    def end(self, name: str, text: str) -> None:
        """Keep a text where it belongs, and close what ends."""
        self._path.pop()
        if self._activity is None:
            return
        if text:
            self._keep(name, text)
        if name == "Trackpoint":
            self._point = None
        elif name == "Lap":
            self._lap = None
        elif name == "Activity":
            self._activity = None

    def _open(self, activity: _Activity, name: str, attributes: dict[str, str]) -> None:
        if name == "Lap":
            self._lap = {"time": attributes.get("StartTime", "")}
            activity.laps.append(self._lap)
        elif name == "Track":
            activity.tracks.append(_Track(len(activity.laps), []))
        elif name == "Trackpoint" and activity.tracks:
            self._point = {}
            activity.tracks[-1].points.append(self._point)

    def _keep(self, name: str, text: str) -> None:
        around = self._path[-1] if self._path else ""
        key = (around if name == "Value" else name).lower()
        if self._point is not None:
            self._point[key] = text
        elif self._lap is not None:
            self._lap.setdefault(key, text)
        elif self._activity is not None and self._says_more(name, around):
            self._activity.said[key] = text

    def _says_more(self, name: str, around: str) -> bool:
        """Whether it is of the activity itself, or the sport in our extension of it."""
        is_ours = name == "Sport" and self._path[-2:] == ["Activity", "Extensions"]
        return around in ("Activity", "Creator") or is_ours


def _figures(lap: Point) -> Figures:
    found = {name: _figure(lap, names) for name, names in _FIGURES.items()}
    beyond = found["max_speed"] is not None and found["max_speed"] > CHANNEL["speed"].maximum
    return Figures(**(found | ({"max_speed": None} if beyond else {})))


def _figure(lap: Point, names: tuple[str, ...]) -> float | None:
    return next((value for name in names if (value := figure_of(lap.get(name))) is not None), None)


def _summed(laps: tuple[Lap, ...]) -> Figures:
    """What the laps add up to. Averages of theirs are no figure of the device."""
    return Figures(
        elapsed_time=_total(lap.figures.elapsed_time for lap in laps),
        total_distance=_total(lap.figures.total_distance for lap in laps),
        calories=_total(lap.figures.calories for lap in laps),
        max_heartrate=_highest(lap.figures.max_heartrate for lap in laps),
        max_speed=_highest(lap.figures.max_speed for lap in laps),
        max_power=_highest(lap.figures.max_power for lap in laps),
    )


def _total(values: Iterator[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _highest(values: Iterator[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _refusal(document: _Document, problem: str | None, received: int) -> FileRefused:
    if "Course" in document.other:
        return NotAnActivity("this TCX file holds a course, not a ride")
    if "Workout" in document.other:
        return NotAnActivity("this TCX file holds a planned workout, not a ride")
    tracks = [track for activity in document.activities for track in activity.tracks]
    times = times_of(point for track in tracks for point in track.points)
    if len(times):
        return UnreadableFile(reason_without(times, received))
    if problem:
        return UnreadableFile("this TCX file is damaged before its first reading")
    return NotAnActivity("this TCX file holds no readings with times")
