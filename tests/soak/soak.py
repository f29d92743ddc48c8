"""`make soak`: many riders on all that the service can run on, while servers come and go.

That is a Redis Cluster, a PostgreSQL whose commits wait for a replica that is read from, a pooler
before it, two API processes and two workers, with the settings of production. Riders ride in real
time. Meanwhile all processes are upgraded twice, a primary of Redis dies, and PostgreSQL fails
over, is backed up, and is lost and restored.
"""

import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from bench.meters import cpu_of
from bench.report import this_machine
from ops.admin.accounts import create_account
from ops.admin.previous import read_previous
from ops.simulation.riders import make_riders
from ops.variables import run_in_words, variable
from tests.cluster.nodes import running_cluster
from tests.conftest import ROOT, reachable_folder
from tests.faults.chaos import settle
from tests.faults.former import check_out, has
from tests.faults.history import Verdict
from tests.soak import meters
from tests.soak.crowd import Crowd, Part, Told, Urls, riding
from tests.soak.database import running_database
from tests.soak.events import EVENTS, Ground
from tests.soak.fleet import migrate, running_fleet
from tests.soak.meters import QUIET, Look
from tests.soak.rider import Pace, Who

# Seconds; by default 600. So devices forget, and workers fold, more often.
CHECKPOINT: Final = 120
NODE_TIMEOUT: Final = 5000  # ms; by default of Redis 15,000
_PROCESSES: Final = 2  # that riders ride in
_LIVE: Final = 20  # riders, of whom one sends by WebSocket
_LOOK_EVERY: Final = 10.0  # seconds
_AFTERWARDS: Final = 20.0  # seconds after an event that still count as its own
_TO_FINISH: Final = 300.0  # seconds after the end, for the last rides
_NEEDS: Final = ("shared/redis_cluster.py", "shared/replicas.py")  # of a version that can run here
_SHORTEST: Final = 0.25  # part of its usual length that a ride has in a soak of minutes

Report = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """``former``: a commit whose version runs before the first upgrade; without, this one does."""

    minutes: float
    riders: int
    pace: Pace
    events: Sequence[str] = tuple(EVENTS)
    former: str = ""
    seed: int = 1
    look_every: float = _LOOK_EVERY
    afterwards: float = _AFTERWARDS


@dataclass
class Outcome:
    """What a soak did, and what came of it."""

    wanted: Wanted
    told: Told
    looks: list[Look]
    phases: list[tuple[float, str]]  # when each has begun, in seconds of the clock
    latencies: Mapping[tuple[str, str], list[float]]
    quarters: tuple[float, float]  # ms of uploads: see meters
    riders_cores: float
    took: Mapping[str, float]  # seconds, by event
    machine: str
    surprises: list[str]
    unfinished: list[str] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)

    @property
    def wrong(self) -> list[str]:
        """All that should not be."""
        return [
            *(*self.verdict.details, *self.unfinished, *self.surprises, *self.told.surprises),
            *meters.growing(self.looks),
            *meters.waiting(self.looks, self.wanted.riders),
            *meters.slower(*self.quarters),
        ]

    def figures(self) -> dict[str, Any]:
        """What is told first."""
        failed = {k: n for k, n in sorted(self.told.answers.items()) if not _is_success(k)}
        return {
            "riders": self.wanted.riders,
            "minutes": self.wanted.minutes,
            "rides completed": self.told.completed,
            "samples acknowledged": self.told.samples,
            "requests and messages": self.told.answers.total(),
            **{f"  failed, and made again: {each}": count for each, count in failed.items()},
            "samples sent again for another epoch": self.told.again,
            "lost": self.verdict.lost,
            "counted twice": self.verdict.twice,
            "unfinished": len(self.unfinished),
            "most events waiting": _most(each.events for each in self.looks),
            "most rides waiting": _most(each.rides for each in self.looks),
            "p99 of quiet uploads, ms, second quarter": round(self.quarters[0]),
            "p99 of quiet uploads, ms, last quarter": round(self.quarters[1]),
            "cores taken by the riders": round(self.riders_cores, 2),
            "surprises": len(self.surprises) + len(self.told.surprises),
        }


def run(wanted: Wanted, report: Report = lambda _: None) -> Outcome:
    """The whole of it, servers and all."""
    with standing(wanted) as (ground, crowd):
        soak = Soak(wanted, ground, crowd, report)
        outcome = soak.ride()
        report("all rides are over; comparing them with PostgreSQL")
        compare(outcome, ground, crowd)
        if outcome.wrong:
            kept = Path(tempfile.mkdtemp(prefix="soak-"))
            shutil.copytree(ground.database.folder / "logs", kept / "logs")
            report(f"logs are in {kept}")
    return outcome


@contextmanager
def standing(wanted: Wanted) -> Iterator[tuple[Ground, Crowd]]:
    """All servers, the service on them, and riders who begin."""
    with ExitStack() as stack:
        folder = stack.enter_context(reachable_folder())
        checkout = ROOT
        if wanted.former:
            checkout = stack.enter_context(reachable_folder())
            check_out(wanted.former, checkout)
        cluster = stack.enter_context(
            running_cluster(**{"cluster-node-timeout": str(NODE_TIMEOUT)})
        )
        database = stack.enter_context(running_database(folder))
        logs = folder / "logs"
        logs.mkdir()
        environ = {
            "DATABASE_URL": database.url,
            "DATABASE_READ_URL": database.read_url,
            "REDIS_URL": cluster.url,
            "CHECKPOINT_INTERVAL": str(CHECKPOINT),
            "DATA_DIR": str(folder / "own"),
        }
        migrate(environ, checkout, database.primary.url)
        fleet = stack.enter_context(running_fleet(logs, environ, checkout))
        parts = _parts(wanted, fleet.addresses, database.primary.url)
        ground = Ground(cluster, database, fleet)
        yield ground, stack.enter_context(riding(parts))


def compare(outcome: Outcome, ground: Ground, crowd: Crowd) -> None:
    """Note what PostgreSQL has otherwise than the devices, once nothing is to be done any more."""
    urls = urls_of(ground)
    outcome.unfinished = settle(lambda: crowd.find_unfinished(urls))
    outcome.verdict = crowd.check(urls)


def urls_of(ground: Ground) -> Urls:
    """Where what was stored is looked for: around the pooler."""
    return ground.database.primary.url, ground.cluster.url


def _parts(wanted: Wanted, addresses: Sequence[str], database_url: str) -> list[Part]:
    riders = []
    for each in make_riders(wanted.riders, wanted.seed):
        account = create_account(database_url, f"{each.name}@example.com", "soak")
        is_live = each.number % _LIVE == 0
        riders.append(Who(each, account.user_id, account.api_key, is_live))
    shares = [riders[nth::_PROCESSES] for nth in range(_PROCESSES)]
    return [Part(each, addresses, wanted.pace, wanted.seed) for each in shares]


class Soak:
    """Does one thing after another to the service, while another thread looks at all of it."""

    def __init__(self, wanted: Wanted, ground: Ground, crowd: Crowd, report: Report) -> None:
        self._wanted, self._ground, self._crowd, self._report = wanted, ground, crowd, report
        self._began = time.time()
        self._phases = [(self._began, QUIET)]
        self._looks: list[Look] = []
        self._took: dict[str, float] = {}
        self._surprises: list[str] = []
        self._told = Told()
        self._over = threading.Event()

    def ride(self) -> Outcome:
        """Until the time is over, and every ride that was begun."""
        machine, cores = this_machine(), cpu_of(*self._crowd.processes)  # type: ignore[arg-type]
        looking = threading.Thread(target=self._look)
        looking.start()
        try:
            for name in self._wanted.events:
                self._rest_until(EVENTS[name][0] * self._wanted.minutes * 60)
                self._do(name)
            self._rest_until(self._wanted.minutes * 60)
            used = cores() / (time.time() - self._began)
            self._finish()
        finally:
            self._over.set()
            looking.join()
        timings = self._crowd.timings
        return Outcome(
            self._wanted,
            self._told,
            self._looks,
            self._phases,
            meters.latencies(timings, self._phases),
            meters.quarters(timings, self._phases),
            used,
            self._took,
            machine,
            self._surprises,
        )

    def _do(self, name: str) -> None:
        """An event; what it causes a little later is counted as its own."""
        self._say(f"{name} …")
        begun = time.time()
        self._phases.append((begun, name))
        EVENTS[name][1](self._ground)
        self._took[name] = time.time() - begun
        self._say(f"{name}: done after {self._took[name]:.1f} s")
        self._rest_until(time.time() - self._began + self._wanted.afterwards)
        self._phases.append((time.time(), QUIET))

    def _rest_until(self, at: float) -> None:
        """Nobody does anything; no process ends by itself."""
        while (left := self._began + at - time.time()) > 0:
            time.sleep(min(left, 0.5))
            for each in self._ground.fleet.replace_dead():
                self._surprises.append(each)
                self._say(each)

    def _finish(self) -> None:
        self._phases.append((time.time(), "the last rides end"))
        self._say("the last rides end …")
        self._crowd.stop()
        deadline = time.time() + _TO_FINISH
        while not self._told.is_over and time.time() < deadline:
            self._rest_until(time.time() - self._began + 0.5)
        if not self._told.is_over:
            raise TimeoutError(f"riders still ride {_TO_FINISH:.0f} s after the end")

    def _look(self) -> None:
        """Again and again, at what riders tell and at what it costs."""
        due, samples, timings = self._began, 0, 0
        while not self._over.is_set():
            self._told = self._crowd.look()
            if time.time() >= due:
                due += self._wanted.look_every
                ground, phase = self._ground, self._phases[-1][1]
                at = time.time() - self._began
                cost = meters.look(at, phase, ground.fleet, ground.database, ground.cluster)
                self._looks.append(cost)
                self._report(self._line(cost, samples, timings))
                samples, timings = self._told.samples, len(self._crowd.timings)
            self._over.wait(0.5)

    def _line(self, cost: Look, samples: int, timings: int) -> str:
        told, lately = self._told, self._crowd.timings[timings:]
        uploads = sorted(each.seconds for each in lately if each.what == "upload")
        slowest = f"{meters.percentile(uploads, 0.99):.0f} ms" if uploads else "–"
        held = " ".join(f"{name} {mb:.0f}" for name, mb in cost.processes.items())
        failed = sum(n for kind, n in told.answers.items() if not _is_success(kind))
        rate = (told.samples - samples) / self._wanted.look_every
        return (
            f"{cost.at:5.0f} s {cost.phase}: {rate:.0f} samples/s, {told.samples} acknowledged,"
            f" {told.completed} rides over, {failed} failures, {told.again} sent again;"
            f" p99 {slowest}; waiting {cost.events} events {cost.rides} rides;"
            f" MB {held} Redis {cost.redis or 0:.0f} PostgreSQL {cost.postgresql:.0f}"
        )

    def _say(self, what: str) -> None:
        self._report(f"{time.time() - self._began:5.0f} s {what}")


def markdown(outcome: Outcome) -> Iterator[str]:
    """The outcome as tables for a document."""
    yield outcome.machine
    yield from _table(("", ""), "--:", ((k, f"{n:,}") for k, n in outcome.figures().items()))
    yield from _table(
        ("request", "phase", "answers", "p50, ms", "p99, ms", "most, ms"),
        "--:",
        (
            (what, phase, f"{len(took):,}", *(f"{meters.percentile(took, p):,.0f}" for p in _PARTS))
            for (what, phase), took in outcome.latencies.items()
        ),
    )
    yield from _table(
        ("process", "minutes", "MB early", "MB late", "MB an hour"),
        "--:",
        meters.life_lines(outcome.looks, outcome.wanted.look_every),
    )
    held = [each.redis for each in outcome.looks if each.redis is not None]
    other = [each.postgresql for each in outcome.looks]
    yield from _table(
        ("servers, MB", "first", "most", "last"),
        "--:",
        (
            (name, *(f"{n:.0f}" for n in (each[0], max(each), each[-1])))
            for name, each in (("Redis", held), ("PostgreSQL", other))
        ),
    )
    took = ((name, f"{seconds:.1f}") for name, seconds in outcome.took.items())
    yield from _table(("event", "seconds"), "--:", took)


_PARTS: Final = (0.5, 0.99, 1.0)


def _table(head: Sequence[str], how: str, rows: Iterator[Sequence[str]] | Any) -> Iterator[str]:
    yield ""
    yield f"| {' | '.join(head)} |"
    yield f"|---|{'|'.join([how] * (len(head) - 1))}|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _is_success(answer: str) -> bool:
    return answer == "message" or answer.startswith("2")


def _most(counts: Iterator[int | None]) -> int:
    return max((each for each in counts if each is not None), default=0)


def write(outcome: Outcome, file: Path) -> None:
    """The figures as JSON, with every look; beside it the tables as Markdown."""
    told = {
        "machine": outcome.machine,
        "figures": outcome.figures(),
        "answers": Counter(outcome.told.answers),
        "wrong": outcome.wrong,
        "took": outcome.took,
        "latencies": [
            {"what": what, "phase": phase, "answers": len(took)}
            | {f"p{p:.0%}": meters.percentile(took, p) for p in _PARTS}
            for (what, phase), took in outcome.latencies.items()
        ],
        "looks": [asdict(each) for each in outcome.looks],
    }
    file.write_bytes(msgspec.json.format(msgspec.json.encode(told)))
    file.with_suffix(".md").write_text("\n".join(markdown(outcome)) + "\n")


def pace_of(minutes: float) -> Pace:
    """As in life, for an hour; where it lasts less, rides are shorter, too."""
    part = min(max(minutes / 60, _SHORTEST), 1)
    return Pace(ride=(600 * part, 1500 * part))


def former_version(commit: str) -> str:
    """The commit, if its version can run here; else none. Without one, the version before ours."""
    commit = commit or read_previous().commit
    return commit if all(has(commit, each) for each in _NEEDS) else ""


@click.command()
@variable("--minutes", envvar="MINUTES", type=click.FloatRange(1), default=60, show_default=True)
@variable("--riders", envvar="RIDERS", type=click.IntRange(1), default=1000, show_default=True)
@variable("--former", envvar="FORMER", default="", help="Upgraded from; else migrations/PREVIOUS.")
@variable("--json", "file", envvar="JSON", type=click.Path(dir_okay=False, path_type=Path))
def main(minutes: float, riders: int, former: str, file: Path | None) -> None:
    """Ride for so long; fail if anything was lost or counted twice, or goes on growing."""
    version = former_version(former)
    click.echo(f"{minutes:g} minutes, {riders} riders, upgraded from {version or 'this version'}")
    wanted = Wanted(minutes, riders, pace_of(minutes), former=version)
    outcome = run(wanted, click.echo)
    for line in markdown(outcome):
        click.echo(line)
    if file:
        write(outcome, file)
    for line in outcome.wrong[:50]:
        click.echo(f"WRONG: {line}")
    if outcome.wrong:
        sys.exit(f"{len(outcome.wrong)} things went wrong")


if __name__ == "__main__":
    run_in_words(main)
