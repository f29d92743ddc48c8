"""`…_summarizedActivities.json` of Garmin's "all my data": what each ride is called.

The files are named by uploads, not by activities: they are found by when they began.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

import msgspec
from msgspec import Struct

from shared.files.fit_messages import is_fit
from shared.files.fit_scan import ACTIVITY, scan_fit
from shared.files.points import moment_of
from shared.files.sport_names import sport_of_words
from shared.files.words import NO_WORDS, Words

SUFFIX: Final = "summarizedactivities.json"  # in small letters
_NEAR: Final = 120_000  # ms between the start in the table and the one in the file
_RIDES: Final = {".fit", ".tcx", ".gpx", ".gz", ".zip"}
_NOT_SAID: Final = {"uncategorized", "multi_sport", "other"}
_SNIFFED: Final = 10_000  # bytes in which the first time of a TCX or GPX file stands
_TIME: Final = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[0-9.]*Z")


class _Row(Struct, rename="camel"):
    activity_id: Any = None
    begin_timestamp: Any = None
    start_time_gmt: Any = None
    name: Any = None
    description: Any = None
    activity_type: Any = None


class _Chunk(Struct, rename="camel"):
    summarized_activities_export: list[_Row] = []


_decoder: Final = msgspec.json.Decoder(list[_Chunk] | _Chunk)


@dataclass(frozen=True)
class GarminTable:
    """``starts``: of the activities, in ms and in order; ``words`` of each; and those by id."""

    starts: Sequence[int]
    words: Sequence[Words]
    by_id: dict[str, Words]

    def wants(self, name: str) -> bool:
        """Whether it may be a ride's: most of what Garmin hands out is not."""
        path = PurePosixPath(name)
        return path.suffix.lower() in _RIDES and not path.name.startswith(".")

    def words_of(self, name: str, data: bytes) -> Words | None:
        """What the table says of a file; None of one that is no activity, as of days and sleep."""
        scan = scan_fit(data) if is_fit(data) else None
        if scan and scan.kinds and ACTIVITY not in scan.kinds:
            return None
        named = self.by_id.get(PurePosixPath(name).name.partition(".")[0].partition("_")[0])
        start = min(scan.starts, default=None) if scan else _first_time(data)
        return named or self._nearest(start)

    def _nearest(self, start: int | None) -> Words:
        if start is None:
            return NO_WORDS
        at = bisect_left(self.starts, start)
        near = range(max(0, at - 1), min(len(self.starts), at + 1))
        best = min(near, key=lambda index: abs(self.starts[index] - start), default=None)
        if best is None or abs(self.starts[best] - start) > _NEAR:
            return NO_WORDS
        return self.words[best]


def read_garmin(tables: Iterable[bytes]) -> GarminTable:
    """The rows of all the tables; one that cannot be read has none."""
    rows = [row for table in tables for row in _rows(table)]
    dated = sorted(
        ((start, _words(row)) for row in rows if (start := _start(row)) is not None),
        key=lambda pair: pair[0],
    )
    by_id = {str(row.activity_id): _words(row) for row in rows if row.activity_id}
    return GarminTable([start for start, _ in dated], [words for _, words in dated], by_id)


def _rows(table: bytes) -> list[_Row]:
    try:
        decoded = _decoder.decode(table)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return []
    chunks = decoded if isinstance(decoded, list) else [decoded]
    return [row for chunk in chunks for row in chunk.summarized_activities_export]


def _start(row: _Row) -> int | None:
    for value in (row.start_time_gmt, row.begin_timestamp):
        if isinstance(value, int | float) and abs(value) < 2**53:
            return round(value)
    return None


def _words(row: _Row) -> Words:
    kind = row.activity_type
    kind = kind.get("typeKey") if isinstance(kind, dict) else kind
    sport = kind if isinstance(kind, str) and kind not in _NOT_SAID else None
    return Words(_text(row.name), _text(row.description), sport_of_words(sport))


def _text(value: object) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _first_time(data: bytes) -> int | None:
    found = _TIME.search(data[:_SNIFFED])
    moment = moment_of(found[0].decode()) if found else None
    return moment and moment.ms
