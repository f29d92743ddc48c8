"""What a measurement found: a figure's runs beside its limit's and the peer's, and its target."""

import statistics
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

Run = dict[str, float]  # what one run measured, by name
Against = Literal["limit", "peer"]


class Target(Struct, frozen=True):
    """At least, or at most, so much in the figure's unit; or so many times what it names."""

    bound: float
    against: Against | None = None
    at_least: bool = False


class Figure(Struct, frozen=True):
    """A figure in its unit, by run; what the machine (limit) and the peer do, by run as well."""

    name: str
    unit: str
    runs: list[float]
    limit: str = ""  # what the limit is
    limit_runs: list[float] = []
    peer_runs: list[float] = []
    target: Target | None = None
    section: str = ""  # filled in by whoever asked for the measurement

    @property
    def key(self) -> str:
        """What names it in the table."""
        return f"{self.section}: {self.name}"

    @property
    def median(self) -> float:
        """Of our runs."""
        return statistics.median(self.runs)

    def other(self, against: Against) -> float | None:
        """The median of the limit or of the peer, if it was measured."""
        runs = self.limit_runs if against == "limit" else self.peer_runs
        return statistics.median(runs) if runs else None

    def ratio(self, against: Against) -> float | None:
        """Ours to the limit's or the peer's."""
        other = self.other(against)
        return self.median / other if other else None

    @property
    def is_met(self) -> bool | None:
        """Whether the target is; None without one, or if what it is compared with is unknown."""
        if (target := self.target) is None:
            return None
        value = self.ratio(target.against) if target.against else self.median
        if value is None:
            return None
        return value >= target.bound if target.at_least else value <= target.bound


def least(bound: float, against: Against | None = None) -> Target:
    """At least so much."""
    return Target(bound, against, at_least=True)


def most(bound: float, against: Against | None = None) -> Target:
    """At most so much."""
    return Target(bound, against)


def series(runs: Sequence[Run], name: str) -> list[float]:
    """One value of each run that has it."""
    return [run[name] for run in runs if name in run]
