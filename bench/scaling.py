"""One worker and two: how fast they clear a backlog, and who else was busy."""

import os
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, Final
from uuid import UUID

from bench.figures import Figure, least
from bench.meters import spent
from bench.rides import batches, ride, send
from bench.system import Options, System
from ops.processes import wait_until
from shared.events import FoldRequest
from shared.redis_keys import GROUP, Queue

_BACKLOG: Final = 5  # times the rides of the other measurements
_DEADLINE: Final = 300.0  # seconds for a backlog
_START: Final = """
WITH riders AS (
    INSERT INTO users (email)
    SELECT gen_random_uuid() || '@example.com' FROM generate_series(1, %s)
    RETURNING id
)
INSERT INTO workouts (user_id, completed_at) SELECT id, now() FROM riders RETURNING id
"""
_CLOSE: Final = "UPDATE workouts SET status = 'PROCESSING' WHERE id = ANY(%s) RETURNING id"
_UNDONE: Final = """
SELECT id FROM workouts
WHERE id = ANY(%s) AND (status <> 'COMPLETED' OR summary ->> 'sampleCount' <> '3600')
LIMIT 1
"""


def measure(system: System, options: Options) -> Iterator[Figure]:
    """Throughput of two beside that of one, in turns."""
    one, two = list[float](), list[float]()
    servers = list[float]()
    for _ in range(options.runs):
        for workers, rates in ((1, one), (2, two)):
            rate, cores = _clear_backlog(system, workers, options.rides * _BACKLOG)
            rates.append(rate)
        servers.append(cores)
    # Two processes cannot have two cores to themselves where there are no more, and others at work.
    shared = "" if (os.cpu_count() or 1) >= 4 else " (cores are shared)"
    name, target = f"rides of 1 h folded, 2 workers beside 1{shared}", least(1.8, "limit")
    yield Figure(name, "/s", two, "one process", one, target=target)
    yield Figure("cores that PostgreSQL and Redis took of it", "cores", servers)


def _clear_backlog(system: System, workers: int, rides: int) -> tuple[float, float]:
    """Rides a second, each of another user; and the cores that the servers used meanwhile."""
    system.redis.flushdb()
    packed = batches(ride(1))
    workouts = _execute(system, _START, rides)
    for workout in workouts:
        send(system.redis, workout, packed)
    with system.workers(workers) as processes:
        log = system.logs / "worker.log"
        wait_until(lambda: _consumers(system) == workers, processes[-1], log)
        _execute(system, _CLOSE, workouts)
        meters = (time.perf_counter, system.postgres_cpu, system.redis_cpu)
        _, (taken, *busy) = spent(partial(_fold_all, system, workouts), *meters)
    return rides / taken, sum(busy) / taken


def _consumers(system: System) -> int:
    """How many workers read events."""
    if not system.redis.exists(Queue.PROMPT):
        return 0
    consumers: Any = system.redis.xinfo_consumers(Queue.PROMPT, GROUP)
    return len(consumers)


def _fold_all(system: System, workouts: list[UUID]) -> None:
    """Ask for the folds; return once all are completed, with every sample. Raises TimeoutError."""
    with system.redis.pipeline(transaction=False) as pipe:
        for workout in workouts:
            pipe.xadd(Queue.PROMPT, FoldRequest(workout).fields())
        pipe.execute()
    deadline = time.monotonic() + _DEADLINE
    while _execute(system, _UNDONE, workouts):
        if time.monotonic() > deadline:
            raise TimeoutError("the workers did not finish the backlog")
        time.sleep(0.02)


def _execute(system: System, statement: str, parameter: object) -> list[UUID]:
    """The ids of an answer."""
    with system.database.connection() as connection:
        return [row["id"] for row in connection.execute(statement.encode(), [parameter])]
