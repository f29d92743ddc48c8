"""Critical power and W′ from a rider's best efforts: a fit, or the reason why there is none."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Final, NamedTuple
from uuid import UUID

SHORTEST: Final = 120  # seconds
LONGEST: Final = 1200  # seconds
_FEWEST: Final = 3
_MOST: Final = 12  # efforts that are tried in every combination
_SPREAD: Final = 3  # times the shortest effort, at least, that the longest takes
_BELOW_THE_EDGE: Final = 0.03  # of its work that an effort may lack and still be maximal
_LEAST_W_PRIME: Final = 1000.0  # joules: a rider with less has not gone all out
_LEAST_R2: Final = 0.95
_NO_RIDE: Final = UUID(int=0)
_LARGEST_MISS: Final = 0.10  # of an effort's work, by which the line may miss it


class Effort(NamedTuple):
    """A best effort: its seconds, its mean power in watts, the Unix second it began, its ride."""

    duration: int
    power: float
    started: float
    workout_id: UUID = _NO_RIDE

    @property
    def work(self) -> float:
        """Joules."""
        return self.duration * self.power

    def overlaps(self, other: "Effort") -> bool:
        """Whether the two have seconds in common, so that one is a part of the other's."""
        first, second = sorted((self, other), key=lambda effort: effort.started)
        return second.started < first.started + first.duration


@dataclass(frozen=True)
class Fit:
    """Watts and joules, how well they fit, and the efforts fitted; or None and the reason."""

    critical_power: float | None
    w_prime: float | None
    r2: float | None
    efforts: tuple[Effort, ...]
    reason: str | None = None


def fit_critical_power(efforts: Sequence[Effort]) -> Fit:
    """Work = W′ + CP · time, fitted to the efforts of 2 to 20 minutes that are really maximal.

    Those are on the upper edge of work over time, and no parts of one another; there are three at
    least, and the longest takes three times the shortest. An easy ride's best is no maximum, and
    a line through it would give a critical power that nobody has.
    """
    eligible = [each for each in efforts if SHORTEST <= each.duration <= LONGEST and each.power > 0]
    chosen = _independent(_on_upper_edge(eligible))
    if len(chosen) < _FEWEST:
        return _none(
            f"it takes {_FEWEST} maximal efforts from 2 to 20 minutes, none a part of another;"
            f" here are {len(chosen)}",
            chosen,
        )
    if _spread(chosen) < _SPREAD:
        return _none(
            f"the longest maximal effort takes less than {_SPREAD} times as long as the shortest",
            chosen,
        )
    return _fitted(chosen)


def _on_upper_edge(efforts: Sequence[Effort]) -> list[Effort]:
    """The efforts whose work is about as much as those beside them let expect.

    The edge is the upper hull of the points (duration, work): where work lies below the line
    between two other efforts, or below that of a shorter one, more was possible.
    """
    edge: list[Effort] = []
    for effort in sorted(efforts, key=lambda each: (each.duration, each.work)):
        while edge and (
            edge[-1].duration == effort.duration
            or (len(edge) > 1 and _slope(edge[-2], effort) >= _slope(edge[-2], edge[-1]))
        ):
            edge.pop()
        if not edge or effort.work > edge[-1].work:
            edge.append(effort)
    least = 1 - _BELOW_THE_EDGE
    return [effort for effort in efforts if effort.work / _at(edge, effort) >= least]


def _slope(first: Effort, second: Effort) -> float:
    return (second.work - first.work) / (second.duration - first.duration)


def _at(edge: Sequence[Effort], effort: Effort) -> float:
    """The work on the edge at the effort's duration."""
    for before, after in pairwise(edge):
        if before.duration <= effort.duration <= after.duration:
            return before.work + _slope(before, after) * (effort.duration - before.duration)
    return edge[-1].work if effort.duration >= edge[-1].duration else edge[0].work


def _independent(efforts: Sequence[Effort]) -> tuple[Effort, ...]:
    """The most efforts of which none overlap, by duration.

    Of several such, those that lie best on a line, and then the longest: of three minutes all out
    that is the whole, for its best two lack a third of W′. Wherever parts were taken for the sake
    of their spread, W′ would be too low.
    """
    efforts = sorted(set(efforts), key=lambda each: each.work)[-_MOST:]
    for count in range(len(efforts), 0, -1):
        found = [
            tuple(sorted(chosen))
            for chosen in combinations(efforts, count)
            if not any(a.overlaps(b) for a, b in combinations(chosen, 2))
        ]
        if found:
            return max(
                found,
                key=lambda chosen: (
                    -round(_line(chosen).missed, 3),
                    sum(each.duration for each in chosen),
                ),
            )
    return ()


def _spread(efforts: Sequence[Effort]) -> float:
    """How many times the shortest the longest takes; the efforts are in order of duration."""
    return efforts[-1].duration / efforts[0].duration


class _Line(NamedTuple):
    """Watts and joules, r², and the largest share of its work by which an effort misses it."""

    critical_power: float
    w_prime: float
    r2: float
    missed: float


def _line(efforts: tuple[Effort, ...]) -> _Line:
    """By least squares of work over time."""
    count = len(efforts)
    time = sum(each.duration for each in efforts) / count
    work = sum(each.work for each in efforts) / count
    across = sum((each.duration - time) * (each.work - work) for each in efforts)
    spread = sum((each.duration - time) ** 2 for each in efforts)
    variance = sum((each.work - work) ** 2 for each in efforts)
    critical_power = across / spread if spread else 0.0
    w_prime = work - critical_power * time
    r2 = across**2 / (spread * variance) if variance and spread else 0.0
    missed = max(abs(w_prime + critical_power * e.duration - e.work) / e.work for e in efforts)
    return _Line(critical_power, w_prime, r2, missed)


def _fitted(efforts: tuple[Effort, ...]) -> Fit:
    critical_power, w_prime, r2, missed = _line(efforts)
    if critical_power <= 0 or w_prime < _LEAST_W_PRIME:
        return _none("the shorter efforts are no harder than the longer ones: not maximal", efforts)
    if r2 < _LEAST_R2 or missed > _LARGEST_MISS:
        return _none(f"the efforts do not lie on a line (r² {r2:.2f}, {missed:.0%} off)", efforts)
    return Fit(critical_power, w_prime, r2, efforts)


def _none(reason: str, efforts: tuple[Effort, ...]) -> Fit:
    return Fit(None, None, None, efforts, reason)
