"""What the servers hold, asked when Prometheus comes: it is the same whichever process is asked."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg
import redis
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shared.breaker import Breaker
from shared.connections import (
    DatabaseConnection,
    Redis,
    connect_database,
    open_redis,
    passing_over,
    primaries_of,
)
from shared.monitoring.backups import newest_backup
from shared.monitoring.replica import ReplicaState, read_replica
from shared.monitoring.workers import living_workers
from shared.redis_keys import DUE, GROUP, Queue
from shared.settings import Settings
from shared.sql import load_queries

QUERIES = load_queries("monitoring")
_LABELS: Final = {queue: queue.name.lower() for queue in Queue}


@dataclass(frozen=True)
class QueueState:
    """A stream of events: how many there are, how many a worker has or had, and the oldest."""

    events: int
    pending: int
    oldest: float  # seconds


@dataclass(frozen=True)
class RedisState:
    """What Redis tells."""

    queues: dict[Queue, QueueState]
    workers: int
    late: int  # rides that are over and have late samples
    breaker_open: bool
    memory: int  # of the fullest node, where there are several
    most_memory: int  # 0 for no limit


@dataclass(frozen=True)
class Backlog:
    """What rows of PostgreSQL say is to be done, and for how many seconds the oldest has waited."""

    completions: int = 0
    oldest_completion: float = 0
    imports: int = 0
    oldest_import: float = 0
    deliveries: int = 0
    oldest_delivery: float = 0
    recomputes: int = 0
    dead_letters: int = 0
    in_use_for: float = 0  # seconds since the first user came
    clock: float = field(default=0, compare=False)


@dataclass(frozen=True)
class Disk:
    """Bytes of the file system that a folder is on, or will be."""

    free: int
    size: int


def read_redis(client: Redis) -> RedisState:
    """Raises redis.RedisError."""
    memory = _fullest(client)
    seconds, _ = client.time()
    return RedisState(
        queues={queue: _read_queue(client, queue, seconds) for queue in Queue},
        workers=len(living_workers(client)),
        late=int(client.zcard(DUE)),
        breaker_open=Breaker(client).is_open(),
        memory=memory["used_memory"],
        most_memory=memory["maxmemory"],
    )


def read_backlog(settings: Settings) -> Backlog:
    """Raises psycopg.Error: the tables may be missing, too."""
    with connect_database(settings) as connection:
        limit_look(connection, settings)
        row = connection.execute(QUERIES["read_backlog"]).fetchone()
    return Backlog(**row or {})


def limit_look(connection: DatabaseConnection, settings: Settings) -> None:
    """End what takes longer than an answer may; for the transaction, as PgBouncer may be there."""
    connection.execute(QUERIES["limit_look"], {"ms": int(settings.service_timeout * 1000)})


def read_disk(folder: str) -> Disk:
    """Of the nearest folder that there is."""
    path = Path(folder).absolute()
    while not path.exists():
        path = path.parent
    usage = shutil.disk_usage(path)
    return Disk(usage.free, usage.total)


def backup_due(settings: Settings) -> float:
    """The age in seconds from which on a newer backup is missed: it may take two hours."""
    return (settings.backup_hours + 2) * 3600


def backup_age(folder: str, in_use_for: float) -> float:
    """Seconds since the newest backup; without one, since there was something to back up."""
    newest = newest_backup(Path(folder))
    return time.time() - newest.made_at if newest else in_use_for


def sees_backups(settings: Settings) -> bool:
    """Whether backups can be seen here; else whoever makes them watches over them."""
    return settings.backup_hours > 0


class SystemCollector(Collector):
    """Asks anew each time. A server that is away takes its figures along, and is told to be."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def describe(self) -> list[Any]:
        """Nothing: the registry need not ask the servers for names at the start."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The figures of one moment."""
        settings = self._settings
        up = GaugeMetricFamily("bpt_server_up", "Whether the server answers", labels=["server"])
        try:
            with open_redis(settings) as client:
                yield from _figures_of_redis(read_redis(client))
            up.add_metric(["redis"], 1)
        except redis.RedisError:
            up.add_metric(["redis"], 0)
        try:
            backlog = read_backlog(settings)
            yield from _figures_of_backlog(backlog)
            yield from _figures_of_backups(settings, backlog.in_use_for)
            up.add_metric(["postgresql"], 1)
        except psycopg.Error:
            up.add_metric(["postgresql"], 0)
        if settings.database_read_url:
            try:
                yield from _figures_of_replica(read_replica(settings))
                up.add_metric(["replica"], 1)
            except psycopg.Error:
                up.add_metric(["replica"], 0)
        yield up
        yield from _figures_of_disks(settings)


def _fullest(client: Redis) -> dict[str, Any]:
    """What the server tells of its memory; of a cluster, the one with the least left."""
    told = list[Any]()
    for name, server in primaries_of(client).items():
        with passing_over(client, node=name):
            told.append(server.info("memory"))
    if not told:
        raise redis.ConnectionError("no node of the cluster tells of its memory")
    return max(told, key=lambda each: each["used_memory"] / (each["maxmemory"] or 2**60))


def _read_queue(client: Redis, queue: Queue, now: float) -> QueueState:
    with client.pipeline(transaction=False) as pipe:
        pipe.xlen(queue)
        pipe.xrange(queue, count=1)
        length, first = pipe.execute()
    oldest = now - int(first[0][0].partition(b"-")[0]) / 1000 if first else 0
    return QueueState(length, _pending(client, queue), max(oldest, 0))


def _pending(client: Redis, queue: Queue) -> int:
    try:
        summary: Any = client.xpending(queue, GROUP)
    except redis.ResponseError:  # no stream or no group yet
        return 0
    return int(summary["pending"])


def _gauge(name: str, about: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, about, value=value)


def _by(label: str, name: str, about: str, values: dict[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, about, labels=[label])
    for each, value in values.items():
        family.add_metric([each], value)
    return family


def _figures_of_redis(state: RedisState) -> Iterator[GaugeMetricFamily]:
    queues = {_LABELS[queue]: found for queue, found in state.queues.items()}
    events = {name: float(queue.events) for name, queue in queues.items()}
    pending = {name: float(queue.pending) for name, queue in queues.items()}
    oldest = {name: queue.oldest for name, queue in queues.items()}
    yield _by("queue", "bpt_queue_events", "Events in a queue", events)
    yield _by("queue", "bpt_queue_pending", "Events that a worker has, or had", pending)
    yield _by("queue", "bpt_queue_oldest_seconds", "Age of a queue's oldest event", oldest)
    yield _gauge("bpt_workers", "Workers that live", state.workers)
    yield _gauge("bpt_late_rides", "Rides that are over and have late samples", state.late)
    yield _gauge("bpt_breaker_open", "Whether most jobs fail", state.breaker_open)
    yield _gauge("bpt_redis_memory_bytes", "Memory that Redis uses", state.memory)
    yield _gauge("bpt_redis_memory_limit_bytes", "Its maxmemory, 0 for none", state.most_memory)


def _figures_of_backlog(backlog: Backlog) -> Iterator[GaugeMetricFamily]:
    waiting = {
        "completions": float(backlog.completions),
        "imports": float(backlog.imports),
        "recomputes": float(backlog.recomputes),
        "deliveries": float(backlog.deliveries),
    }
    oldest = {
        "completions": backlog.oldest_completion,
        "imports": backlog.oldest_import,
        "deliveries": backlog.oldest_delivery,
    }
    yield _by("what", "bpt_waiting", "Rides, files and deliveries that wait for workers", waiting)
    yield _by("what", "bpt_waiting_oldest_seconds", "For how long the oldest has waited", oldest)
    yield _gauge("bpt_dead_letters", "Dead letters that wait for a person", backlog.dead_letters)


def _figures_of_backups(settings: Settings, in_use_for: float) -> Iterator[GaugeMetricFamily]:
    if not sees_backups(settings):
        return
    age = backup_age(settings.backup_dir, in_use_for)
    yield _gauge("bpt_backup_age_seconds", "Since the newest backup, if one is due", age)
    due = backup_due(settings)
    yield _gauge("bpt_backup_due_seconds", "The age from which on one is missed", due)


def _figures_of_replica(state: ReplicaState) -> Iterator[GaugeMetricFamily]:
    behind, lag = float(state.behind), state.lag
    yield _gauge("bpt_replica_behind_bytes", "WAL that the replica has yet to replay", behind)
    yield _gauge("bpt_replica_lag_seconds", "Since the last commit that it shows, if any", lag)


def _figures_of_disks(settings: Settings) -> Iterator[GaugeMetricFamily]:
    folders = {"data": settings.data_dir, "backups": settings.backup_dir}
    disks = {name: read_disk(folder) for name, folder in folders.items()}
    free = {name: float(disk.free) for name, disk in disks.items()}
    size = {name: float(disk.size) for name, disk in disks.items()}
    yield _by("folder", "bpt_disk_free_bytes", "Free bytes of the folder's disk", free)
    yield _by("folder", "bpt_disk_size_bytes", "Bytes of the folder's disk", size)
