"""A ride's archive in the hands of a fold: its parts, and which of them are to be written."""

from dataclasses import dataclass
from typing import Final

from shared.samples.archive import WHOLE, split
from shared.samples.columns import Samples, concatenate, merge

# Ten days and more. What is scattered over more parts is no ride, and is kept in one.
MOST_PARTS: Final = 64


@dataclass(frozen=True)
class RideArchive:
    """``parts``: number → samples in order of time; ``changed``: the numbers to write.

    ``anew``: whatever is archived is to be replaced.
    """

    parts: dict[int, Samples]
    changed: list[int]
    anew: bool = False

    def samples(self) -> Samples:
        """All that is here, in order of time."""
        return concatenate([self.parts[number] for number in sorted(self.parts)])


def merge_archive(archived: dict[int, Samples], fresh: dict[int, Samples]) -> RideArchive:
    """Merge into each part what is fresh of it, in order of arrival."""
    if WHOLE in archived or len(archived.keys() | fresh.keys()) > MOST_PARTS:
        return _archive_anew(merge(concatenate([*archived.values(), *fresh.values()])))
    parts = dict(archived)
    for number, samples in fresh.items():
        before = [parts[number]] if number in parts else []
        parts[number] = merge(concatenate([*before, samples]))
    return RideArchive(parts, sorted(fresh))


def _archive_anew(samples: Samples) -> RideArchive:
    parts = dict(split(samples))
    if len(parts) > MOST_PARTS:
        parts = {WHOLE: samples}
    return RideArchive(parts, sorted(parts), anew=True)
