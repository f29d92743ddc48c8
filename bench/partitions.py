"""What partitions cost: a ride folded and read, beside the same in one table, in turns."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Final
from uuid import UUID

import psycopg

from bench.figures import Figure, Run, series
from bench.meters import spent
from bench.rides import batches, ride, send, start_ride
from bench.system import Options, System
from ops.admin import migrations
from ops.admin.accounts import create_account
from ops.backups.drill import with_database
from shared.connections import open_database
from shared.settings import read_settings
from shared.sql import load_queries
from worker.jobs.fold import fold

_MIGRATION: Final = "0052_partitioned_channels"
_BEFORE: Final = 5000  # rides of an hour, which are there already
_HOUR, _MORE = slice(3600), slice(3600, 4200)  # of its samples
_READ: Final = load_queries("workouts")["read_own_channels"]
_FILL: Final = """
    WITH rides AS (
        INSERT INTO workouts (user_id, status) SELECT %s, 'COMPLETED' FROM generate_series(1, %s)
        RETURNING id
    )
    INSERT INTO workout_channels (workout_id, part, channel, encoding, samples, data)
    SELECT id, 0, 'channel ' || channel, 'pco1', 3600,
        decode(repeat(md5(id::text || channel), 170), 'hex')
    FROM rides, generate_series(1, 9) AS channel
"""


def measure(system: System, options: Options) -> Iterator[Figure]:
    """Milliseconds of both, and of PostgreSQL's CPU."""
    with _in_one_table(system) as plain:
        for each in (system, plain):
            with each.database.connection() as connection:
                connection.execute(_FILL, [each.account.user_id, _BEFORE])
        runs = [[_run(each, day) for each in (system, plain)] for day in range(options.rides)]
    partitioned, beside = ([pair[kind] for pair in runs] for kind in (0, 1))
    for name in partitioned[0]:
        limit = "one table", series(beside, name)
        yield Figure(f"{name}, in partitions", "ms", series(partitioned, name), *limit)


@contextmanager
def _in_one_table(system: System) -> Iterator[System]:
    """The same servers with another database, whose samples are in one table."""
    url = with_database(system.environ["DATABASE_URL"], "bench_plain")
    with psycopg.connect(system.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("CREATE DATABASE bench_plain")
    migrations.apply(url)
    while _MIGRATION not in migrations.roll_back(url):
        pass
    account = create_account(url, "rider@example.com", "bench")
    with open_database(read_settings({**system.environ, "DATABASE_URL": url})) as database:
        yield replace(system, database=database, account=account)


def _run(system: System, day: int) -> Run:
    """A ride of an hour and ten minutes: folded at both ends of these, and read."""
    samples, workout = ride(2, day), start_ride(system.database, system.account.user_id, "ACTIVE")
    costs = Run()
    for name, part in (("fold of 1 h", _HOUR), ("fold of 10 min more", _MORE)):
        send(system.redis, workout, batches(samples.select(part)))
        costs |= _cost(system, name, partial(fold, system.database, system.redis, workout))
    return costs | _cost(system, "read of it", partial(_read, system, workout))


def _cost(system: System, name: str, work: Callable[[], object]) -> Run:
    _, (server, seconds) = spent(work, system.postgres_cpu, time.perf_counter)
    return {name: seconds * 1000, f"{name}, PostgreSQL CPU": server * 1000}


def _read(system: System, workout: UUID) -> None:
    asked = {"id": workout, "user_id": system.account.user_id, "channels": None}
    with system.database.connection() as connection:
        assert len(connection.execute(_READ, asked).fetchall()) == 10
