"""How far a viewer has got: the id of each event, from which a later stream goes on. Pure."""

import re
from dataclasses import dataclass
from typing import Final

import numpy as np

from shared.samples.columns import IntArray

START: Final = "0-0"  # of any stream
# No longer than a moment in ms, and what Redis numbers entries by, can be.
_FORM: Final = re.compile(r"([0-9]{1,13}-[0-9]{1,19})\.([0-9]{0,13})\.([0-9]{0,12})", re.ASCII)


@dataclass(frozen=True)
class Position:
    """All was seen up to the ``entry`` of the ride's stream.

    Of these samples ``through`` (ms) is the latest; ``count``: how many there are up to there,
    None where that is not known. From these two a reader of the archive, in which no sample tells
    when it arrived, sees whether anything is new but what is later.
    """

    entry: str
    through: int | None
    count: int | None

    def __str__(self) -> str:
        return ".".join(
            (
                self.entry,
                "" if self.through is None else str(self.through),
                "" if self.count is None else str(self.count),
            )
        )

    @classmethod
    def parse(cls, text: str) -> "Position":
        """The position that an id names; the beginning for what is none, so that nothing lacks."""
        match = _FORM.fullmatch(text)
        if match is None:
            return cls(START, None, None)
        entry, through, count = match.groups()
        return cls(entry, int(through) if through else None, int(count) if count else None)

    @classmethod
    def after_all(cls, entry: str, timestamps: IntArray) -> "Position":
        """That of who has seen all of a ride; ``timestamps``: in order, each once."""
        through = int(timestamps[-1]) if len(timestamps) else None
        return cls(entry, through, len(timestamps))

    def after(self, entry: str, timestamps: IntArray) -> "Position":
        """That of who has then seen further entries, up to ``entry``, with these timestamps."""
        times = np.unique(timestamps)
        if not len(times):
            return Position(entry, self.through, self.count)
        is_later = self.through is None or times[0] > self.through
        count = self.count + len(times) if is_later and self.count is not None else None
        through = int(times[-1]) if self.through is None else max(self.through, int(times[-1]))
        return Position(entry, through, count)

    def first_unseen(self, timestamps: IntArray) -> int | None:
        """From which timestamp on the samples of a ride may be new; None: all of them may.

        ``timestamps``: of the whole ride, in order, each once.
        """
        if self.through is None or self.count is None:
            return None
        seen = int(np.searchsorted(timestamps, self.through, side="right"))
        return self.through + 1 if seen == self.count else None

    def is_before(self, entry: bytes) -> bool:
        """Whether an entry came after all that were seen."""
        return _order_of(entry.decode()) > _order_of(self.entry)

    @property
    def arrived(self) -> int:
        """When the last entry that was seen arrived, in ms: Redis put it into the id."""
        return int(self.entry.partition("-")[0])


def _order_of(entry: str) -> tuple[int, int]:
    milliseconds, _, sequence = entry.partition("-")
    return int(milliseconds), int(sequence)
