"""A ride as a file that other programs open, and that can be imported here again."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal, cast
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct, to_builtins
from starlette.responses import Response

from api.export.state import ExportRequest
from api.identity.auth import Caller
from api.identity.profile import time_zone_or_own
from api.web.body import JSON
from api.web.problems import Conflict
from api.web.query import read_query, workout_id_of
from api.web.revalidation import etag_of, holds, not_modified, tag
from api.web.routing import CONFLICT, Operation, Operations
from api.workouts.answers import require_workout
from api.workouts.reading import READ_REFUSALS, open_view, stream, version_of
from api.workouts.recorded import RecordedColumns
from api.workouts.selection import Selection, View
from api.workouts.store import Crop, Workout
from shared.files.fit_writer import fit_pieces
from shared.files.gpx_writer import gpx_pieces
from shared.files.outgoing import OutgoingRide
from shared.files.recording import Device, Figures, Lap, Pause
from shared.files.tables import RideHead, csv_pieces, json_pieces
from shared.files.tcx_writer import tcx_pieces
from shared.laps import Lap as StoredLap
from shared.laps import laps_of


class FileQuery(Struct):
    """Which kind of file."""

    format: Annotated[
        Literal["fit", "tcx", "gpx", "csv", "json"],
        Meta(
            title="RideFormat",
            description="FIT has all but decimals and what lies between two seconds; TCX has no "
            "temperature, and neither TCX nor GPX balance; GPX has no laps and figures, CSV "
            "nothing but samples and the sport",
        ),
    ] = "fit"


class RideDocument(RideHead, frozen=True, kw_only=True, rename="camel"):
    """A ride of JSON: `columns` of equal lengths, null where a value was not measured."""

    columns: RecordedColumns


@dataclass(frozen=True)
class _Format:
    """``media``: its content type."""

    media: str
    pieces: Callable[[OutgoingRide], Iterator[bytes]]


_FORMATS: Final = {
    "fit": _Format("application/vnd.ant.fit", fit_pieces),
    "tcx": _Format("application/vnd.garmin.tcx+xml", tcx_pieces),
    "gpx": _Format("application/gpx+xml", gpx_pieces),
    "csv": _Format("text/csv; charset=utf-8", csv_pieces),
    "json": _Format(JSON, json_pieces),
}
_WRITING: Final = 1  # raised whenever a format is written in other bytes
_LONGEST_TITLE: Final = 80  # characters of it in a file's name


async def export_ride(request: ExportRequest, caller: Caller) -> Response:
    """The ride as a file, without what is cropped away or removed; of a ride under way, so far.

    It is made while it is being read. A rider may read three rides at a time.
    """
    kind = read_query(request, FileQuery).format
    workout = await require_workout(request.state, workout_id_of(request), caller)
    zone = ZoneInfo(await time_zone_or_own(request.state, caller, None))
    etag = etag_of(*await version_of(request.state, workout), _WRITING, kind, zone.key, workout)
    if holds(request, etag):
        return not_modified(etag)
    view = await open_view(request, caller, workout, Selection())
    if not view.outline.count:
        raise Conflict("the ride has no samples, which a file would be made of")
    chosen = _FORMATS[kind]
    answer = stream(request, chosen.pieces(_outgoing(workout, view, zone)), chosen.media)
    day = workout.start_time.astimezone(zone).date()
    answer.headers["Content-Disposition"] = disposition(day, workout.title, kind)
    return tag(answer, etag)


def disposition(day: date, title: str | None, extension: str) -> str:
    """A file name of day and title: in ASCII for those who know no other, and whole (RFC 6266).

    Nothing but letters, digits and hyphens of a title stays, so no name leaves its folder.
    """
    whole = _words(title or "")
    spelled = unicodedata.normalize("NFKD", whole).encode("ascii", "ignore").decode()
    names = ("-".join(filter(None, (f"{day}", _words(text)))) for text in (spelled, whole))
    plain, encoded = (f"{name}.{extension}" for name in names)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(encoded)}"


def _words(text: str) -> str:
    composed = unicodedata.normalize("NFC", text)
    return re.sub(r"[\W_]+", "-", composed)[:_LONGEST_TITLE].strip("-")


def _outgoing(workout: Workout, view: View, zone: ZoneInfo) -> OutgoingRide:
    offset = workout.start_time.astimezone(zone).utcoffset()
    return OutgoingRide(
        view.windows,
        channels=tuple(view.outline.whole),
        sport=workout.sport,
        title=workout.title,
        description=workout.description,
        laps=_laps(workout),
        pauses=_pauses(workout),
        device=_device(workout),
        figures=_figures(workout),
        utc_offset=int(offset.total_seconds()) if offset is not None else None,
    )


def _laps(workout: Workout) -> tuple[Lap, ...]:
    """Those that were folded, as far as they are not cropped away."""
    return tuple(
        Lap(*_uncropped(lap.start, lap.end, workout.crop), _figures_of(lap, workout))
        for lap in laps_of(workout.laps or [])
        if lap.start is not None
    )


def _figures_of(lap: StoredLap, workout: Workout) -> Figures:
    """The device's own, and ours where it has none."""
    ours = to_builtins(lap.summary) if lap.summary else {}
    device = lap.device if _is_whole(workout) else None
    told = to_builtins(device) if device else {}
    return msgspec.convert({**ours, "elapsedTime": ours.get("duration"), **told}, Figures)


def _pauses(workout: Workout) -> tuple[Pause, ...]:
    """As the file says; of a ride that was sent live, where nothing was recorded for long.

    A gap in a file is none: the device had recorded less often, or lost something.
    """
    summary, told = cast(Any, (workout.summary, workout.pauses))
    if told or workout.upload_id:
        return tuple(
            Pause(*_uncropped(pause["start"], pause["end"], workout.crop)) for pause in told or ()
        )
    return tuple(Pause(gap["from"], gap["to"]) for gap in (summary or {}).get("gaps", ()))


def _uncropped(start: int, end: int, crop: Crop | None) -> tuple[int, int]:
    """What is left of it; there is something."""
    if crop is None:
        return start, end
    first, last = crop.from_, crop.to
    return start if first is None else max(start, first), end if last is None else min(end, last)


def _device(workout: Workout) -> Device:
    told = cast(Any, workout.device) or {}
    return Device(told.get("maker"), told.get("product"), told.get("serial"))


def _figures(workout: Workout) -> Figures:
    """The device's own, and those of the summary where it has none; they are named alike."""
    summary, device = cast(Any, (workout.summary, workout.device))
    told = (device or {}) if _is_whole(workout) else {}
    if summary is None:
        return msgspec.convert(told, Figures)
    known = {
        **summary,
        **summary["precise"],
        "elapsedTime": summary["duration"],
        "timerTime": summary["recordedTime"],
        "thresholdPower": summary.get("parameters", {}).get("ftp"),
    }
    return msgspec.convert({**known, **told}, Figures)


def _is_whole(workout: Workout) -> bool:
    """Whether the ride is still the one that a device has computed figures of."""
    return workout.crop is None and not workout.removed_ranges


OPERATIONS = Operations(
    "export",
    "Take everything along",
    (
        Operation(
            "GET",
            "/api/workouts/{id}/export",
            export_ride,
            {HTTPStatus.OK: RideDocument},
            "read",
            query=FileQuery,
            media=tuple(each.media for each in _FORMATS.values()),
            refusals=READ_REFUSALS | CONFLICT,
            takes_athlete=True,
        ),
    ),
)
