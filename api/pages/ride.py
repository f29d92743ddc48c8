"""One ride: what happened."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import msgspec
from starlette.responses import Response

from api.pages.efforts import table_of_intervals, table_of_laps
from api.pages.figures import FIRST, GROUPS, ShownFigure, shown_figures
from api.pages.formats import MISSING, Formats
from api.pages.routing import Page
from api.pages.templates import page
from api.pages.visitor import PagesRequest, Visitor
from api.season import store as season
from api.season.store import Record
from api.web.query import workout_id_of
from api.workouts.answers import require_workout
from api.workouts.store import Status
from shared.sports import sport_family

# Seconds of the efforts that the table of bests has.
BEST_DURATIONS: Final = (5, 15, 30, 60, 300, 600, 1200, 3600)
# Whose figures are still to come: the page watches for them.
_UNDER_WAY: Final = (Status.ACTIVE, Status.PAUSED, Status.PROCESSING)
_ZONE_NAMES: Final = {
    "power": (
        *("Recovery", "Endurance", "Tempo", "Threshold"),
        *("VO₂max", "Anaerobic", "Neuromuscular"),
    ),
    "heartrate": ("Recovery", "Endurance", "Tempo", "Threshold", "Above"),
}


@dataclass(frozen=True)
class ZoneBar:
    """Time in a zone. ``bounds``: in watts or beats; ``share``: of all zones, 0 to 1."""

    number: int
    name: str
    bounds: str
    seconds: int
    share: float
    width: float  # of the longest bar, in percents


@dataclass(frozen=True)
class BestRow:
    """The best mean power over so many seconds, and the rider's record."""

    seconds: int
    power: float
    start: int
    record: Record | None
    is_record: bool


async def show_ride(request: PagesRequest, visitor: Visitor) -> Response:
    """The ride page."""
    state, caller = request.state, visitor.user.caller
    workout = await require_workout(state, workout_id_of(request), caller)
    family = sport_family(workout.sport)
    bests = await season.list_bests(state["database"], workout.id, caller.user_id)
    records = await season.list_records(state["database"], caller.user_id, family, "power")
    ride: dict[str, Any] = msgspec.to_builtins(workout)
    return page(
        "ride.html",
        visitor,
        **shown_ride(ride, visitor.formats),
        own=True,
        may_change=visitor.user.may_change,
        path=f"/api/workouts/{workout.id}",
        zones=list(_zones(ride["summary"] or {})),
        bests=list(_best_rows(bests, records)),
        notes=[*marks_of(ride), *_deleted(ride), *_lacking(ride["summary"] or {})],
    )


def _deleted(ride: Mapping[str, Any]) -> list[str]:
    """Why there are no charts any more."""
    if "samplesDeletedAt" not in ride:
        return []
    return [
        "Samples are not kept for ever here, and those of this ride are deleted: there are no"
        " charts any more, and the figures stay as they are."
    ]


def shown_ride(ride: Mapping[str, Any], formats: Formats) -> dict[str, Any]:
    """What the page shows of a ride to whomever it is shown."""
    summary: dict[str, Any] = ride["summary"] or {}
    device: dict[str, Any] = ride.get("device") or {}
    is_live = ride["status"] in _UNDER_WAY
    figures = shown_figures(FIRST, summary, device, formats)
    return {
        "ride": ride,
        "summary": summary,
        "device": device,
        "live": is_live,
        "figures": [each for each in figures if is_live or has_place(each, summary)],
        "groups": list(_groups(summary, device, formats)),
        "laps": table_of_laps(ride.get("laps") or [], formats),
        "intervals": table_of_intervals(summary.get("intervals") or [], formats),
    }


def has_place(figure: ShownFigure, summary: Mapping[str, Any]) -> bool:
    """Whether a figure is shown: one that is known, or for which only an FTP is missing."""
    lacks_ftp = figure.needs is not None and summary.get("normalizedPower") is not None
    return figure.value != MISSING or lacks_ftp


def has_power(summary: Mapping[str, Any]) -> bool:
    """Whether any of the ride has."""
    return summary.get("avgPower") is not None


def _groups(
    summary: Mapping[str, Any], device: Mapping[str, Any], formats: Formats
) -> Iterator[tuple[str, list[ShownFigure]]]:
    """Of those that are known to us or to the device."""
    for name, kinds in GROUPS if summary else ():
        rows = shown_figures(kinds, summary, device, formats)
        if known := [each for each in rows if each.value != MISSING or each.device]:
            yield name, known


def _lacking(summary: Mapping[str, Any]) -> Iterator[str]:
    if summary and not has_power(summary):
        yield "Recorded without power: there is no power curve, and nothing for TSS and form."


def _zones(summary: Mapping[str, Any]) -> Iterator[tuple[str, str, list[ZoneBar]]]:
    """Of power and heart rate: heading, unit and bars; nothing without thresholds."""
    known = summary.get("parameters", {})
    for kind, heading, unit, threshold in (
        ("power", "Power zones", "W", "ftp"),
        ("heartrate", "Heart rate zones", "bpm", "thresholdHeartrate"),
    ):
        times, shares = summary.get(f"{kind}Zones"), known.get(f"{kind}Zones")
        if times and shares and known.get(threshold):
            yield heading, unit, _bars(_ZONE_NAMES[kind], times, shares, known[threshold])


def _bars(
    names: Sequence[str], times: Sequence[int], shares: Sequence[float], threshold: float
) -> list[ZoneBar]:
    bounds = [round(share * threshold) for share in shares]
    total, longest = sum(times) or 1, max(times) or 1
    texts = [
        f"to {bounds[0]}",
        *(f"{low}–{high}" for low, high in pairwise(bounds)),
        f"over {bounds[-1]}",
    ]
    return [
        ZoneBar(at + 1, name, text, time, time / total, round(100 * time / longest, 2))
        for at, (name, text, time) in enumerate(zip(names, texts, times, strict=True))
    ]


def _best_rows(bests: Sequence[Record], records: Sequence[Record]) -> Iterator[BestRow]:
    held = {each.duration: each for each in records}
    for best in bests:
        if best.metric == "power" and best.duration in BEST_DURATIONS:
            record = held.get(best.duration)
            is_record = record is not None and record.workout_id == best.workout_id
            start = int(best.started_at.timestamp() * 1000)
            yield BestRow(best.duration, best.value, start, record, is_record)


def marks_of(ride: Mapping[str, Any]) -> list[str]:
    """What was corrected or is odd about the ride, as sentences."""
    summary = ride["summary"] or {}
    found = []
    if ride["crop"]:
        found.append("Cropped: what lies outside counts for nothing, and can be brought back.")
    if ride["excluded"]:
        found.append("Left out of records and curves.")
    elif ride["excludedRanges"]:
        found.append("Parts of it are left out of records and curves.")
    if ride["duplicateOf"]:
        found.append("Recorded twice: the other recording counts in totals and records.")
    if count := summary.get("strayCount"):
        times = "One group" if count == 1 else f"{count} groups"
        found.append(f"{times} of samples of another time are kept, and count for nothing.")
    return found


PAGES: Final = (Page("/rides/{id}", show_ride, takes_athlete=True),)
