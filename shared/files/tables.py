"""Our own CSV and JSON: what is written of a ride, and read again.

CSV is a header and a line a sample, as telemetry is answered: without title, laps and figures. Its
column `sport` says on the first line what the ride was.
JSON holds all of it. Read are also the other forms in which samples are uploaded and answered.
"""

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta, Struct

from shared.files.outgoing import NO_DEVICE, OutgoingRide
from shared.files.points import moment_of, number_of
from shared.files.readings import readings, reason_without
from shared.files.recording import (
    NO_FIGURES,
    Device,
    Figures,
    Lap,
    Pause,
    Recording,
    Remedies,
    Span,
    UnixMs,
    UnreadableFile,
    plausible_offset,
)
from shared.files.sport_names import sport_of_words
from shared.samples.channels import CHANNEL
from shared.samples.columns import FloatArray

TIMESTAMP: Final = "timestamp"
_SNIFFED: Final = 1000  # characters in which a table's header ends
_SPORT: Final = re.compile("[A-Za-z0-9_-]{1,50}")
_NO_SAMPLES: Final = "no samples: this is neither a FIT, nor a TCX, nor a GPX file, nor one of ours"
_DAY: Final = 86_400_000  # ms
_MOST_SPANS: Final = 100
_LATEST: Final = 2.0**53  # ms


def write_csv(recording: Recording) -> bytes:
    """The recording's samples as lines of CSV."""
    return b"".join(csv_pieces(OutgoingRide.of(recording)))


def write_json(recording: Recording) -> bytes:
    """The recording as a JSON object."""
    return b"".join(json_pieces(OutgoingRide.of(recording)))


def csv_pieces(ride: OutgoingRide) -> Iterator[bytes]:
    """A header, and a line a sample; an empty field where a value was not measured."""
    sport = _written_sport(ride)
    yield (",".join([TIMESTAMP, *ride.channels, *(["sport"] if sport else [])]) + "\n").encode()
    for window in ride.read(ride.channels):
        columns = [_texts(window.channels[name]) for name in ride.channels]
        if sport is not None:
            columns.append([sport, *[""] * len(window)][: len(window)])
            sport = ""
        times = map(str, window.timestamps.tolist())
        yield "".join(",".join(row) + "\n" for row in zip(times, *columns, strict=True)).encode()


def json_pieces(ride: OutgoingRide) -> Iterator[bytes]:
    """An object, with the samples as columns of equal lengths; null: not measured."""
    head = msgspec.json.encode(RideHead.of(ride))
    yield head.removesuffix(b"}") + b',"columns":{"timestamp":['
    yield from _joined(msgspec.json.encode(each.timestamps.tolist()) for each in ride.read([]))
    for name in ride.channels:
        yield f'],"{name}":['.encode()
        yield from _joined(_listed(each.channels[name]) for each in ride.read([name]))
    yield b"]}}"


class LapSpan(Struct, frozen=True):
    """A lap, from `start` to before `end`: ms since the Unix epoch."""

    start: UnixMs
    end: UnixMs
    figures: Figures = NO_FIGURES


class RideHead(Struct, frozen=True, kw_only=True, rename="camel"):
    """What JSON says of a ride beside its samples. `start`: its first, in ms since the Unix epoch.

    `utcOffset`: local time less UTC, in seconds. `figures`: as the device computed them.
    """

    format: str = "bike-power-tracker"
    version: Annotated[int, Meta(description="Of the format")] = 1
    start: UnixMs
    title: str | None = None
    description: str | None = None
    sport: str | None = None
    utc_offset: Annotated[int | None, Meta(description="s: local time less UTC")] = None
    device: Device = NO_DEVICE
    figures: Figures = NO_FIGURES
    laps: tuple[LapSpan, ...] = ()
    pauses: tuple[Pause, ...] = ()
    excluded: bool = False
    excluded_ranges: tuple[Span, ...] = ()
    vouched_ranges: tuple[Span, ...] = ()

    @classmethod
    def of(cls, ride: OutgoingRide) -> "RideHead":
        """Of a ride on its way into a file."""
        return cls(
            start=ride.start,
            title=ride.title,
            description=ride.description,
            sport=ride.sport,
            utc_offset=ride.utc_offset,
            device=ride.device,
            figures=ride.figures,
            laps=tuple(LapSpan(lap.start, lap.end, lap.figures) for lap in ride.laps),
            pauses=ride.pauses,
        )


def _written_sport(ride: OutgoingRide) -> str | None:
    """For the first line; None where no name is known that needs no quotes."""
    return ride.sport if ride.sport and _SPORT.fullmatch(ride.sport) else None


def _texts(values: FloatArray) -> list[str]:
    return [
        "" if value != value else str(int(value)) if value.is_integer() else repr(value)
        for value in values.tolist()
    ]


def _listed(values: FloatArray) -> bytes:
    """As in a JSON array with its brackets; NaN is null there."""
    return msgspec.json.encode(
        [int(each) if each.is_integer() else each for each in values.tolist()]
    )


def _joined(arrays: Iterator[bytes]) -> Iterator[bytes]:
    """Arrays as one, without its brackets."""
    comma = b""
    for array in arrays:
        if len(array) > 2:
            yield comma + array[1:-1]
            comma = b","


def is_json(text: str) -> bool:
    """Whether the text begins like JSON."""
    return text.startswith(("{", "["))


def is_table(text: str) -> bool:
    """Whether the text's first line names columns, and timestamps among them."""
    head = text[:_SNIFFED].partition("\n")[0]
    return TIMESTAMP in (name.strip(' "\r').casefold() for name in head.split(","))


def read_csv(text: str, received: int) -> list[Recording]:
    """The ride of a table with the columns ``timestamp`` and any channel, in any order.

    Raises UnreadableFile.
    """
    rows = csv.reader(text.splitlines())
    names = [name.strip().casefold() for name in next(rows)]
    places = {name: names.index(name) for name in (TIMESTAMP, *CHANNEL) if name in names}
    columns: dict[str, list[Any]] = {name: [] for name in places}
    sport = names.index("sport") if "sport" in names else None
    said = None
    try:
        for row in rows:
            for name, place in places.items():
                columns[name].append(row[place] if place < len(row) else None)
            if sport is not None and said is None and sport < len(row):
                said = row[sport].strip() or None
    except csv.Error as error:
        raise UnreadableFile("this table is damaged") from error
    return [replace(_recording(columns, received), sport=_sport(said))]


def read_json(text: str, received: int) -> list[Recording]:
    """The ride of our own export, of an answer with samples, or of samples as they are uploaded.

    Samples may stand in an array, in columns, or an object a line. Raises UnreadableFile.
    """
    document = _parsed(text)
    if isinstance(document, list):
        return [_recording(_columns_of(document), received)]
    ride = _recording(_columns_in(document), received)
    told = document["workout"] if isinstance(document.get("workout"), dict) else document
    return [_with_words(ride, told)]


class _Told(Remedies, frozen=True, kw_only=True, rename="camel"):
    """What may be said of a ride, by an export or by the answer about a workout."""

    title: str | None = None
    description: str | None = None
    sport: str | None = None
    utc_offset: int | None = None
    device: Device | None = None
    figures: Figures = NO_FIGURES
    laps: tuple[LapSpan, ...] = ()
    pauses: tuple[Pause, ...] = ()


def _with_words(ride: Recording, told: Mapping[str, Any]) -> Recording:
    try:
        said = msgspec.convert(told, _Told)
    except msgspec.ValidationError:
        return ride.warned("what the file says of the ride beside its samples cannot be read")
    return replace(
        ride,
        title=_plain(said.title),
        description=_plain(said.description),
        sport=_sport(said.sport),
        utc_offset=_offset(said.utc_offset),
        device=said.device or NO_DEVICE,
        figures=said.figures,
        laps=tuple(
            Lap(one.start, one.end, one.figures) for one in said.laps if _is_within(ride, one)
        ),
        pauses=tuple(one for one in said.pauses if _is_within(ride, one)),
        remedies=_remedies(ride, said),
    )


def _sport(name: str | None) -> str | None:
    """The name as it is, if a workout's sport may have it."""
    return name if name and _SPORT.fullmatch(name) else sport_of_words(name)


def _is_within(ride: Recording, one: LapSpan | Pause) -> bool:
    """Whether it is of the ride's days, and does not end before it begins."""
    return ride.start - _DAY <= one.start <= one.end <= ride.end + _DAY


def _remedies(ride: Recording, said: Remedies) -> Remedies:
    return Remedies(
        excluded=said.excluded,
        excluded_ranges=_spans_within(ride, said.excluded_ranges),
        vouched_ranges=_spans_within(ride, said.vouched_ranges),
    )


def _spans_within(ride: Recording, spans: Sequence[Span]) -> tuple[Span, ...]:
    return tuple(one for one in spans if _is_within(ride, Pause(one.from_, one.to)))[:_MOST_SPANS]


def _plain(words: str | None) -> str | None:
    """Without the one character that no text of a database may have."""
    return words and words.replace("\0", "")


def _offset(seconds: int | None) -> int | None:
    return None if seconds is None or abs(seconds) > 86_400 else plausible_offset(seconds)


def _parsed(text: str) -> dict[str, Any] | list[Any]:
    """An object or an array; objects a line are an array of them."""
    try:
        try:
            return _object_or_array(msgspec.json.decode(text))
        except msgspec.DecodeError:
            return msgspec.json.Decoder(dict[str, Any]).decode_lines(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise UnreadableFile("this JSON file is damaged or cut off") from error


def _object_or_array(value: Any) -> dict[str, Any] | list[Any]:
    return value if isinstance(value, dict | list) else []


def _columns_in(document: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The samples of a document, wherever they stand in it."""
    for held in (document.get(name) for name in ("columns", "samples", "telemetry")):
        if isinstance(held, list):
            return _columns_of(held)
        if isinstance(held, dict):
            return _columns_in(held)
    return {
        name: document[name]
        for name in (TIMESTAMP, *CHANNEL)
        if isinstance(document.get(name), list)
    }


def _columns_of(samples: Sequence[Any]) -> dict[str, list[Any]]:
    """Objects as columns; what is no object is left out."""
    rows = [each for each in samples if isinstance(each, dict)]
    return {name: [row.get(name) for row in rows] for name in (TIMESTAMP, *CHANNEL)}


def _recording(columns: Mapping[str, Sequence[Any]], received: int) -> Recording:
    moments = [_moment(value) for value in columns.get(TIMESTAMP, ())]
    if not moments:
        raise UnreadableFile(_NO_SAMPLES)
    if any(len(column) != len(moments) for column in columns.values()):
        raise UnreadableFile("the columns of this file are of different lengths")
    dated = np.array([moment is not None for moment in moments])
    measured = {
        name: np.array([_number(value) for value in columns[name]], np.float64)[dated]
        for name in CHANNEL
        if name in columns
    }
    times = np.array([moment for moment in moments if moment is not None], np.int64)
    samples, warnings = readings(times, measured, received)
    if not len(samples) or not samples.channels:
        raise UnreadableFile(reason_without(times, received))
    return Recording(samples, warnings=warnings)


def _moment(value: object) -> int | None:
    """Of milliseconds since the Unix epoch, or RFC 3339."""
    number = _number(value)
    if abs(number) < _LATEST:
        return round(number)
    moment = moment_of(value) if isinstance(value, str) else None
    return moment and moment.ms


def _number(value: object) -> float:
    """NaN for what is none, and for what no float can hold."""
    if isinstance(value, str):
        return number_of(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value) if abs(value) < _LATEST else math.nan
