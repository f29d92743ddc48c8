"""What a benchmark found: a figure's runs beside its limit's and the peer's, and its targets."""

import statistics
from enum import StrEnum

from msgspec import Struct


class Against(StrEnum):
    """What a target compares the figure with."""

    ITSELF = ""
    LIMIT = "limit"
    PEER = "peer"


class Target(Struct, frozen=True):
    """At least, or at most, so many times what it is compared with; or in the figure's unit."""

    bound: float
    against: Against = Against.ITSELF
    at_least: bool = False

    def is_met(self, value: float, other: float | None) -> bool | None:
        """None where what it is compared with was not measured."""
        if self.against is Against.ITSELF:
            other = 1
        if other is None:
            return None
        return value >= self.bound * other if self.at_least else value <= self.bound * other


class Figure(Struct, frozen=True, kw_only=True):
    """A figure in its unit, by run; what the machine (limit) and the peer do, by run as well."""

    section: str
    name: str
    unit: str
    runs: list[float]
    limit_runs: list[float] = []
    limit: str = ""
    peer_runs: list[float] = []
    targets: list[Target] = []
    digits: int = 1

    @property
    def key(self) -> str:
        """What names it in the JSON file."""
        return f"{self.section}: {self.name}"

    @property
    def median(self) -> float:
        """Of our runs."""
        return statistics.median(self.runs)

    def other(self, against: Against) -> float | None:
        """The median of the limit or of the peer, if it was measured."""
        runs = {Against.LIMIT: self.limit_runs, Against.PEER: self.peer_runs}.get(against)
        return statistics.median(runs) if runs else None

    def ratio(self, against: Against) -> float | None:
        """Ours to the limit's or the peer's."""
        other = self.other(against)
        return self.median / other if other else None

    def verdicts(self) -> list[tuple[Target, bool | None]]:
        """Each target, and whether it is met."""
        return [(each, each.is_met(self.median, self.other(each.against))) for each in self.targets]


def least(bound: float, against: Against = Against.ITSELF) -> Target:
    """At least so much."""
    return Target(bound, against, at_least=True)


def most(bound: float, against: Against = Against.ITSELF) -> Target:
    """At most so much."""
    return Target(bound, against)


class Machine(Struct, frozen=True):
    """Where a run took place."""

    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    python: str
    load_average: float  # of the last minute, before the run
    versions: dict[str, str]


class Report(Struct, frozen=True):
    """A whole run. ``date``: RFC 3339."""

    date: str
    machine: Machine
    figures: list[Figure]

    def median(self, key: str) -> float:
        """The median of a figure. Raises KeyError."""
        return {each.key: each.median for each in self.figures}[key]
