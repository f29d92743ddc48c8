"""`make chaos`: devices upload while everything fails; no sample may be lost or counted twice.

Of each ride a webhook is told meanwhile: of every one that is completed, and in order.
"""

import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

import click

from ops.variables import run_in_words, variable
from tests.cluster import faults as scaled_faults
from tests.cluster.faults import ON_CLUSTER, ON_SENTINEL
from tests.cluster.nodes import Cluster, Watched, running_cluster, running_watched
from tests.cluster.system import running_apart
from tests.faults.devices import Device, HeedingDevice
from tests.faults.history import History, Verdict, check, find_unfinished, stores
from tests.faults.random_faults import FAULTS, Inject, dismiss_dead, heal, hire, keep_promises
from tests.faults.stream_devices import StreamDevice
from tests.faults.surroundings import SURROUNDINGS, Faults, Surround, alone
from tests.faults.system import System, running_system
from tests.faults.told import Telling, telling
from tests.hosts import faults as host_faults
from tests.hosts.system import running_on_hosts

RIDERS: Final = 6
_REPORT_EVERY: Final = 15.0  # seconds
_LONGEST_PEACE: Final = 1.0  # seconds between two faults
_TO_SETTLE: Final = 120.0  # seconds after the last fault
_FAILOVER: Final = "primary"  # so begins what may have a replica of Redis take its primary's place
_AROUND: Final = 1.0  # seconds by which a device may hear earlier or later

Report = Callable[[str], None]


@dataclass
class Outcome:
    """What a chaos run did, and what came of it."""

    seed: int
    history: History
    kinds: Sequence[str]
    injected: Counter[str]  # faults that took effect, by kind
    verdict: Verdict
    unfinished: list[str]
    received: int  # messages by webhooks, those that came again among them
    untold: list[str]  # what those lack
    logs: Path | None = None  # kept where something went wrong

    @property
    def faults(self) -> int:
        return self.injected.total()

    @property
    def wrong(self) -> list[str]:
        """All that should not be."""
        return [
            *(*self.verdict.details, *self.unfinished),
            *(*self.untold, *self.history.surprises),
        ]

    def lines(self) -> Iterator[str]:
        """The outcome as a table."""
        for kind in self.kinds:
            yield f"  {kind:40} {self.injected[kind]:8}"
        figures = {
            "faults injected": self.faults,
            "requests": self.history.answers.total(),
            **{f"  answered {each}": n for each, n in sorted(self.history.answers.items())},
            "acknowledged samples": self.history.samples_acknowledged,
            "rides": len(self.history.rides),
            "messages to streams": self.history.messages,
            "  lost by failovers of Redis": self.verdict.lost_untold,
            "lost": self.verdict.lost,
            "counted twice": self.verdict.twice,
            "unfinished": len(self.unfinished),
            "received by webhooks": self.received,
            "not told, or wrongly": len(self.untold),
            "surprises": len(self.history.surprises),
        }
        for name, figure in figures.items():
            yield f"{name:42} {figure:8}"


@dataclass(frozen=True)
class Ground:
    """The servers of a run, what may be done to them, and who rides on them.

    ``prepare`` has them keep what devices of these kinds are promised; ``beside`` sets up what
    stands beside or before them, and gives its faults.
    """

    running: Callable[[], AbstractContextManager[System]]
    faults: Mapping[str, Inject]
    devices: Sequence[type[Device]]
    heal: Callable[[System], None]
    prepare: Callable[[System], None] = lambda _: None
    beside: Surround = alone


# Every third rider sends as clients of the original service do, who are told of no loss: what a
# failover of Redis costs them by its nature is counted by itself. None does on hosts, where it has
# no bounds: a primary that is cut off goes on acknowledging until all is joined again.
_ONE: Final = Ground(
    partial(running_system, CHECKPOINT_INTERVAL="5"),
    FAULTS,
    (StreamDevice, Device, Device),
    heal,
    keep_promises,
)
GROUNDS: Final = {
    "one": _ONE,
    **{name: replace(_ONE, beside=each) for name, each in SURROUNDINGS.items()},
    "cluster": Ground(
        partial(running_apart, running_cluster),
        ON_CLUSTER,
        (StreamDevice, HeedingDevice, HeedingDevice),
        scaled_faults.heal,
    ),
    "sentinel": Ground(
        partial(running_apart, running_watched),
        ON_SENTINEL,
        (StreamDevice, HeedingDevice, HeedingDevice),
        scaled_faults.heal,
    ),
    "cluster-hosts": Ground(
        partial(running_on_hosts, Cluster),
        host_faults.ON_CLUSTER,
        (HeedingDevice,),
        host_faults.heal,
    ),
    "sentinel-hosts": Ground(
        partial(running_on_hosts, Watched),
        host_faults.ON_SENTINEL,
        (HeedingDevice,),
        host_faults.heal,
    ),
}


def run(
    seed: int,
    kinds: Sequence[str] = (),
    seconds: float | None = None,
    report: Report = lambda _: None,
    on: str = "one",
) -> Outcome:
    """Devices, a receiver and faults in random order; then heal, settle and compare.

    ``kinds`` are those of ``on``, by default all. Without ``seconds``, until each has taken effect
    once.
    """
    history, ground = History(), GROUNDS[on]
    with (
        ground.running() as system,
        ground.beside(system, history) as more,
        telling(seed, system.address) as told,
    ):
        ground.prepare(system)
        hire(system)
        system.start_api()
        possible = {**ground.faults, **more}
        faults = _Faults(system, history, random.Random(seed), possible)
        kinds = kinds or tuple(possible)
        with _devices(system, history, ground, seed, told):
            for line in faults.each(kinds) if seconds is None else faults.during(seconds, kinds):
                report(line)
            ground.heal(system)
            told.heal(system)
        report("healed; settling")
        with stores(system.database_url, system.redis_url) as connections:
            database, _ = connections
            unfinished = settle(
                lambda: find_unfinished(history, *connections) or told.find_unfinished(database)
            )
            verdict = check(history, *connections)
            untold = told.check(history, database)
        received = len(told.receiver.received)
        outcome = Outcome(
            seed, history, kinds, faults.injected, verdict, unfinished, received, untold
        )
        if outcome.wrong:
            outcome.logs = Path(tempfile.mkdtemp(prefix="chaos-")) / "logs"
            shutil.copytree(system.logs, outcome.logs)
    return outcome


@contextmanager
def _devices(
    system: System, history: History, ground: Ground, seed: int, told: Telling
) -> Iterator[None]:
    """Rides under way meanwhile, of which is told; on leaving, those begun are finished."""
    stop = threading.Event()
    with ThreadPoolExecutor(RIDERS) as threads:
        for number in range(RIDERS):
            rider = system.make_rider(timeout=5)
            told.subscribe(system, rider)
            kind = ground.devices[number % len(ground.devices)]
            device = kind(rider, history, random.Random(f"{seed} {number}"), pause=0.3)
            threads.submit(_ride, device, stop, history)
        try:
            yield
        finally:
            stop.set()


def _ride(device: Device, stop: threading.Event, history: History) -> None:
    try:
        device.ride_until(stop)
    except Exception as error:
        history.surprises.append(f"a device failed: {error!r}")


@dataclass
class _Faults:
    """Does harm, notes what took effect, and replaces what ended by it."""

    system: System
    history: History
    chance: random.Random
    possible: Faults
    injected: Counter[str] = field(default_factory=Counter)

    def each(self, kinds: Sequence[str]) -> Iterator[str]:
        """Every kind until it has taken effect, for some wait for an occasion; yields progress."""
        for kind in self.chance.sample(kinds, len(kinds)):
            while not self.injected[kind]:
                self._inject(kind)
            yield kind

    def during(self, seconds: float, kinds: Sequence[str]) -> Iterator[str]:
        """For so long, every kind once before any comes again; yields progress now and then."""
        start = reported = time.monotonic()
        for kind in self._shuffled(kinds):
            now = time.monotonic()
            if now > start + seconds:
                return
            if now > reported + _REPORT_EVERY:
                reported = now
                yield f"{now - start:4.0f} s: {self._progress()}"
            self._inject(kind)

    def _progress(self) -> str:
        samples = self.history.samples_acknowledged
        return f"{self.injected.total()} faults, {samples} samples acknowledged"

    def _shuffled(self, kinds: Sequence[str]) -> Iterator[str]:
        while True:
            yield from self.chance.sample(kinds, len(kinds))

    def _inject(self, kind: str) -> None:
        begun = time.monotonic()
        if self.possible[kind](self.system, self.chance):
            self.injected[kind] += 1
        if kind.startswith(_FAILOVER):
            self.history.failovers.append((begun - _AROUND, time.monotonic() + _AROUND))
        time.sleep(self.chance.uniform(0, _LONGEST_PEACE))
        self._replace_the_dead(kind)

    def _replace_the_dead(self, kind: str) -> None:
        """Faults replace what they kill; whatever else ended did so by itself."""
        if dead := dismiss_dead(self.system):
            self.history.surprises.append(f"{dead} workers ended by themselves during: {kind}")
            hire(self.system)
        if not self.system.is_served:
            self.history.surprises.append(f"the API ended by itself during: {kind}")
            self.system.start_api()


def settle(find: Callable[[], list[str]]) -> list[str]:
    """What is unfinished once nothing is, or after all patience."""
    deadline = time.monotonic() + _TO_SETTLE
    while (unfinished := find()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return unfinished


@click.command()
@variable("--minutes", envvar="MINUTES", type=float, default=10, show_default=True)
@variable("--seed", envvar="SEED", type=int, help="Drawn if not given.")
@variable("--on", envvar="ON", type=click.Choice(list(GROUNDS)), default="one", show_default=True)
def main(minutes: float, seed: int | None, on: str) -> None:
    """Inject random faults for so many minutes; fail if a sample was lost or counted twice."""
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    click.echo(f"{minutes:g} minutes of faults on {on}, SEED={seed}")
    outcome = run(seed, seconds=minutes * 60, report=click.echo, on=on)
    for line in outcome.lines():
        click.echo(line)
    if outcome.wrong:
        for line in outcome.wrong[:50]:
            click.echo(f"WRONG: {line}")
        sys.exit(f"SEED={seed} went wrong; logs in {outcome.logs}")


if __name__ == "__main__":
    run_in_words(main)
