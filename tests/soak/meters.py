"""What a soak costs the machine, look by look, and whether it stays within bounds."""

import statistics
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
import redis

from bench.meters import children_of, memory_of
from ops.embedded.postgres import superuser_url
from shared.redis_keys import DUE, Queue
from tests.cluster.nodes import Cluster
from tests.soak.database import Database
from tests.soak.fleet import Fleet
from tests.soak.rider import Timing

QUIET: Final = "quiet"
_PAGE_MB: Final = 4096 / 1e6
# By so much a process may grow from the second quarter of its life, when it has met all that it
# keeps, to the last one: the allocator keeps what a storm of requests has taken.
_GROWTH: Final = 0.15
_GROWTH_MB: Final = 10.0
_LOOKS: Final = 8  # of a life that is judged
# By so much the slowest of a hundred uploads may take longer in the last quarter.
_SLOWER: Final = 2
_SLOWER_MS: Final = 50
# Of the rides, those that wait to be computed while nothing is being done to the service.
_WAITING: Final = 0.05
_WAITING_AT_LEAST: Final = 10
_UNFINISHED: Final = "SELECT count(*) FROM workouts WHERE status = 'PROCESSING'"


@dataclass(frozen=True)
class Look:
    """A moment. ``processes``: MB by a name that no other process has had; None: no answer."""

    at: float  # seconds from the beginning
    phase: str
    processes: Mapping[str, float]
    redis: float | None  # MB of all primaries, without what they keep to send replicas
    postgresql: float  # MB that its processes have for themselves
    events: int | None  # in Redis
    rides: int | None  # that are over, and not yet computed


def look(at: float, phase: str, fleet: Fleet, database: Database, cluster: Cluster) -> Look:
    """Measure all of it, whatever of it is away."""
    processes = {f"{each.place} #{each.number}": each.process.pid for each in fleet.running}
    return Look(
        at,
        phase,
        {name: memory_of(pid) for name, pid in processes.items()},
        _redis_memory(cluster),
        sum(map(_private_memory, database.pids)),
        _events(cluster),
        _rides(database),
    )


def growing(looks: Sequence[Look]) -> list[str]:
    """The processes whose memory is not flat, of those that lived for long enough to tell."""
    found = []
    for name, lived in lives(looks).items():
        if len(lived) < _LOOKS:
            continue
        before, after = (statistics.median(each) for each in _quarters(lived))
        if after > before * (1 + _GROWTH) + _GROWTH_MB:
            found.append(f"{name} grew from {before:.0f} to {after:.0f} MB")
    return found


def waiting(looks: Sequence[Look], riders: int) -> list[str]:
    """The quiet moments in which more waited than should."""
    most = max(_WAITING_AT_LEAST, _WAITING * riders)
    return [
        f"{each.at:.0f} s: {each.events} events and {each.rides} rides waited"
        for each in looks
        if each.phase == QUIET and (each.events or 0) + (each.rides or 0) > most
    ]


def lives(looks: Iterable[Look]) -> dict[str, list[float]]:
    """The memory of each process, look by look."""
    found: dict[str, list[float]] = {}
    for each in looks:
        for name, held in each.processes.items():
            if held:
                found.setdefault(name, []).append(held)
    return found


def life_lines(looks: Sequence[Look], every: float) -> Iterator[tuple[str, ...]]:
    """Of each process: how long it was looked at, its memory in two quarters, and its growth."""
    for name, lived in lives(looks).items():
        minutes = f"{len(lived) * every / 60:.1f}"
        if len(lived) < _LOOKS:
            yield name, minutes, f"{lived[0]:.0f}", f"{lived[-1]:.0f}", "–"
            continue
        before, after = (statistics.median(each) for each in _quarters(lived))
        hours = len(lived) * every * 5 / 8 / 3600  # between the middles of the two quarters
        yield name, minutes, f"{before:.0f}", f"{after:.0f}", f"{(after - before) / hours:+.0f}"


def latencies(
    timings: Sequence[Timing], phases: Sequence[tuple[float, str]]
) -> dict[tuple[str, str], list[float]]:
    """Seconds, in order, by what and phase; ``phases``: when each has begun, the first first."""
    found: dict[tuple[str, str], list[float]] = {}
    turn = 0
    for each in sorted(timings, key=lambda timing: timing.at):
        while turn + 1 < len(phases) and phases[turn + 1][0] <= each.at:
            turn += 1
        found.setdefault((each.what, phases[turn][1]), []).append(each.seconds)
    begun = [name for _, name in phases]
    keys = sorted(found, key=lambda key: (key[0], begun.index(key[1])))
    return {key: sorted(found[key]) for key in keys}


def quarters(timings: Iterable[Timing], phases: Sequence[tuple[float, str]]) -> tuple[float, float]:
    """Milliseconds that 99 % of uploads took at most, in the second and in the last quarter.

    While nothing was done to the service, from the first of ``phases`` to the last, the end. 0 of a
    quarter without any.
    """
    begun, ended = phases[0][0], phases[-1][0]
    found: tuple[list[float], ...] = ([], [], [], [])
    for each in sorted(timings, key=lambda timing: timing.seconds):
        phase = phases[bisect_right(phases, each.at, key=lambda phase: phase[0]) - 1][1]
        if each.what == "upload" and phase == QUIET and begun <= each.at < ended:
            found[int(4 * (each.at - begun) / (ended - begun))].append(each.seconds)
    second, last = (percentile(each, 0.99) if each else 0.0 for each in found[1::2])
    return second, last


def slower(second: float, last: float) -> list[str]:
    """Whether uploads took longer and longer; of two quarters, as ``quarters`` has them."""
    if last <= max(second * _SLOWER, second + _SLOWER_MS):
        return []
    return [f"99 % of uploads took {second:.0f} ms in the second quarter, {last:.0f} in the last"]


def percentile(values: Sequence[float], part: float) -> float:
    """In ms, of values in order."""
    return values[int((len(values) - 1) * part)] * 1000


def _quarters(lived: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    quarter = len(lived) // 4
    return lived[quarter : 2 * quarter], lived[-quarter:]


def _redis_memory(cluster: Cluster) -> float | None:
    with suppress(redis.RedisError):
        told: list[Any] = [node.client.info("memory") for node in cluster.primaries()]
        held = (each["used_memory"] - each["mem_replication_backlog"] for each in told)
        return float(sum(held)) / 1e6
    return None


def _events(cluster: Cluster) -> int | None:
    """Each primary is asked for each key, and refuses one of a slot that it has not."""
    total = 0
    for node in cluster.primaries():
        for key in (*Queue, DUE):
            with suppress(redis.RedisError):
                total += node.client.zcard(key) if key == DUE else node.client.xlen(key)
    return total


def _rides(database: Database) -> int | None:
    try:
        url = superuser_url(database.primary.url)
        with psycopg.connect(url, autocommit=True, connect_timeout=2) as connection:
            row = connection.execute(_UNFINISHED).fetchone()
            return int(row[0]) if row else None
    except psycopg.Error:
        return None


def _private_memory(pid: int) -> float:
    """Of a server's processes, what is not shared among them."""
    total = 0.0
    with suppress(OSError):
        for each in (pid, *children_of(pid)):
            with suppress(OSError):
                _, resident, shared, *_ = map(int, Path(f"/proc/{each}/statm").read_text().split())
                total += (resident - shared) * _PAGE_MB
    return total
