"""What is said of a ride beside its file: by whoever sends it, or by the table of an export."""

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
