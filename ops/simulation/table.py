"""What goes through, while it does and at the end: as tables in a terminal, else as plain lines."""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table

from ops.simulation.requests import Traffic
from ops.simulation.riding import Clock, Riding, Stage

SHOWN: Final = 6  # riders: one of each kind
_WINDOW: Final = 5.0  # seconds that rates are over
_UNDER_WAY: Final = (Stage.STARTING, Stage.RIDING, Stage.FINISHING)


@dataclass
class Board:
    """``looks``: times of the last seconds, with the answers and the samples up to each."""

    ridings: Sequence[Riding]
    traffic: Traffic
    clock: Clock
    now: Callable[[], float] = time.monotonic
    looks: deque[tuple[float, int, int]] = field(default_factory=deque)

    def look(self) -> None:
        """Note how much has gone through by now."""
        now = self.now()
        self.looks.append((now, self.traffic.answers, self.traffic.samples))
        while len(self.looks) > 2 and self.looks[0][0] < now - _WINDOW:
            self.looks.popleft()

    def rates(self) -> tuple[float, float]:
        """Requests and samples a second."""
        (before, *first), (now, *last) = self.looks[0], self.looks[-1]
        passed = max(now - before, 1e-3)
        return (last[0] - first[0]) / passed, (last[1] - first[1]) / passed

    def line(self) -> str:
        """All of it in one line, and a rider."""
        requests, samples = self.rates()
        oldest = self.traffic.oldest(self.now())
        parts = [
            f"{self._ridden()}: {self._stages()}",
            f"{requests:.1f} requests/s, {samples:.0f} samples/s, {self.traffic.again} sent again",
            f"oldest unanswered {oldest:.1f} s",
            *[_rider_line(each) for each in self.ridings[:1]],
        ]
        return "; ".join([*parts, *([self.traffic.trouble] if oldest > _WINDOW else [])])

    def _ridden(self) -> str:
        minutes, seconds = divmod(int(self.clock.seconds()), 60)
        return f"{minutes}:{seconds:02} ridden"

    def _stages(self) -> str:
        counts = Counter(each.stage for each in self.ridings)
        return ", ".join(f"{counts[each]} {each.value}" for each in Stage if counts[each])

    def __rich__(self) -> RenderableType:
        """The same as tables."""
        requests, samples = self.rates()
        oldest = self.traffic.oldest(self.now())
        totals = Table(title=f"{self._ridden()}: {self._stages()}", title_justify="left")
        for name in ("Requests/s", "Samples/s", "Samples", "Sent again", "Oldest unanswered"):
            totals.add_column(name, justify="right")
        figures = (f"{requests:.1f}", f"{samples:.0f}", f"{self.traffic.samples:,}")
        totals.add_row(*figures, f"{self.traffic.again}", f"{oldest:.1f} s")
        trouble = [f"last trouble: {escape(self.traffic.trouble)}"] if self.traffic.trouble else []
        return Group(totals, self._riders(), *trouble)

    def _riders(self) -> Table:
        table = Table()
        table.add_column("Rider")
        for name in ("Sent", "Due", "Power", "NP", "km/h", "Stored"):
            table.add_column(name, justify="right")
        for each in self.ridings[:SHOWN]:
            watched = each.watched
            speed = watched.last("speed")
            table.add_row(
                each.rider.name,
                f"{each.sent}",
                f"{each.due(self.clock)}",
                _watts(watched.last("power")),
                _watts(watched.summary.get("normalizedPower")),
                "–" if speed is None else f"{speed * 3.6:.1f}",
                f"{each.stored}" if each.stage is Stage.COMPLETE else each.stage.value,
            )
        return table


def _rider_line(riding: Riding) -> str:
    power = _watts(riding.watched.last("power"))
    normalized = _watts(riding.watched.summary.get("normalizedPower"))
    return f"{riding.rider.name} {power}, NP {normalized}"


def _watts(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} W"


@dataclass(frozen=True)
class Result:
    """What has become of the rides."""

    ridings: Sequence[Riding]

    @property
    def complete(self) -> list[Riding]:
        """Those whose figures are there."""
        return [each for each in self.ridings if each.stage is Stage.COMPLETE]

    @property
    def wrong(self) -> list[Riding]:
        """Complete rides that do not hold what was sent, and those that were refused."""
        differ = [each for each in self.complete if each.sent != each.stored]
        return differ + [each for each in self.ridings if each.stage is Stage.REFUSED]

    @property
    def left(self) -> list[Riding]:
        """Rides that were left under way."""
        return [each for each in self.ridings if each.stage in _UNDER_WAY]


def show_result(console: Console, result: Result) -> None:
    """How many rides, whether every sample is stored, and what is not as it should be."""
    sent = sum(each.sent for each in result.complete)
    stored = sum(each.stored for each in result.complete)
    equal = "every sample is stored" if sent == stored else "NOT the same"
    rides = f"{len(result.complete)} of {len(result.ridings)} rides complete"
    console.print(f"{rides}: {sent:,} samples sent, {stored:,} stored: {equal}")
    for each in result.wrong:
        said = each.refusal or f"{each.sent} samples sent, {each.stored} stored"
        console.print(f"WRONG: {each.rider.name} {each.workout_id}: {said}", markup=False)
    for each in result.left:
        said = f"{each.sent} samples sent; it completes itself once it has been silent for long"
        console.print(f"left: {each.rider.name} {each.workout_id or '(not started)'}: {said}")
