"""`activities.csv` of Strava's "all my data": title, description and sport of each file's ride."""

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.files.archives import may_hold_a_ride
from shared.files.sport_names import sport_of_words, virtual
from shared.files.words import NO_WORDS, Words

NAME: Final = "activities.csv"
_FOLDER: Final = "activities/"
# The header is in the rider's language; the first columns are the same in all of them.
_TITLE, _SPORT, _DESCRIPTION = 2, 3, 4
_ENGLISH: Final = {"Activity Name": _TITLE, "Activity Type": _SPORT}
# By what is part of the words, the first that is: German, French, Spanish, Italian, Dutch,
# Portuguese. What is not known here is left to the file.
_SPORTS: Final = (
    ("e-bike", "e-bike"),
    ("e-mtb", "e-mountain-bike"),
    ("e-mountainbik", "e-mountain-bike"),
    ("mountainbik", "mountain-biking"),
    ("vtt", "mountain-biking"),
    ("btt", "mountain-biking"),
    ("gravel", "gravel-cycling"),
    *((word, "nordic-skiing") for word in ("langlauf", "roller ski", "rollerski", "rollski")),
    *((word, "nordic-skiing") for word in ("ski de fond", "di fondo", "de fondo", "à roulettes")),
    *((word, "ice-skating") for word in ("eislauf", "schlittschuh")),
    *((word, "rowing") for word in ("ruder", "aviron", "remo", "canottaggio", "roeien")),
    ("traillauf", "trail-running"),
    ("trail", "trail-running"),
    *((word, "cycling") for word in ("radfahr", "vélo", "bicicl", "ciclismo", "fiets", "pedala")),
    *((word, "hiking") for word in ("wanderung", "wandern", "randonn", "senderismo", "escursion")),
    *((word, "walking") for word in ("spazier", "gehen", "march", "camin", "cammin", "wandel")),
    *((word, "running") for word in ("lauf", "course", "carrera", "corsa", "corrida", "hardlo")),
    *((word, "swimming") for word in ("schwimm", "natation", "natación", "natação", "nuoto")),
    ("zwem", "swimming"),
)


@dataclass(frozen=True)
class StravaTable:
    """``folder``: where the table is. ``words``: by the file's path from there."""

    folder: str
    words: Mapping[str, Words]

    def wants(self, name: str) -> bool:
        """Whether it is an activity's: neither a route nor anything else that Strava hands out."""
        path = name.removeprefix(self.folder)
        return path in self.words or (path.startswith(_FOLDER) and may_hold_a_ride(name))

    def words_of(self, name: str) -> Words:
        """What the table says of a file."""
        return self.words.get(name.removeprefix(self.folder), NO_WORDS)

    def missing(self, names: Collection[str]) -> list[str]:
        """The files that it names and that are not there."""
        paths = (self.folder + path for path in self.words)
        return [path for path in paths if path not in names]


def read_strava(name: str, data: bytes) -> StravaTable | None:
    """The table, or None where it is another one of that name."""
    rows = _rows(data)
    file = _file_column(rows)
    if file is None:
        return None
    is_english = rows[0][_TITLE : _SPORT + 1] == list(_ENGLISH)
    words = {
        row[file].strip(): _words(row, is_english=is_english)
        for row in rows[1:]
        if len(row) > file and row[file].strip()
    }
    return StravaTable(name.removesuffix(NAME), words)


def _rows(data: bytes) -> list[list[str]]:
    """As far as they can be read."""
    rows = []
    try:
        for row in csv.reader(io.StringIO(data.decode(errors="replace"), newline="")):
            rows.append(row)  # noqa: PERF402 - what comes before damage is kept
    except csv.Error:
        pass
    return rows


def _file_column(rows: Sequence[Sequence[str]]) -> int | None:
    """The one column whose values are paths: its name is a word of the rider's language."""
    for row in rows[1:]:
        for index, value in enumerate(row):
            if index > _DESCRIPTION and value.startswith(_FOLDER):
                return index
    return None


def _words(row: Sequence[str], *, is_english: bool) -> Words:
    title, sport, description = (row[index].strip() for index in (_TITLE, _SPORT, _DESCRIPTION))
    known = sport_of_words(sport) if is_english else _translated(sport)
    return Words(title or None, description or None, known)


def _translated(sport: str) -> str | None:
    name = sport.casefold()
    known = next((ours for word, ours in _SPORTS if word in name), None)
    return virtual(known) if "virtu" in name else known
