"""The second table of docs/metrics.md: our figures beside independent ones, ride by ride."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from shared.critical_power import Effort, fit_critical_power
from shared.figures import Summary
from shared.samples.channels import CHANNEL_NAMES
from shared.samples.columns import Samples, merge
from tests.rides import published
from tests.rides.published import Point
from tests.rides.truth import Entry, Sample, samples_of
from worker.rides.athlete import Athlete
from worker.rides.efforts import rank_efforts
from worker.rides.ride import Ride
from worker.rides.summary import summarize

HEAD: Final = "| ride | figure | by | theirs | ours | difference |\n|---|---|---|---:|---:|---:|\n"
W_PRIME: Final = 20_000  # joules, GoldenCheetah's default
_CRITICAL_POWER: Final = 250  # watts, its default, where the device has no FTP
_BESTS: Final = {5: "5 s", 60: "1 min", 300: "5 min", 1200: "20 min", 3600: "1 h"}
_LONG_ENOUGH: Final = 1200  # seconds of a ride that critical power is fitted to


class Comparison(NamedTuple):
    """A figure by somebody's definition and by ours; ``relative``: their difference in per cent."""

    figure: str
    by: str
    theirs: float | None
    ours: float | None
    relative: bool = True

    def difference(self) -> float | None:
        """In per cent of theirs, or in the figure's unit; None if either is."""
        if self.theirs is None or self.ours is None:
            return None
        return (self.ours / self.theirs - 1) * 100 if self.relative else self.ours - self.theirs

    def line(self, ride: str) -> str:
        """As the table has it."""
        difference, unit = self.difference(), " %" if self.relative else ""
        shown = "–" if difference is None else f"{difference:+.2f}{unit}"
        numbers = f"{_shown(self.theirs)} | {_shown(self.ours)} | {shown}"
        return f"| {ride} | {self.figure} | {self.by} | {numbers} |\n"


class Analysed(NamedTuple):
    """A ride by our definitions, and its points as GoldenCheetah imports them."""

    summary: Summary
    bests: list[Effort]
    critical_power: float
    power: list[Point]
    heartrate: list[Point]


def rides_with_power(folder: Path, manifest: dict[str, Any]) -> Iterator[tuple[str, Analysed]]:
    """Every ride of the manifest that has power, by name."""
    originals = {entry["file"]: entry for entry in manifest["rides"]}
    for entry in [*manifest["rides"], *manifest["xml"], *manifest["derived"]]:
        samples = samples_of(folder, entry)
        if any("power" in sample for sample in samples):
            original = originals.get(entry.get("derived_from"), entry)
            ftp = original.get("device_truth", {}).get("threshold_power")
            yield name_of(entry), analyse(samples, ftp or _CRITICAL_POWER)


def name_of(entry: Entry) -> str:
    """The file's name without folders and endings."""
    return str(entry["file"].rpartition("/")[2].partition(".")[0])


def analyse(samples: Sequence[Sample], critical_power: float) -> Analysed:
    """One ride, of a rider with this critical power."""
    ride = Ride(_columns(samples))
    bests = rank_efforts(ride).bests["power"]
    return Analysed(
        summarize(ride, Athlete(critical_power=critical_power, w_prime=W_PRIME)),
        [Effort(each.duration, each.value, each.started) for each in bests],
        critical_power,
        published.imported(samples, "power"),
        published.imported(samples, "heartrate"),
    )


def compare(ride: Analysed) -> Iterator[Comparison]:
    """Every figure that both have."""
    theirs, ours = published.x_power(ride.power), ride.summary.x_power
    yield Comparison("xPower, W", "GoldenCheetah", theirs, ours)
    yield from _w_prime(ride)
    yield from _decouplings(ride)
    yield from _bests(ride)
    yield from _critical_powers(ride)


def _w_prime(ride: Analysed) -> Iterator[Comparison]:
    watts, cp = published.clock(ride.power), ride.critical_power
    ours = ride.summary.w_prime_balance_min
    figure = f"lowest W′ balance at CP {cp:g} W, kJ"
    theirs = published.w_prime_differential(watts, cp, W_PRIME) / 1000
    yield Comparison(figure, "GoldenCheetah, differential", theirs, ours, relative=False)
    theirs = published.w_prime_integral(watts, cp, W_PRIME) / 1000
    yield Comparison(figure, "Skiba's integral", theirs, ours, relative=False)


def _decouplings(ride: Analysed) -> Iterator[Comparison]:
    ours = ride.summary.decoupling
    if ours is not None:
        theirs = published.decoupling(ride.power, ride.heartrate)
        yield Comparison("decoupling, %", "GoldenCheetah", theirs, ours, relative=False)
        theirs = published.pw_hr(ride.power, ride.heartrate)
        yield Comparison("decoupling, %", "TrainingPeaks, Pw:Hr", theirs, ours, relative=False)


def _bests(ride: Analysed) -> Iterator[Comparison]:
    watts = published.elapsed(ride.power)
    for best in ride.bests:
        if best.duration in _BESTS:
            theirs = published.mean_maximal(watts, best.duration)
            yield Comparison(
                f"best {_BESTS[best.duration]}, W", "GoldenCheetah", theirs, best.power
            )


def _critical_powers(ride: Analysed) -> Iterator[Comparison]:
    watts = published.elapsed(ride.power)
    if len(watts) < _LONG_ENOUGH:
        return
    bests, fit = published.all_bests(watts), fit_critical_power(ride.bests)
    for by, (cp, w_prime) in (
        ("line through all bests", published.regression(bests)),
        ("GoldenCheetah, envelope", published.envelope(bests)),
    ):
        yield Comparison("critical power, W", by, cp, fit.critical_power)
        ours = None if fit.w_prime is None else fit.w_prime / 1000
        yield Comparison("W′, kJ", by, w_prime / 1000, ours)


def _columns(samples: Sequence[Sample]) -> Samples:
    names = [name for name in CHANNEL_NAMES if any(name in sample for sample in samples)]
    times = np.array([sample["timestamp"] for sample in samples], np.int64)
    return merge(Samples(times, {n: np.array([s.get(n, np.nan) for s in samples]) for n in names}))


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
