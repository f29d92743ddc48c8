"""One and two API processes, one and two workers; beside each other, and who else was busy."""

import os
import time
from typing import Any, Final
from uuid import UUID

import psycopg

from bench.figures import Against, Figure, least
from bench.load import load
from bench.options import Options
from bench.rides import batches, ride, send
from bench.system import System, cpu_seconds
from bench.uploads import CONNECTIONS, upload_requests
from ops.processes import wait_until
from shared.connections import Redis, Row, open_redis
from shared.events import FoldRequest
from shared.redis_keys import EVENTS, GROUP
from shared.settings import read_settings

SECTION: Final = "scaling"
_BATCH: Final = 10
_BACKLOG: Final = 5  # times the rides of the other sections


def measure(system: System, options: Options) -> list[Figure]:
    """Throughput of two beside that of one, in turns."""
    return [*_api_processes(system, options), *_workers(system, options)]


def _api_processes(system: System, options: Options) -> list[Figure]:
    rates: dict[int, list[float]] = {1: [], 2: []}
    busy: list[float] = []
    with (
        open_redis(read_settings(system.environ)) as redis,
        system.api() as one,
        system.api() as two,
    ):
        requests = upload_requests(system, one.url, _BATCH)
        for _ in range(options.runs):
            for count, addresses in ((1, [one.address]), (2, [one.address, two.address])):
                redis.flushdb()
                outcome = load(addresses, requests, options.seconds, CONNECTIONS)
                rates[count].append(outcome.rate)
            busy.append(outcome.cpu_seconds / outcome.seconds)
    return [
        _figure("upload of 10, 2 API processes beside 1", "/s", rates, least(1.8, Against.LIMIT)),
        Figure(
            section=SECTION, name="cores that sending it took", unit="cores", runs=busy, digits=2
        ),
    ]


def _workers(system: System, options: Options) -> list[Figure]:
    rates: dict[int, list[float]] = {1: [], 2: []}
    cores: list[float] = []
    with open_redis(read_settings(system.environ)) as redis:
        for _ in range(options.runs):
            for count in rates:
                rate, others = _clear_backlog(system, redis, count, options.rides * _BACKLOG)
                rates[count].append(rate)
            cores.append(others)
    return [
        _figure("rides of 1 h folded, 2 workers beside 1", "/s", rates, least(1.8, Against.LIMIT)),
        Figure(
            section=SECTION,
            name="cores that PostgreSQL and Redis took of it",
            unit="cores",
            runs=cores,
            digits=2,
        ),
    ]


def _figure(name: str, unit: str, rates: dict[int, list[float]], target: Any) -> Figure:
    # Two processes cannot have two cores to themselves where there are no more, and others at work.
    enough = (os.cpu_count() or 1) >= 4
    return Figure(
        section=SECTION,
        name=name if enough else f"{name} (cores are shared)",
        unit=unit,
        runs=rates[2],
        limit_runs=rates[1],
        limit="one process",
        targets=[target],
        digits=0,
    )


def _clear_backlog(system: System, redis: Redis, workers: int, rides: int) -> tuple[float, float]:
    """Rides a second, each of another rider; and the cores that the servers used meanwhile."""
    redis.flushdb()
    packed = list(batches(ride(1)))
    workouts = _start_rides(system, rides)
    for workout in workouts:
        send(redis, workout, packed)
    with system.workers(workers) as processes, system.connect() as connection:
        log = system.logs / f"worker-{workers - 1}.log"
        wait_until(lambda: _consumers(redis) == workers, processes[-1], log)
        servers = (system.postgres, system.redis)
        connection.execute(
            "UPDATE workouts SET status = 'PROCESSING' WHERE id = ANY(%s)", [workouts]
        )
        spent, begin = sum(map(cpu_seconds, servers)), time.perf_counter()
        _ask_for_folds(redis, workouts)
        _await_completion(connection, workouts)
        taken = time.perf_counter() - begin
        return rides / taken, (sum(map(cpu_seconds, servers)) - spent) / taken


def _start_rides(system: System, count: int) -> list[UUID]:
    """Still active: workers that start look at once for what is due."""
    with system.connect() as connection:
        rows = connection.execute(
            """
            WITH riders AS (
                INSERT INTO users (email)
                SELECT gen_random_uuid() || '@example.com' FROM generate_series(1, %s)
                RETURNING id
            )
            INSERT INTO workouts (user_id, completed_at) SELECT id, now() FROM riders
            RETURNING id
            """,
            [count],
        ).fetchall()
    return [row["id"] for row in rows]


def _consumers(redis: Redis) -> int:
    if not redis.exists(EVENTS):
        return 0
    consumers: Any = redis.xinfo_consumers(EVENTS, GROUP)
    return len(consumers)


def _ask_for_folds(redis: Redis, workouts: list[UUID]) -> None:
    with redis.pipeline(transaction=False) as pipe:
        for workout in workouts:
            pipe.xadd(EVENTS, FoldRequest(workout).fields())
        pipe.execute()


def _await_completion(
    connection: psycopg.Connection[Row], workouts: list[UUID], timeout: float = 300
) -> None:
    """Return once all are completed, with every sample. Raises TimeoutError."""
    deadline = time.monotonic() + timeout
    completed = """
        SELECT count(*) AS number FROM workouts
        WHERE id = ANY(%s) AND status = 'COMPLETED' AND summary ->> 'sampleCount' = '3600'
    """
    while True:
        row = connection.execute(completed, [workouts]).fetchone()
        if row and row["number"] == len(workouts):
            return
        if time.monotonic() > deadline:
            raise TimeoutError("the workers did not finish the backlog")
        time.sleep(0.02)
