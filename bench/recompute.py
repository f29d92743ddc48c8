"""A rider's rides computed anew, as after another threshold; and what others feel of it."""

import time
from collections.abc import Iterator
from typing import Final

import httpx2

from bench.completion import complete
from bench.figures import Figure, most
from bench.meters import cpu_of, memory_of
from bench.rides import batches, ride, send, start_ride
from bench.system import Options, System
from ops.admin.accounts import create_account
from worker.jobs.fold import fold

_TIMES: Final = 3.0  # of what those take alone
_GROWTH: Final = 1.25  # of a worker's memory, from the first tenth of the rides to the end
_COPIES: Final = """
WITH made AS (
    INSERT INTO workouts (user_id, status, start_time, end_time, duration, summary, stale)
    SELECT user_id, status, start_time + day * interval '1 day', end_time + day * interval '1 day',
        duration, summary, true
    FROM workouts, generate_series(1, %(count)s) AS day
    WHERE id = %(id)s
    RETURNING id
)
INSERT INTO workout_channels (workout_id, part, channel, encoding, samples, data)
SELECT made.id, part, channel, encoding, samples, data
FROM made, workout_channels
WHERE workout_id = %(id)s
"""
_STALE: Final = "SELECT count(*) AS stale FROM workouts WHERE stale"


def measure(system: System, options: Options) -> Iterator[Figure]:
    """By one worker, while another rider completes a ride of an hour again and again."""
    other = create_account(system.environ["DATABASE_URL"], "beside@example.com", "bench")
    headers = {"X-API-Key": other.api_key}
    with (
        system.serving("api") as api,
        system.workers(1) as [worker],
        httpx2.Client(base_url=api.url, headers=headers, timeout=60) as client,
    ):
        alone = [complete(client, day) for day in range(options.rides)]
        _make_stale(system, options.stale)
        cpu, began = cpu_of(worker), time.perf_counter()
        before, beside, early = cpu(), list[float](), 0.0
        while left := _stale(system):
            beside.append(complete(client, options.rides + len(beside)))
            if not early and left <= options.stale * 0.9:
                early = memory_of(worker.pid)
        seconds, used = time.perf_counter() - began, cpu() - before
        late = memory_of(worker.pid, at_most=True)
    yield Figure("rides of 1 h", "/s", [options.stale / seconds])
    yield Figure("worker CPU a ride", "ms", [used / options.stale * 1000])
    title, target = "another rider's completion meanwhile", most(_TIMES, "limit")
    yield Figure(title, "ms", beside, "alone", alone, target=target)
    title, target = "memory of the worker, at most", most(_GROWTH, "limit")
    yield Figure(title, "MB", [late], "after a tenth", [early or late], target=target)


def _make_stale(system: System, count: int) -> None:
    """So many rides of the system's user."""
    workout = start_ride(system.database, system.account.user_id, "PROCESSING")
    send(system.redis, workout, batches(ride(1)))
    fold(system.database, system.redis, workout)
    with system.database.connection() as connection:
        connection.execute(_COPIES.encode(), {"id": workout, "count": count})


def _stale(system: System) -> int:
    with system.database.connection() as connection:
        row = connection.execute(_STALE.encode()).fetchone()
    return int(row["stale"]) if row else 0
