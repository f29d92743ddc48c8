"""The figures that a process counts itself, and carries over to Prometheus every second.

Processes of one machine that share a folder (METRICS_DIR) count in files there, so that whichever
of them serves the figures serves those of all. Without a folder, each process serves its own.
"""

import fcntl
import os
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from threading import Lock
from typing import IO, Any, Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, multiprocess, values

from shared.monitoring.counts import RequestCounts

# Seconds: most folds take some 10 ms, those of a long ride seconds, large files half a minute.
_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_POOL: Final = {
    "requests_num": ("bpt_pool_requests", "Connections to PostgreSQL that were asked for"),
    "requests_queued": ("bpt_pool_waits", "Of those, the ones that had to wait"),
    "requests_wait_ms": ("bpt_pool_wait_seconds", "Seconds waited for connections to PostgreSQL"),
    "requests_errors": ("bpt_pool_errors", "Of those, the ones that were not had in time"),
}
PoolStats = Callable[[], Mapping[str, float]]


class Reads(Protocol):
    """Reads that a replica may answer: how many it did, and how many the primary in its place."""

    reads: int
    passed_on: int


class Figures:
    """Everything that one process counts; ``registry`` has it, and what other processes share."""

    def __init__(self, folder: str, process: str) -> None:
        """``process``: what it does, "api" or "worker"."""
        self.registry = CollectorRegistry()
        self._process = process
        own: Any = None if folder else self.registry
        self._slot = _share_files(Path(folder), self.registry) if folder else None
        self._counters = {
            name: Counter(name, about, labels, registry=own) for name, about, labels in _COUNTERS
        }
        self._jobs = Histogram(
            "bpt_job_seconds",
            "Seconds that events took: kind fold is a fold",
            ["kind", "outcome"],
            buckets=_BUCKETS,
            registry=own,
        )
        self._carried: dict[tuple[str, ...], float] = {}
        self._requests: RequestCounts | None = None
        self._pools: list[PoolStats] = []
        self._reads: Reads | None = None
        self._carrying = Lock()
        for labels in _FROM_THE_START.get(process, ()):
            self.add(*labels, by=0)  # else its first increase would go unseen

    def watch_requests(self, counts: RequestCounts) -> None:
        """Carry these over from now on."""
        self._requests = counts

    def watch_pool(self, stats: PoolStats) -> None:
        """Carry the statistics of a pool of connections over from now on."""
        self._pools.append(stats)

    def watch_reads(self, reads: "Reads") -> None:
        """Carry these over from now on."""
        self._reads = reads

    def note_job(self, kind: str, outcome: str, seconds: float) -> None:
        """An event was dealt with: done, with nothing to do, or failed."""
        self._jobs.labels(kind, outcome).observe(seconds)

    def add(self, name: str, *labels: str, by: float = 1) -> None:
        """Count something else."""
        counter = self._counters[name]
        (counter.labels(*labels) if labels else counter).inc(by)

    def carry_over(self) -> None:
        """Bring the counters up to date with the plain numbers."""
        with self._carrying:
            if self._requests:
                self._carry_requests(self._requests)
            for number, stats in enumerate(self._pools):
                self._carry_pool(number, stats())
            if self._reads:
                self._raise_to("bpt_reads", self._reads.reads, "replica")
                self._raise_to("bpt_reads", self._reads.passed_on, "primary")

    def _carry_requests(self, counts: RequestCounts) -> None:
        for labels, answered in list(counts.answered.items()):
            self._raise_to("bpt_requests", answered, *labels)
        for of, seconds in list(counts.seconds.items()):
            self._raise_to("bpt_request_seconds", seconds, *of)
        self._raise_to("bpt_batches", counts.batches)
        self._raise_to("bpt_samples", counts.samples)

    def _carry_pool(self, number: int, stats: Mapping[str, float]) -> None:
        for key, (name, _) in _POOL.items():
            value = stats.get(key, 0)
            value = value / 1000 if key.endswith("_ms") else value
            self._raise_to(name, value, self._process, mark=str(number))

    def _raise_to(self, name: str, value: float, *labels: str, mark: str = "") -> None:
        known = (name, mark, *labels)
        carried = self._carried.get(known)
        if carried is None or value > carried:
            self.add(name, *labels, by=value - (carried or 0))
            self._carried[known] = value


_COUNTERS: Final = [
    ("bpt_requests", "Requests answered", ["method", "route", "status"]),
    ("bpt_request_seconds", "Seconds that requests took in all", ["method", "route"]),
    ("bpt_batches", "Batches of samples that were stored", []),
    ("bpt_samples", "Samples that were stored", []),
    *((name, about, ["process"]) for name, about in _POOL.values()),
    ("bpt_given_up", "Events that became dead letters", ["kind"]),
    ("bpt_imports", "Files that were read, by what became of them", ["status"]),
    ("bpt_sweeps", "Sweeps: looks for overdue work", []),
    (
        "bpt_webhook_attempts",
        "Attempts to deliver to webhooks, by what became of them",
        ["outcome"],
    ),
    ("bpt_reads", "Reads that a replica may answer, by who did", ["server"]),
]
_FROM_THE_START: Final = {
    "worker": [
        *(("bpt_imports", status) for status in ("done", "duplicate", "failed")),
        *(("bpt_webhook_attempts", outcome) for outcome in ("delivered", "retried", "failed")),
    ]
}


def _share_files(folder: Path, registry: CollectorRegistry) -> IO[bytes]:
    """Count in files of the folder from now on; holds a place there for as long as we live."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)  # where the library looks for it
    number, lock = _take_place(folder)
    values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]
    multiprocess.MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    return lock


def _take_place(folder: Path) -> tuple[int, IO[bytes]]:
    """The first free number. Who comes after one that has died goes on with its counters.

    By process ids, as the library does it, those that are restarted over and over would fill the
    folder with files.
    """
    for number in count(1):
        lock = (folder / f"{number}.lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            return number, lock
    raise AssertionError("numbers do not end")
