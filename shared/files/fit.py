"""FIT files: what head units, watches and Zwift write."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import numpy as np

from shared.files import fit_fields
from shared.files.fit_device import device_of, figures_of
from shared.files.fit_messages import Decoded, Message, decode, has_time
from shared.files.fit_scan import has_more_records
from shared.files.fit_strap import fill_heartrates
from shared.files.readings import readings, reason_without
from shared.files.recording import (
    Figures,
    FileRefused,
    Lap,
    NotAnActivity,
    Pause,
    Recording,
    UnreadableFile,
    plausible_offset,
)
from shared.files.sport_names import sport_of_fit, sport_of_others
from shared.samples.channels import EARLIEST_TIMESTAMP
from shared.samples.columns import FloatArray, IntArray, Samples

# Decoded, each takes a kilobyte or two until it is in columns.
MOST_READINGS: Final = 1_000_000
_STOPS: Final = {"stop", "stop_all", "stop_disable", "stop_disable_all"}
# Kinds of FIT files that are no activity, though a course has records like one.
_OTHER_KINDS: Final = {
    "device": "a device's description",
    "settings": "settings",
    "sport": "settings of a sport",
    "workout": "a planned workout",
    "course": "a course",
    "schedules": "a training plan",
    "weight": "weights",
    "totals": "totals",
    "goals": "goals",
    "blood_pressure": "blood pressure",
    "monitoring_a": "daily monitoring",
    "monitoring_b": "daily monitoring",
    "monitoring_daily": "daily monitoring",
    "activity_summary": "a summary without readings",
    "segment": "a segment",
    "segment_list": "a list of segments",
    "exd_configuration": "settings",
}


def read_fit(
    data: bytes, received: int, decoder: Callable[[bytes], Decoded] = decode
) -> list[Recording]:
    """The rides of a FIT file, or of a chain of them, that arrived at ``received`` (ms).

    Each session is a ride of its sport; transitions between them are left out. What a damaged
    file still holds is kept, and said in the warnings.
    """
    if has_more_records(data, MOST_READINGS):
        raise UnreadableFile(f"this file holds too many readings: more than {MOST_READINGS:,}")
    decoded = decoder(data)
    found = [ride for part in decoded.parts for ride in _Part(part, received).rides()]
    if not found:
        raise _refusal(decoded, received)
    return [*found[:-1], found[-1].warned(decoded.problem)]


class _Part:
    """One file of the chain: its messages by type, and its clock."""

    def __init__(self, messages: list[Message], received: int) -> None:
        self._messages: dict[str, list[Message]] = defaultdict(list)
        for message in messages:
            self._messages[message["message_type"]].append(message)
        self._received = received
        self._records = [one for one in self._messages["record"] if has_time(one)]
        self._times = fit_fields.times_of(self._records)
        self._warnings: list[str] = []
        self._shift = self._clock_shift()
        self._times = self._times + self._shift

    def rides(self) -> list[Recording]:
        """The ride of each session that has readings."""
        if not self._records or _kind(self._messages["file_id"]) in _OTHER_KINDS:
            return []
        columns = self._columns()
        sessions = self._sessions() or [{}]
        rides = []
        for index, chosen in enumerate(self._split(sessions)):
            session = sessions[index]
            if session.get("sport") == "transition" and len(sessions) > 1:
                continue
            ride = self._recording(session, chosen, columns)
            if ride is not None:
                rides.append(replace(ride, **self._within(sessions, index)))
        return rides

    def _recording(
        self, session: Message, chosen: IntArray, columns: dict[str, FloatArray]
    ) -> Recording | None:
        """None where the device measured nothing in that time."""
        measured = {name: values[chosen] for name, values in columns.items()}
        samples, warnings = readings(self._times[chosen], measured, self._received)
        if not len(samples) or not samples.channels:
            return None
        return Recording(
            samples,
            sport=self._sport(session, samples),
            device=device_of(self._messages["file_id"], self._messages["device_info"]),
            figures=figures_of(session, samples),
            utc_offset=self._utc_offset(),
            warnings=(*self._warnings, *warnings),
        )

    def _columns(self) -> dict[str, FloatArray]:
        columns = fit_fields.columns_of(self._records, self._messages["field_description"])
        columns["heartrate"] = fill_heartrates(
            self._times - self._shift, columns["heartrate"], self._messages["hr"]
        )
        return columns

    def _sessions(self) -> list[Message]:
        """In order of time; those that begin at the same time cannot be told apart: the first."""
        starts = {self._time(one, "start_time"): one for one in self._messages["session"][::-1]}
        if None in starts and len(starts) > 1:
            del starts[None]
        return [starts[start] for start in sorted(starts, key=lambda start: start or 0)]

    def _split(self, sessions: list[Message]) -> list[IntArray]:
        """Which records are each session's: from its start to the next one's."""
        if len(sessions) < 2:
            return [np.arange(len(self._times))]
        starts = [self._time(session, "start_time") or 0 for session in sessions]
        owner = np.maximum(np.searchsorted(starts, self._times, "right") - 1, 0)
        return [np.flatnonzero(owner == index) for index in range(len(sessions))]

    def _within(self, sessions: list[Message], index: int) -> dict[str, Any]:
        """Laps and pauses of one session: those that begin in its time."""
        bounds = [self._time(session, "start_time") or 0 for session in sessions[1:]]
        first = bounds[index - 1] if index else -np.inf
        last = bounds[index] if index < len(bounds) else np.inf
        return {
            "laps": tuple(lap for lap in self._laps() if first <= lap.start < last),
            "pauses": tuple(pause for pause in self._pauses() if first <= pause.start < last),
        }

    def _laps(self) -> Iterator[Lap]:
        """Those that last, and have some of the ride."""
        first, last = int(self._times.min()), int(self._times.max())
        for message in self._messages["lap"]:
            figures = figures_of(message)
            start, end = self._bounds_of(message, figures)
            if start is not None and end is not None and first < end > start <= last:
                yield Lap(start, end, figures)

    def _bounds_of(self, lap: Message, figures: Figures) -> tuple[int | None, int | None]:
        start, end = self._time(lap, "start_time"), self._time(lap, "timestamp")
        if start is None and len(self._messages["lap"]) == 1:  # the only one is all of the ride
            return int(self._times.min()), int(self._times.max())
        if start is not None and figures.elapsed_time is not None:
            end = start + round(figures.elapsed_time * 1000)
        return start, end

    def _pauses(self) -> Iterator[Pause]:
        stopped = None
        for event in self._messages["event"]:
            time = self._time(event, "timestamp")
            if event.get("event") != "timer" or time is None:
                continue
            if event.get("event_type") in _STOPS:
                stopped = time if stopped is None else stopped
            elif stopped is not None and event.get("event_type") == "start":
                if time > stopped:
                    yield Pause(stopped, time)
                stopped = None

    def _sport(self, session: Message, samples: Samples) -> str | None:
        said = [session, *self._messages["sport"], {"sport": self._records[0].get("activity_type")}]
        named = (sport_of_fit(one.get("sport"), one.get("sub_sport")) for one in said)
        is_said = any(one.get("sport") is not None for one in said)
        others = sport_of_others(samples) if is_said else None
        return next((name for name in named if name), others)

    def _utc_offset(self) -> int | None:
        local, utc = self._activity_times()
        if self._shift or local is None or utc is None:
            return None
        return plausible_offset((local - utc) / 1000)

    def _clock_shift(self) -> int:
        """What to add to every time of a device whose clock counts from its power-up."""
        if not len(self._times) or self._times.max() >= EARLIEST_TIMESTAMP:
            return 0
        local, counted = self._activity_times()
        if local is not None and counted is not None and local >= EARLIEST_TIMESTAMP:
            self._warnings.append("the device knew its local time only: it is taken for UTC")
            return local - counted
        self._warnings.append("the device had no date: the ride is taken to end when it was sent")
        return self._received - int(self._times.max())

    def _activity_times(self) -> tuple[int | None, int | None]:
        """The same moment by the device's local time and by the clock of its records."""
        activity: Message = next(iter(self._messages["activity"]), {})
        return _ms(activity.get("local_timestamp")), _ms(activity.get("timestamp"))

    def _time(self, message: Message, name: str) -> int | None:
        time = _ms(message.get(name))
        return None if time is None else time + self._shift


def _ms(written: object) -> int | None:
    """A damaged file may have a list where a time should be."""
    if not isinstance(written, str):
        return None
    return int(np.datetime64(written, "ms").astype(np.int64))


def _kind(file_ids: list[Message]) -> object:
    return file_ids[0].get("type") if file_ids else None


def _refusal(decoded: Decoded, received: int) -> FileRefused:
    """Why a file without a ride is refused."""
    messages = [message for part in decoded.parts for message in part]
    kinds = [str(_kind([one])) for one in messages if one["message_type"] == "file_id"]
    types = {message["message_type"] for message in messages}
    named = next((_OTHER_KINDS[kind] for kind in kinds if kind in _OTHER_KINDS), None)
    if named:
        return NotAnActivity(f"this FIT file holds {named}, not a ride")
    records = [each for each in messages if each["message_type"] == "record" and has_time(each)]
    if records:
        return UnreadableFile(reason_without(fit_fields.times_of(records), received))
    if not decoded.problem and types & {"length", "lap", "session"}:
        return NotAnActivity("this activity holds laps or lengths, but no readings over time")
    if not decoded.problem and messages:
        return NotAnActivity("this FIT file holds no readings")
    return UnreadableFile("this FIT file is damaged before its first reading")
