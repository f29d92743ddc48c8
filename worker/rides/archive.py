"""A ride's archive in the hands of a fold: its parts, and which of them are to be written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.samples.archive import WHOLE, split
from shared.samples.columns import Samples, concatenate, count_overwritten, merge, no_samples

# Ten days and more. What is scattered over more parts is no ride, and is kept in one.
MOST_PARTS: Final = 64


@dataclass(frozen=True)
class RideArchive:
    """``parts``: number → samples in order of time; ``changed``: the numbers to write.

    ``anew``: whatever is archived is to be replaced. ``overwritten``: how many timestamps got
    other values than were there, in the archive or among what is fresh.
    """

    parts: dict[int, Samples]
    changed: list[int]
    anew: bool = False
    overwritten: int = 0

    def samples(self) -> Samples:
        """All that is here, in order of time."""
        return concatenate([self.parts[number] for number in sorted(self.parts)])

    def without(self, removed: Sequence[tuple[int, int]]) -> "RideArchive":
        """What is outside the ranges (ms, without their ends); the same if that is all there is."""
        if not removed:
            return self
        samples = self.samples()
        kept = samples.outside(removed)
        return self if len(kept) == len(samples) else _archive_anew(kept, self.overwritten)


def merge_archive(archived: dict[int, Samples], fresh: dict[int, Samples]) -> RideArchive:
    """Merge into each part what is fresh of it, in order of arrival."""
    if WHOLE in archived or len(archived.keys() | fresh.keys()) > MOST_PARTS:
        before, after = concatenate([*archived.values()]), concatenate([*fresh.values()])
        return _archive_anew(*_merged(before, after))
    parts, overwritten = dict(archived), 0
    for number, samples in fresh.items():
        parts[number], count = _merged(parts.get(number, no_samples()), samples)
        overwritten += count
    return RideArchive(parts, sorted(fresh), overwritten=overwritten)


def _merged(archived: Samples, fresh: Samples) -> tuple[Samples, int]:
    """Both in order of time, and how many timestamps got other values."""
    merged = merge(concatenate([archived, fresh]))
    are_apart = len(merged) == len(archived) + len(fresh)
    return merged, 0 if are_apart else count_overwritten(archived, fresh)


def _archive_anew(samples: Samples, overwritten: int) -> RideArchive:
    parts = dict(split(samples))
    if len(parts) > MOST_PARTS:
        parts = {WHOLE: samples}
    return RideArchive(parts, sorted(parts), anew=True, overwritten=overwritten)
