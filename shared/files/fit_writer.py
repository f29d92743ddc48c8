"""A ride as a FIT activity: what head units write, and other programs open."""

import struct
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

import numpy as np

from shared.files import fit_encoding as fit
from shared.files.fit_encoding import (
    ENUM,
    SINT8,
    SINT32,
    UINT8,
    UINT16,
    UINT32,
    UINT32Z,
    Field,
    Value,
)
from shared.files.fit_names import fit_sport, maker_number, product_number
from shared.files.outgoing import PROGRAM, OutgoingRide
from shared.files.recording import Lap, Recording
from shared.samples.columns import FloatArray, IntArray, Samples, downsample_windows

# Messages: their numbers in FIT, and those they are known by within the file.
_FILE_ID, _LAP, _SESSION, _RECORD, _EVENT, _DEVICE, _ACTIVITY, _CREATOR = (
    *((0, 0), (4, 19), (6, 18), (5, 20), (3, 21), (2, 23), (7, 34), (1, 49)),
)
_ACTIVITY_FILE: Final = 4
_TIMER, _SESSION_EVENT, _LAP_EVENT, _ACTIVITY_EVENT = 0, 8, 9, 26
_STARTS, _STOPS, _STOPS_ALL = 0, 1, 4
_LOCAL_SOURCE: Final = 5
_MANUAL, _SESSION_END = 0, 7  # what ended a lap
_SEMICIRCLES: Final = 2**31 / 180  # a degree
_RIGHT: Final = 0x80  # the balance is the right leg's
_VERSION: Final = 100

_TIME: Final = Field(fit.TIMESTAMP, UINT32)
_INDEX: Final = Field(254, UINT16)
_CHANNELS: Final = {
    "lat": Field(0, SINT32, _SEMICIRCLES),
    "lng": Field(1, SINT32, _SEMICIRCLES),
    "heartrate": Field(3, UINT8),
    "cadence": Field(4, UINT8),
    "distance": Field(5, UINT32, 100),
    "power": Field(7, UINT16),
    "temperature": Field(13, SINT8),
    "balance": Field(30, UINT8),
    "speed": Field(73, UINT32, 1000),
    "altitude": Field(78, UINT32, 5, 500),
}
# A figure's field in a session, and its number in a lap where that is another, or -1 for none.
_FIGURES: Final = {
    "elapsed_time": (Field(7, UINT32, 1000), 7),
    "timer_time": (Field(8, UINT32, 1000), 8),
    "total_distance": (Field(9, UINT32, 100), 9),
    "calories": (Field(11, UINT16), 11),
    "avg_heartrate": (Field(16, UINT8), 15),
    "max_heartrate": (Field(17, UINT8), 16),
    "avg_cadence": (Field(18, UINT8), 17),
    "max_cadence": (Field(19, UINT8), 18),
    "avg_power": (Field(20, UINT16), 19),
    "max_power": (Field(21, UINT16), 20),
    "total_elevation_gain": (Field(22, UINT16), 21),
    "total_elevation_loss": (Field(23, UINT16), 22),
    "normalized_power": (Field(34, UINT16), 33),
    "training_stress_score": (Field(35, UINT16, 10), -1),
    "intensity_factor": (Field(36, UINT16, 1000), -1),
    "threshold_power": (Field(45, UINT16), -1),
    "total_energy": (Field(48, UINT32, 1000), 41),
    "avg_speed": (Field(124, UINT32, 1000), 110),
    "max_speed": (Field(125, UINT32, 1000), 111),
}


def write_fit(recording: Recording) -> bytes:
    """The recording as a FIT file."""
    return b"".join(fit_pieces(OutgoingRide.of(recording)))


def fit_pieces(ride: OutgoingRide) -> Iterator[bytes]:
    """The file in pieces, each made when the one before was taken.

    FIT counts whole seconds: of a ride that was sampled more often, or in between, it has the means
    of each second. Watts, beats, turns and degrees are whole numbers, and so is the balance.
    """
    file = _File(ride)
    head = fit.header(file.size)
    crc = fit.checksum(head)
    yield head
    for piece in file.pieces():
        crc = fit.checksum(piece, crc)
        yield piece
    yield struct.pack("<H", crc)


class _Mark(NamedTuple):
    """What stands between the records: before those of its moment, or ``after`` them."""

    ms: int
    after: bool
    written: bytes


class _File:
    """The messages of a ride."""

    def __init__(self, ride: OutgoingRide) -> None:
        self._ride = ride
        self._sport = fit_sport(ride.sport)
        self._channels = [name for name in _CHANNELS if name in ride.channels]
        self._columns = [_TIME, *(_CHANNELS[name] for name in self._channels)]
        self._head = b"".join(self._opening())
        self._marks = sorted([*self._timer(), *self._laps()], key=lambda mark: mark[:2])
        self._foot = self._session() + self._activity()

    @property
    def size(self) -> int:
        """The bytes of all messages."""
        records = sum(len(window) for window in _seconds(self._ride, []))
        fixed = len(self._head) + len(self._foot) + sum(len(mark.written) for mark in self._marks)
        return fixed + records * fit.row_size(self._columns)

    def pieces(self) -> Iterator[bytes]:
        """The messages, the records with the marks between them."""
        marks = list(reversed(self._marks))
        yield self._head
        for window in _seconds(self._ride, self._channels):
            yield b"".join(self._records(window, marks))
        yield b"".join(mark.written for mark in reversed(marks)) + self._foot

    def _records(self, window: Samples, marks: list[_Mark]) -> Iterator[bytes]:
        """The window's records and the marks before or among them, which are used up."""
        written = 0
        while marks:
            side: Literal["left", "right"] = "right" if marks[-1].after else "left"
            at = int(np.searchsorted(window.timestamps, marks[-1].ms, side))
            if at == len(window):
                break
            yield self._rows(window.select(slice(written, at)))
            yield marks.pop().written
            written = at
        yield self._rows(window.select(slice(written, None)))

    def _rows(self, samples: Samples) -> bytes:
        times = np.rint(samples.timestamps / 1000).astype(np.int64) + fit.date_of(0)
        columns = [_raws(name, samples.channel(name)) for name in self._channels]
        return fit.table(_RECORD[0], self._columns, [times, *columns])

    def _opening(self) -> Iterator[bytes]:
        began = fit.date_of(self._ride.start)
        maker = _Maker.of(self._ride)
        yield fit.message(*_FILE_ID, [(Field(0, ENUM), _ACTIVITY_FILE), *maker.of_file(began)])
        yield fit.message(*_CREATOR, [(Field(0, UINT16), _VERSION)])
        yield fit.message(*_DEVICE, maker.of_device(began))
        yield fit.table_definition(*_RECORD, self._columns)
        yield fit.table_definition(*_EVENT, [field for field, _ in _event(0, 0)])
        yield fit.table_definition(*_LAP, [field for field, _ in self._lap(0, Lap(0, 0), 0)])

    def _timer(self) -> Iterator[_Mark]:
        """The timer runs from the first sample to the last, but for the pauses."""
        ride = self._ride
        yield _timer_mark(ride.start, False, _STARTS)
        for pause in ride.pauses:
            yield _timer_mark(pause.start, True, _STOPS_ALL)
            yield _timer_mark(pause.end, False, _STARTS)
        yield _timer_mark(ride.end, True, _STOPS_ALL)

    def _laps(self) -> Iterator[_Mark]:
        laps = self._ride.laps_or_one()
        for index, lap in enumerate(laps):
            trigger = _SESSION_END if index == len(laps) - 1 else _MANUAL
            written = fit.again(_LAP[0], self._lap(index, lap, trigger))
            yield _Mark(_second(lap.end), lap.end >= self._ride.end, written)

    def _lap(self, index: int, lap: Lap, trigger: int) -> list[tuple[Field, Value]]:
        sport, sub_sport = self._sport
        return [
            (_INDEX, index),
            (_TIME, fit.date_of(lap.end)),
            (Field(0, ENUM), _LAP_EVENT),
            (Field(1, ENUM), _STOPS),
            (Field(2, UINT32), fit.date_of(lap.start)),
            *_of_lap(lap),
            (Field(24, ENUM), trigger),
            (Field(25, ENUM), sport),
            (Field(39, ENUM), sub_sport),
        ]

    def _session(self) -> bytes:
        ride = self._ride
        figures = [(field, getattr(ride.figures, name)) for name, (field, _) in _FIGURES.items()]
        assumed = {7: ride.elapsed, 8: ride.timed}
        fields: list[tuple[Field, Value]] = [
            (_INDEX, 0),
            (_TIME, fit.date_of(ride.end)),
            (Field(0, ENUM), _SESSION_EVENT),
            (Field(1, ENUM), _STOPS),
            (Field(2, UINT32), fit.date_of(ride.start)),
            (Field(5, ENUM), self._sport[0]),
            (Field(6, ENUM), self._sport[1]),
            *((one, assumed.get(one.number) if value is None else value) for one, value in figures),
            (Field(25, UINT16), 0),
            (Field(26, UINT16), len(ride.laps_or_one())),
            (Field(28, ENUM), 0),
        ]
        return fit.message(*_SESSION, fields)

    def _activity(self) -> bytes:
        ride = self._ride
        ended = fit.date_of(ride.end)
        local = None if ride.utc_offset is None else ended + ride.utc_offset
        timed = ride.figures.timer_time
        fields: list[tuple[Field, Value]] = [
            (_TIME, ended),
            (Field(0, UINT32, 1000), ride.timed if timed is None else timed),
            (Field(1, UINT16), 1),
            (Field(2, ENUM), 0),
            (Field(3, ENUM), _ACTIVITY_EVENT),
            (Field(4, ENUM), _STOPS),
            (Field(5, UINT32), local),
        ]
        return fit.message(*_ACTIVITY, fields)


class _Maker(NamedTuple):
    """What recorded the ride, by FIT's numbers and by name."""

    number: int
    product: int
    serial: int
    name: str | None

    @classmethod
    def of(cls, ride: OutgoingRide) -> "_Maker":
        """This program, where nothing else is named."""
        device = ride.device
        product, serial = product_number(device), _serial(device.serial)
        name = device.product or (None if device.maker else PROGRAM)
        return cls(maker_number(device), product, serial, name)

    def of_file(self, began: int) -> list[tuple[Field, Value]]:
        return [
            (Field(1, UINT16), self.number),
            (Field(2, UINT16), self.product),
            (Field(3, UINT32Z), self.serial),
            (Field(4, UINT32), began),
            *self._named(8),
        ]

    def of_device(self, began: int) -> list[tuple[Field, Value]]:
        return [
            (_TIME, began),
            (Field(0, UINT8), 0),
            (Field(2, UINT16), self.number),
            (Field(3, UINT32Z), self.serial),
            (Field(4, UINT16), self.product),
            (Field(25, ENUM), _LOCAL_SOURCE),
            *self._named(27),
        ]

    def _named(self, number: int) -> list[tuple[Field, Value]]:
        return [(Field(number, UINT8), self.name)] if self.name else []


def _seconds(ride: OutgoingRide, channels: Sequence[str]) -> Iterator[Samples]:
    """The samples at whole seconds, each of them the nearest."""
    windows = ride.measured(channels)
    if ride.in_whole_seconds:
        return windows
    later = (Samples(each.timestamps + 500, each.channels) for each in windows)
    return downsample_windows(later, 1)


def _second(ms: int) -> int:
    return round(ms / 1000) * 1000


def _raws(name: str, values: FloatArray) -> IntArray:
    if name == "balance":  # of the right leg; one leg alone is no measurement
        right = np.where((values > 0) & (values < 100), np.clip(np.rint(100 - values), 1, 99), 0)
        values = np.where(right > 0, right + _RIGHT, np.nan)
    return _CHANNELS[name].raws(values)


def _timer_mark(ms: int, after: bool, kind: int) -> _Mark:
    return _Mark(_second(ms), after, fit.again(_EVENT[0], _event(fit.date_of(ms), kind)))


def _event(date: int, kind: int) -> list[tuple[Field, Value]]:
    return [(_TIME, date), (Field(0, ENUM), _TIMER), (Field(1, ENUM), kind), (Field(4, UINT8), 0)]


def _of_lap(lap: Lap) -> Iterator[tuple[Field, Value]]:
    for name, (field, number) in _FIGURES.items():
        value: float | None = getattr(lap.figures, name)
        if name in ("elapsed_time", "timer_time") and value is None:
            value = (lap.end - lap.start) / 1000
        if number >= 0:
            yield Field(number, field.base, field.scale), value


def _serial(written: str | None) -> int:
    """0 is FIT's "none"."""
    number = int(written) if written and written.isascii() and written.isdigit() else 0
    return number if number < 2**32 else 0
