"""The riders of a soak, in processes of their own, and what these tell of them."""

import asyncio
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from multiprocessing.connection import Connection
from typing import Any, Final

import uvloop

from tests.faults.history import History, RideHistory, Verdict, check, find_unfinished, stores
from tests.soak.rider import Log, Pace, Rider, Timing, Who

# How late the riders of a process come to what they do; told as what requests took is.
LATENESS: Final = "the riders' own lateness"
_TOLD_EVERY: Final = 1.0  # seconds
_SPAWN: Final = multiprocessing.get_context("spawn")
Urls = tuple[str, str]  # of PostgreSQL and of Redis


@dataclass(frozen=True)
class Part:
    """The riders of one process."""

    riders: Sequence[Who]
    addresses: Sequence[str]
    pace: Pace
    seed: int


@dataclass
class Told:
    """What has been done up to now; ``timings``: of what was done since the last time."""

    timings: list[Timing] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    surprises: list[str] = field(default_factory=list)
    samples: int = 0
    again: int = 0
    completed: int = 0
    rides: int = 0
    is_over: bool = False


class Crowd:
    """All the processes. ``told`` is what each of them has told last."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._ends: list[Connection] = []
        self.processes = []
        for part in parts:
            ours, theirs = _SPAWN.Pipe()
            process = _SPAWN.Process(target=_ride, args=[part, theirs], daemon=True)
            process.start()
            theirs.close()
            self._ends.append(ours)
            self.processes.append(process)
        self._told = [Told() for _ in parts]
        self.timings: list[Timing] = []

    def look(self) -> Told:
        """The sum of what has been told by now."""
        for nth, end in enumerate(self._ends):
            while not self._told[nth].is_over and end.poll():
                self._told[nth] = end.recv()
                self.timings += self._told[nth].timings
        return self._sum()

    def stop(self) -> None:
        """Have the rides under way finished; what goes on is told by ``look``."""
        for end in self._ends:
            end.send("stop")

    def find_unfinished(self, urls: Urls) -> list[str]:
        """Once all is over: what of it is still to be done."""
        return sorted(set(chain.from_iterable(self._ask(_unfinished, urls))))

    def check(self, urls: Urls) -> Verdict:
        """Once all is over: every ride, compared with what its device sent."""
        return _add_up(self._ask(_checked, urls))

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.join()
        for end in self._ends:
            end.close()

    def _ask(self, question: Callable[[History, Urls], Any], urls: Urls) -> list[Any]:
        for end in self._ends:
            end.send((question, urls))
        return [end.recv() for end in self._ends]

    def _sum(self) -> Told:
        total = Told(is_over=all(each.is_over for each in self._told))
        for each in self._told:
            total.answers += each.answers
            total.surprises += each.surprises
            total.samples += each.samples
            total.again += each.again
            total.completed += each.completed
            total.rides += each.rides
        return total


@contextmanager
def riding(parts: Sequence[Part]) -> Iterator[Crowd]:
    """They ride until they are stopped, or left."""
    crowd = Crowd(parts)
    try:
        yield crowd
    finally:
        crowd.close()


def _ride(part: Part, end: Connection) -> None:
    """One process: rides, and then answers what it is asked about its history."""
    os.setsid()  # Linux gives sessions, not processes, equal parts of a busy machine
    log = Log()
    uvloop.run(_ride_all(part, log, end))
    while True:
        question, urls = end.recv()
        end.send(question(log.history, urls))


async def _ride_all(part: Part, log: Log, end: Connection) -> None:
    stop = asyncio.Event()
    riders = [Rider(who, part.addresses, log, part.pace, part.seed) for who in part.riders]
    tasks = [asyncio.create_task(_noted(each, stop, log)) for each in riders]
    while not all(task.done() for task in tasks):
        begun = time.time()
        await asyncio.sleep(_TOLD_EVERY)
        log.note(LATENESS, begun + _TOLD_EVERY)
        if end.poll():
            end.recv()
            stop.set()
        end.send(_told(log))
    end.send(_told(log, is_over=True))


async def _noted(rider: Rider, stop: asyncio.Event, log: Log) -> None:
    try:
        await rider.ride_until(stop)
    except Exception as error:
        log.history.surprises.append(f"a device failed: {error!r}")
    finally:
        await rider.close()


def _told(log: Log, *, is_over: bool = False) -> Told:
    timings, log.timings = log.timings, []
    history = log.history
    return Told(
        timings,
        Counter(history.answers),
        list(history.surprises),
        log.samples,
        log.again,
        log.completed,
        len(history.rides),
        is_over,
    )


def _unfinished(history: History, urls: Urls) -> list[str]:
    with stores(*urls) as connections:
        return find_unfinished(history, *connections)


def _checked(history: History, urls: Urls) -> Verdict:
    """Rider by rider: what was computed for one is forgotten before the next."""
    with stores(*urls) as connections:
        return _add_up(check(each, *connections) for each in _by_rider(history))


def _by_rider(history: History) -> Iterator[History]:
    rides: dict[str, list[RideHistory]] = {}
    for ride in history.rides:
        copied = RideHistory(ride.workout_id, ride.user_id, ride.sent, ride.acknowledged)
        rides.setdefault(ride.user_id, []).append(copied)
    while rides:
        part = History()
        part.rides = rides.popitem()[1]
        yield part


def _add_up(verdicts: Any) -> Verdict:
    total = Verdict()
    for each in verdicts:
        total.lost += each.lost
        total.twice += each.twice
        total.details += each.details
    return total
