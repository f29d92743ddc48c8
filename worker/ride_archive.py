"""A ride's archive in the hands of a fold: its parts, and which of them are to be written."""

from dataclasses import dataclass

from shared.archive import WHOLE, split
from shared.telemetry import Samples, concatenate, merge


@dataclass(frozen=True)
class RideArchive:
    """``parts``: number → samples in order of time; ``changed``: the numbers to write.

    ``outdated``: the ride was archived as a whole, in a row of its own that must go.
    """

    parts: dict[int, Samples]
    changed: list[int]
    outdated: bool

    def samples(self) -> Samples:
        """All that is here, in order of time."""
        return concatenate([self.parts[number] for number in sorted(self.parts)])


def merge_archive(archived: dict[int, Samples], fresh: Samples) -> RideArchive:
    """Merge samples in order of arrival into the parts they belong to."""
    parts = dict(archived)
    changed: set[int] = set()
    outdated = WHOLE in parts
    for new in (parts.pop(WHOLE), fresh) if outdated else (fresh,):
        for number, samples in split(new):
            before = [parts[number]] if number in parts else []
            parts[number] = merge(concatenate([*before, samples]))
            changed.add(number)
    return RideArchive(parts, sorted(changed), outdated)
