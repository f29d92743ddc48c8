"""What is said of a ride beside its file: by whoever sends it, or by the table of an export."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from shared.files.recording import Recording
from shared.sports import sport_family


@dataclass(frozen=True)
class Words:
    """None where nothing is said. ``sport``: in our words."""

    title: str | None = None
    description: str | None = None
    sport: str | None = None


NO_WORDS: Final = Words()
LONGEST_TITLE: Final = 200
LONGEST_DESCRIPTION: Final = 10_000
SPORT: Final = re.compile(r"[a-z0-9_-]{1,50}")


def plain(words: Words) -> Words:
    """The words as a workout may have them."""
    return Words(
        plain_line(words.title, LONGEST_TITLE),
        plain_text(words.description, LONGEST_DESCRIPTION),
        words.sport if words.sport and SPORT.fullmatch(words.sport) else None,
    )


def plain_text(text: str | None, most: int) -> str | None:
    """Without what nobody sees: PostgreSQL holds no NUL, and JSON no half of a character."""
    if not text:
        return None
    shown = "".join(each for each in text if each.isprintable() or each == "\n")
    return shown.strip()[:most] or None


def plain_line(text: str | None, most: int) -> str | None:
    """The text as one line."""
    return plain_text(" ".join((text or "").split()), most)


def tell(recordings: Sequence[Recording], words: Words) -> list[Recording]:
    """The rides of a file with these words in place of the file's own.

    A file of several rides, such as a triathlon's, knows their sports better than one word does.
    """
    sport = words.sport if len(recordings) == 1 else None
    return [
        replace(
            ride,
            title=words.title or ride.title,
            description=words.description or ride.description,
            sport=_closer(sport, ride.sport),
        )
        for ride in recordings
    ]


def _closer(said: str | None, known: str | None) -> str | None:
    """What is said, unless the file says the same more closely: "ride" of a gravel bike's."""
    if said is None or known is None:
        return said or known
    return known if sport_family(known) == said else said
