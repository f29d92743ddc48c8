"""Our own export of an account: each ride's samples and what is said of it, as one file again."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import Struct

from shared.files.recording import NO_FIGURES, Device, Figures, Pause, Remedies
from shared.files.tables import LapSpan, RideHead

NAME: Final = "workouts.ndjson"
_SAMPLES: Final = re.compile(
    r"telemetry/\d{4}-\d\d-\d\d-([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})\.csv"
)


class _Lap(Struct, rename="camel"):
    end: int
    start: int | None = None
    device: Figures | None = None


class _Device(Figures, frozen=True, kw_only=True, rename="camel"):
    maker: str | None = None
    product: str | None = None
    serial: str | None = None


class _Ride(Remedies, frozen=True, kw_only=True, rename="camel"):
    """A line of the export."""

    id: str
    title: str | None = None
    description: str | None = None
    sport: str | None = None
    duplicate_of: str | None = None
    device: _Device | None = None
    laps: tuple[_Lap, ...] = ()
    pauses: tuple[Pause, ...] = ()


@dataclass(frozen=True)
class OwnExport:
    """``folder``: where the export is. ``rides``: by id."""

    folder: str
    rides: Mapping[str, _Ride]

    def wants(self, name: str) -> bool:
        """Whether it has the samples of a ride."""
        return self._ride_of(name) is not None

    def is_second(self, name: str) -> bool:
        """Whether the rider has kept it beside another recording of the same ride."""
        ride = self._ride_of(name)
        return ride is not None and ride.duplicate_of is not None

    def file_of(self, name: str, data: bytes) -> bytes | None:
        """The ride as a file of its own; None of one that has no samples."""
        ride, rows = self._ride_of(name), list(csv.reader(data.decode().splitlines()))
        if ride is None or len(rows) < 2:
            return None
        head = msgspec.json.encode(_head(ride, int(rows[1][0])))
        columns = ",".join(_listed(name, values) for name, *values in zip(*rows, strict=True))
        return head.removesuffix(b"}") + b',"columns":{' + columns.encode() + b"}}"

    def _ride_of(self, name: str) -> _Ride | None:
        found = _SAMPLES.fullmatch(name.removeprefix(self.folder))
        return self.rides.get(found[1]) if found else None


def read_own(name: str, data: bytes) -> OwnExport | None:
    """The export that this table is of, or None where it is another one of that name."""
    try:
        rides = msgspec.json.Decoder(_Ride).decode_lines(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None
    return OwnExport(name.removesuffix(NAME), {ride.id: ride for ride in rides})


def _listed(name: str, values: list[str]) -> str:
    """A column of the table as a member of JSON; its numbers are written alike in both."""
    return f'"{name}":[' + ",".join(value or "null" for value in values) + "]"


def _head(ride: _Ride, start: int) -> RideHead:
    told = msgspec.structs.asdict(ride.device) if ride.device else {}
    return RideHead(
        start=start,
        title=ride.title,
        description=ride.description,
        sport=ride.sport,
        device=Device(**{each: told.pop(each, None) for each in ("maker", "product", "serial")}),
        figures=Figures(**told),
        laps=tuple(
            LapSpan(lap.start, lap.end, lap.device or NO_FIGURES)
            for lap in ride.laps
            if lap.start is not None
        ),
        pauses=ride.pauses,
        excluded=ride.excluded,
        excluded_ranges=ride.excluded_ranges,
        vouched_ranges=ride.vouched_ranges,
    )
